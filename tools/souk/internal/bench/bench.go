// Package bench measures the shop against its limits, in one run on one
// machine: reading against a bare chi handler that writes the same bytes,
// checkout against the same SQL statements and commits issued by a bare loop
// against the same PostgreSQL, and against pgbench's TPC-B there. Absolute figures
// belong to the machine; the ratios are the claim.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
)

type bench struct {
	rounds      int
	time        time.Duration
	concurrency int
	lines       int
	only        string // read or checkout; "" for both
	json        bool
	progress    io.Writer
	results     []Result
	notes       []string // what was not measured, and why
}

// Result is a comparison.
type Result struct {
	Name  string `json:"name"`
	Souk  Side   `json:"souk"`
	Limit Side   `json:"limit"`
	// Ratio is the median over the rounds of Souk's throughput by the limit's.
	Ratio float64 `json:"ratio"`
}

// Side is what was measured of one of two.
type Side struct {
	Name      string    `json:"name"`
	PerSecond []float64 `json:"per_second"` // by round
	P50Millis float64   `json:"p50_ms"`
	P99Millis float64   `json:"p99_ms"`
	// CPUSeconds and PeakBytes are by process; PostgreSQL counts with its
	// backends, as they are at the end of a round.
	CPUSeconds map[string]float64 `json:"cpu_seconds,omitempty"`
	PeakBytes  map[string]int64   `json:"peak_bytes,omitempty"`

	pids map[string]int
	all  sample
}

func newSide(name string) *Side {
	return &Side{Name: name, CPUSeconds: map[string]float64{}, PeakBytes: map[string]int64{}, all: sample{hist: newHistogram()}}
}

// measure runs one round and adds what the processes used for it.
func (s *Side) measure(round func() (sample, error)) error {
	before := map[string]usage{}
	for name, pid := range s.pids {
		u, err := usageOf(pid, name == "postgres")
		if err != nil {
			return err
		}
		before[name] = u
	}
	m, err := round()
	if err != nil {
		return err
	}
	s.PerSecond = append(s.PerSecond, m.rate())
	s.all.hist.Merge(m.hist)
	s.all.elapsed += m.elapsed
	s.P50Millis = float64(s.all.quantile(50)) / float64(time.Millisecond)
	s.P99Millis = float64(s.all.quantile(99)) / float64(time.Millisecond)
	for name, pid := range s.pids {
		u, err := usageOf(pid, name == "postgres")
		if err != nil {
			return err
		}
		s.CPUSeconds[name] += (u.cpu - before[name].cpu).Seconds()
		s.PeakBytes[name] = max(s.PeakBytes[name], u.peak)
	}
	return nil
}

func (b *bench) add(name string, souk, limit *Side) {
	ratios := make([]float64, len(souk.PerSecond))
	for i := range ratios {
		ratios[i] = souk.PerSecond[i] / limit.PerSecond[i]
	}
	r := Result{Name: name, Souk: *souk, Limit: *limit, Ratio: median(ratios)}
	b.results = append(b.results, r)
	fmt.Fprintf(b.progress, "%s: %.2f of the limit\n", name, r.Ratio)
}

// perSecond keeps what a slow side does legible.
func perSecond(rate float64) string {
	if rate < 10 {
		return fmt.Sprintf("%.2f", rate)
	}
	return fmt.Sprintf("%.0f", rate)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	if n%2 == 1 {
		return x[n/2]
	}
	return (x[n/2-1] + x[n/2]) / 2
}

