// Package profile is `souk profile`: what a running shop's processors are busy with.
package profile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/pprof/profile"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/cli"
)

const usage = `usage: souk profile [flags] PART

Profiles the processor time of a part of a running shop: order, catalog, gateway, ... It
prints which operations (routes, gRPC methods, kinds of jobs, groups of event handlers) took
how much of it, and which functions. A shop in one process has one profile, whichever part is
named; "souk up --processes" has one for each.

  souk profile --seconds 20 order
  souk profile --svg gateway >gateway.svg
  souk profile --raw gateway >gateway.pb.gz    # for go tool pprof

`

// functions is how many functions the text has.
const functions = 20

// Command is `souk profile`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("profile", usage, stderr)
	shop := cli.Data(flags)
	seconds := flags.Int("seconds", 10, "how long to look, 1 to 300")
	svg := flags.Bool("svg", false, "write a flame graph")
	raw := flags.Bool("raw", false, "write the profile as pprof reads it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *seconds < 1 || *seconds > 300 || *svg && *raw {
		flags.Usage()
		return errors.New("name one part; --seconds is 1 to 300, and --svg and --raw exclude each other")
	}
	st, err := shop.Find()
	if err != nil {
		return err
	}
	address, ok := st.Admin[flags.Arg(0)]
	if !ok {
		return fmt.Errorf("no part %q; there are %s", flags.Arg(0), strings.Join(slices.Sorted(maps.Keys(st.Admin)), ", "))
	}
	fmt.Fprintf(stderr, "profiling %s for %d s\n", flags.Arg(0), *seconds)
	data, err := fetch(ctx, address, *seconds)
	if err != nil {
		return err
	}
	if *raw {
		if file, ok := stdout.(*os.File); ok && isTerminal(file) {
			return errors.New("--raw writes binary data: redirect it to a file")
		}
		_, err := stdout.Write(data)
		return err
	}
	p, err := profile.Parse(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("the profile: %w", err)
	}
	if len(p.Sample) == 0 {
		fmt.Fprintf(stderr, "%s used no processor time\n", flags.Arg(0))
		return nil
	}
	if *svg {
		return flameGraph(stdout, p, flags.Arg(0))
	}
	return text(stdout, p)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// fetch asks a part's admin listener for a profile.
func fetch(ctx context.Context, address string, seconds int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, seconds), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", address, res.Status, bytes.TrimSpace(data)) // another profile may be under way
	}
	return data, nil
}

// cost is the processor time of a name: its own, and with what it calls.
type cost struct{ own, all time.Duration }

// text prints the operations and the functions that took the most.
func text(w io.Writer, p *profile.Profile) error {
	total, operations, calls := sum(p)
	elapsed := time.Duration(p.DurationNanos)
	fmt.Fprintf(w, "%v of processor time in %v: %.0f%% of a processor\n\n", total.Round(10*time.Millisecond), elapsed.Round(10*time.Millisecond), 100*float64(total)/float64(max(elapsed, 1)))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "share\ttime\t\toperation")
	for _, name := range ranked(operations, func(c cost) time.Duration { return c.all }) {
		fmt.Fprintf(tw, "%s\t%v\t\t%s\n", share(operations[name].all, total), operations[name].all, name)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "own\twith calls\t\tfunction")
	names := ranked(calls, func(c cost) time.Duration { return c.own })
	for _, name := range names[:min(len(names), functions)] {
		fmt.Fprintf(tw, "%s\t%s\t\t%s\n", share(calls[name].own, total), share(calls[name].all, total), name)
	}
	return tw.Flush()
}

func share(d, total time.Duration) string {
	return fmt.Sprintf("%.1f%%", 100*float64(d)/float64(max(total, 1)))
}

// ranked are the names of costs, the dearest first.
func ranked(costs map[string]cost, by func(cost) time.Duration) []string {
	return slices.SortedFunc(maps.Keys(costs), func(a, b string) int {
		return cmp.Or(cmp.Compare(by(costs[b]), by(costs[a])), cmp.Compare(a, b))
	})
}

// sum adds a profile up: in all, by operation, by function.
func sum(p *profile.Profile) (total time.Duration, operations, calls map[string]cost) {
	operations, calls = map[string]cost{}, map[string]cost{}
	for _, s := range p.Sample {
		d := time.Duration(s.Value[len(s.Value)-1]) // a CPU profile has samples and nanoseconds
		total += d
		operation := "(none: the runtime, connections, what runs by the clock)"
		if label := s.Label[telemetry.ProfileLabel]; len(label) > 0 {
			operation = label[0]
		}
		c := operations[operation]
		c.all += d
		operations[operation] = c
		seen := map[string]bool{}
		stack := frames(s)
		for i, name := range stack {
			c := calls[name]
			if i == len(stack)-1 {
				c.own += d
			}
			if !seen[name] { // recursion counts once
				c.all += d
			}
			calls[name], seen[name] = c, true
		}
	}
	return total, operations, calls
}

// frames are the functions of a sample's stack, the outermost first.
func frames(s *profile.Sample) (names []string) {
	for _, location := range slices.Backward(s.Location) {
		for _, line := range slices.Backward(location.Line) { // what was inlined is first
			if line.Function != nil {
				names = append(names, line.Function.Name)
			}
		}
	}
	return names
}
