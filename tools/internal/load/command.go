package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/souk-shop/souk/tools/internal/cli"
)

// Command is `souk load`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("load", `usage: souk load [flags]

Puts load on a running shop: actions start at the given rate whether or not
earlier ones have been answered, and latency counts from when one was due.
Exits with 1 if an action failed.

`, stderr)
	running := cli.Guest(flags)
	rate := flags.Float64("rate", 50, "actions a second")
	duration := flags.Duration("duration", 30*time.Second, "how long to go on; Ctrl-C ends it earlier")
	mix := flags.String("mix", "browse=60,search=20,cart=15,checkout=5", "shares of the actions")
	seed := flags.Uint64("seed", 1, "start of the random choices")
	timeout := flags.Duration("timeout", 30*time.Second, "when an action counts as an error")
	if err := flags.Parse(args); err != nil {
		return err
	}
	shares, err := ParseMix(*mix)
	if err != nil {
		return err
	}
	if flags.NArg() != 0 || *rate <= 0 || *duration <= 0 {
		flags.Usage()
		return errors.New("load takes no arguments, a rate above 0 and a duration above 0")
	}
	shop, err := running.Client()
	if err != nil {
		return err
	}
	l, err := Prepare(ctx, Options{
		Shop: shop, Rate: *rate, Duration: *duration, Mix: shares, Seed: *seed, Timeout: *timeout,
	})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	f, isFile := stdout.(*os.File)
	live := isFile && term.IsTerminal(int(f.Fd()))
	for shown := 0; ; {
		select {
		case <-tick.C:
			if live {
				if shown > 0 {
					fmt.Fprintf(stdout, "\x1b[%dA\x1b[J", shown) // up, and clear what was there
				}
				shown = printTable(stdout, l.Snapshot())
			}
		case err := <-done:
			if live && shown > 0 {
				fmt.Fprintf(stdout, "\x1b[%dA\x1b[J", shown)
			}
			snap := l.Snapshot()
			printTable(stdout, snap)
			return errors.Join(err, failures(stdout, snap))
		}
	}
}

// ParseMix reads "browse=60,checkout=5"; actions that are not named get no share.
func ParseMix(s string) (Mix, error) {
	m, sum := Mix{}, 0
	for part := range strings.SplitSeq(s, ",") {
		name, share, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(share)
		if err != nil || n < 0 || n > 1_000_000 {
			return nil, fmt.Errorf("the share in %q is not a number from 0 to 1,000,000", part)
		}
		if _, ok := DefaultMix[Action(name)]; !ok {
			return nil, fmt.Errorf("there is no action %q: they are %v", name, Actions)
		}
		m[Action(name)] = n
		sum += n
	}
	if sum == 0 {
		return nil, errors.New("the shares sum to zero")
	}
	return m, nil
}

// printTable returns the number of lines it wrote.
func printTable(w io.Writer, s Snapshot) int {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "action\trate/s\tdone\terrors\tp50\tp99\tmax\t")
	for _, r := range s.Rows {
		fmt.Fprintf(tw, "%s\t%.1f\t%d\t%d\t%s\t%s\t%s\t\n", r.Action, float64(r.Done)/s.Elapsed.Seconds(), r.Done, r.Errors,
			r.P50.Round(100*time.Microsecond), r.P99.Round(100*time.Microsecond), r.Max.Round(100*time.Microsecond))
	}
	_ = tw.Flush() // as with Fprintf: nothing can be done about a stream that is gone
	fmt.Fprintf(w, "%s, %d in flight, %d refused by the shop, %d not sent by the client\n",
		s.Elapsed.Round(time.Second), s.InFlight, s.Refused, s.Shed)
	return len(s.Rows) + 2
}

func failures(w io.Writer, s Snapshot) error {
	var n int64
	for _, r := range s.Rows {
		n += r.Errors
	}
	for _, e := range s.FirstErrors {
		fmt.Fprintln(w, "error:", e)
	}
	if n > 0 {
		return fmt.Errorf("%d actions failed", n)
	}
	return nil
}