// Command is `souk bench`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "scale":
			return scaleCommand(ctx, args[1:], stdout, stderr)
		case "freshness":
			return freshnessCommand(ctx, args[1:], stdout, stderr)
		case "replicas":
			return replicasCommand(ctx, args[1:], stdout, stderr)
		case "launch":
			return launchCommand(ctx, args[1:], stdout, stderr)
		case "cells":
			return cellsCommand(ctx, args[1:], stdout, stderr)
		case "edge":
			return edgeCommand(ctx, args[1:], stdout, stderr)
		case "peers":
			return peersCommand(ctx, args[1:], stdout, stderr)
		case "curve":
			return curveCommand(ctx, args[1:], stdout, stderr)
		case "shops":
			return shopsCommand(ctx, args[1:], stdout, stderr)
		case "against":
			return againstCommand(ctx, args[1:], stdout, stderr)
		}
	}
	flags := cli.Flags("bench", `usage: souk bench [flags]
       souk bench scale [flags]
       souk bench freshness [flags]
       souk bench replicas [flags]
       souk bench launch [flags]
       souk bench edge [flags]
       souk bench cells [flags]
       souk bench peers [flags]
       souk bench against [flags]
       souk bench shops [flags]
       souk bench curve [flags]

Starts a shop of its own in a temporary folder and measures it against its
limits in the same run: reading against a bare chi handler that writes the same
bytes, checkout against the same SQL issued by a bare pgx loop against the same
PostgreSQL, and against the TPC-B of pgbench, where there is one: how many
checkouts the shop does for a transaction of a benchmark that everybody knows.

"souk bench scale" measures how reads grow with the catalog, "souk bench freshness"
how soon a change is shown, with the broker of events and without it, "souk bench
replicas" counts reads that lack the reader's own write, "souk bench launch" sells one
SKU to thousands of buyers at once, "souk bench edge" reads through an edge and without it
while prices change and while the catalog hangs, "souk bench cells" measures weak scaling over
cells, "souk bench peers" counts what gateways ask of the catalog for each change, as peers and
alone, "souk bench against" compares with another build of the shop, or with other flags of "souk up",
"souk bench shops" compares with shops of another make, "souk bench curve" draws what few and many
buyers get in small and large shops.

`, stderr)
	b := &bench{progress: stderr}
	b.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := b.check(flags); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "souk-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.run(ctx, dir); err != nil {
		return err
	}
	return b.report(stdout)
}

// flags are those of each comparison.
func (b *bench) flags(flags *flag.FlagSet) {
	flags.StringVar(&b.only, "only", "", "measure only `read` or checkout")
	flags.IntVar(&b.rounds, "rounds", 3, "rounds of each side; the ratio is their median")
	flags.DurationVar(&b.time, "time", 5*time.Second, "length of a round")
	flags.IntVar(&b.concurrency, "concurrency", 16, "connections that read, customers that order")
	flags.IntVar(&b.lines, "lines", 5, "lines of an order")
	flags.BoolVar(&b.json, "json", false, "print the results as JSON")
}

func (b *bench) check(flags *flag.FlagSet) error {
	if flags.NArg() == 0 && b.rounds > 0 && b.time > 0 && b.concurrency > 0 && b.lines > 0 && slices.Contains([]string{"", "read", "checkout"}, b.only) {
		return nil
	}
	flags.Usage()
	return errors.New("bench takes no arguments; its numbers must be positive, and --only is read or checkout")
}

func (b *bench) report(w io.Writer) error {
	if !b.json {
		return b.print(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(b.results)
}

func (b *bench) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\t\tper second\tp50\tp99\tCPU\tpeak memory\tratio")
	for _, r := range b.results {
		for i, s := range []Side{r.Souk, r.Limit} {
			name, ratio := r.Name, fmt.Sprintf("%.2f", r.Ratio)
			if r.Ratio < 0.1 {
				ratio = fmt.Sprintf("%.4f", r.Ratio)
			}
			if i == 1 {
				name, ratio = "", "1"
			}
			var cpu, peak []string
			for _, p := range slices.Sorted(maps.Keys(s.CPUSeconds)) {
				cpu = append(cpu, fmt.Sprintf("%s %.1f s", p, s.CPUSeconds[p]))
				peak = append(peak, fmt.Sprintf("%s %d MiB", p, s.PeakBytes[p]>>20))
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%.2f ms\t%.2f ms\t%s\t%s\t%s\n",
				name, s.Name, perSecond(median(s.PerSecond)), s.P50Millis, s.P99Millis, strings.Join(cpu, ", "), strings.Join(peak, ", "), ratio)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, note := range b.notes {
		fmt.Fprintln(w, note)
	}
	return nil
}

// conclude writes a result as JSON or as it prints itself, and fails where promises are broken.
func conclude(w io.Writer, asJSON bool, result any, text func(io.Writer) error, broken []string) (err error) {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		err = enc.Encode(result)
	} else {
		err = text(w)
	}
	if len(broken) > 0 {
		err = errors.Join(err, fmt.Errorf("%d promises were not kept", len(broken)))
	}
	return err
}
