package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/state"
)

// cellsBench measures a shop in several numbers of cells.
type cellsBench struct {
	bench
	cells      []int
	processors float64 // for each cell; 0 for all that the machine has
	warmUp     time.Duration
	frozen     time.Duration // how long the outage is
}

// CellsResult is a shop of a number of cells.
type CellsResult struct {
	Cells int `json:"cells"`
	// Processors are what the whole shop had; 0 for all of the machine.
	Processors float64 `json:"processors"`
	// PerSecond are checkouts, by round; Factor is their median by that of the first number of
	// cells, and PerCell the same for each of the cells.
	PerSecond []float64 `json:"per_second"`
	Factor    float64   `json:"factor"`
	PerCell   float64   `json:"per_cell"`
	// CPUMillis is the processor time of an order, of all processes.
	CPUMillis float64 `json:"cpu_ms"`
	P50Millis float64 `json:"p50_ms"`
	P99Millis float64 `json:"p99_ms"`
}

func cellsCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench cells", `usage: souk bench cells [flags]

Weak scaling: starts a shop for each number of cells, which has so many processors for each of
its cells, and customers who order in proportion. It prints checkouts a second, by how much
more that is than with the first number, and the processor time of an order. All cells of a
shop are on one machine and one PostgreSQL, so this shows what routing and more
services cost, and not what more machines bring.

Then it freezes the order service of one cell of two while customers of both buy, and counts what
they get. It fails when customers of the other cell notice or the ledgers differ.

The quota of processors is a control group's, which takes root on Linux; without one the
shop has all processors, and the processor time of an order is what can be compared.

`, stderr)
	b := &cellsBench{bench: bench{progress: stderr}}
	numbers := flags.String("cells", "1,2,4", "the `numbers` of cells, separated by commas")
	flags.Float64Var(&b.processors, "cpu", 0.4, "processors for each cell; 0 for no quota")
	flags.IntVar(&b.rounds, "rounds", 3, "rounds of each number; the medians are printed")
	flags.DurationVar(&b.time, "time", 10*time.Second, "length of a round")
	flags.DurationVar(&b.warmUp, "warm-up", 3*time.Second, "time before each round")
	flags.DurationVar(&b.frozen, "frozen", 20*time.Second, "how long the order service of a cell is frozen, and what is measured before and after")
	flags.IntVar(&b.concurrency, "concurrency", 4, "customers that order at once, for each cell")
	flags.IntVar(&b.lines, "lines", 5, "lines of an order")
	flags.BoolVar(&b.json, "json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for text := range strings.SplitSeq(*numbers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return fmt.Errorf("--cells %q: %q is no number of cells", *numbers, text)
		}
		b.cells = append(b.cells, n)
	}
	if err := b.check(flags); err != nil {
		return err
	}
	if b.frozen <= 0 || b.warmUp < 0 {
		return errors.New("--frozen must be positive, and --warm-up not negative")
	}
	if b.processors < 0 || b.processors > 0 && b.processors < 0.05 {
		return fmt.Errorf("--cpu %v: it is 0, or 0.05 at least", b.processors)
	}
	dir, err := os.MkdirTemp("", "souk-cells-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	results, err := b.runCells(ctx, dir)
	if err != nil {
		return err
	}
	outages, failed := b.outage(ctx, filepath.Join(dir, "outage"), 2)
	if outages == nil && failed != nil {
		return fmt.Errorf("outage: %w", failed)
	}
	if b.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return errors.Join(enc.Encode(map[string]any{"scaling": results, "outage": outages}), failed)
	}
	return errors.Join(printCells(stdout, results), printOutage(stdout, outages), failed)
}

// runCells measures each number of cells in turn, round by round, so that a noisy minute of the
// machine meets all.
func (b *cellsBench) runCells(ctx context.Context, dir string) ([]CellsResult, error) {
	if b.processors > 0 {
		q, err := newQuota(b.processors)
		if err == nil {
			err = q.release(ctx)
		}
		if err != nil {
			fmt.Fprintf(b.progress, "no quota, for %v: every shop has all processors\n", err)
			b.processors = 0
		}
	}
	sides := make([]*Side, len(b.cells))
	for i := range sides {
		sides[i] = newSide("")
	}
	for round := range b.rounds {
		for i, n := range b.cells {
			if err := b.round(ctx, filepath.Join(dir, strconv.Itoa(n)), n, round, sides[i]); err != nil {
				return nil, fmt.Errorf("%d cells: %w", n, err)
			}
			fmt.Fprintf(b.progress, "round %d of %d, %d cells: %.1f checkouts a second\n", round+1, b.rounds, n, sides[i].PerSecond[round])
		}
	}
	results := make([]CellsResult, len(sides))
	for i, s := range sides {
		r := &results[i]
		r.Cells, r.Processors = b.cells[i], b.processors*float64(b.cells[i])
		r.PerSecond, r.P50Millis, r.P99Millis = s.PerSecond, s.P50Millis, s.P99Millis
		r.Factor = median(s.PerSecond) / median(sides[0].PerSecond)
		r.PerCell = r.Factor * float64(b.cells[0]) / float64(b.cells[i])
		for _, seconds := range s.CPUSeconds {
			r.CPUMillis += 1000 * seconds / float64(s.all.hist.TotalCount())
		}
	}
	return results, nil
}

// round measures a round of a shop that has its data in a folder.
func (b *cellsBench) round(ctx context.Context, dir string, cells, round int, side *Side) (err error) {
	var q *quota
	defer func() {
		if q != nil {
			err = errors.Join(err, q.release(ctx))
		}
	}()
	return withShop(ctx, nil, dir, nil, func(shop *child, st *state.State) error {
		buyer, err := newBuyer(ctx, st.URL, b.lines)
		if err != nil {
			return err
		}
		if b.processors > 0 {
			if q, err = newQuota(b.processors * float64(cells)); err != nil {
				return err
			}
			if err := q.hold(shop.cmd.Process.Pid); err != nil {
				return err
			}
		}
		buy := func(offset int) func(context.Context, int, int) error {
			return func(ctx context.Context, w, i int) error {
				_, err := buyer.checkout(ctx, w*1_000_003+round*100_003+offset+i)
				return err
			}
		}
		if _, err := closedLoop(ctx, b.concurrency*cells, b.warmUp, buy(50_000)); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
		side.pids = map[string]int{"souk": shop.cmd.Process.Pid, "postgres": st.PIDs["postgres"]}
		return side.measure(func() (sample, error) { return closedLoop(ctx, b.concurrency*cells, b.time, buy(0)) })
	}, "--cells", strconv.Itoa(cells), "--traces=false", "--metrics=false")
}

func printCells(w io.Writer, results []CellsResult) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "cells\tprocessors\tcheckouts/s\t\tof the first\tfor each cell\tCPU of an order\tp50\tp99\t")
	for _, r := range results {
		processors := "all"
		if r.Processors > 0 {
			processors = fmt.Sprintf("%.1f", r.Processors)
		}
		fmt.Fprintf(tw, "%d\t%s\t%.1f\t%.1f to %.1f\t%.2f\t%.2f\t%.1f ms\t%.0f ms\t%.0f ms\t\n", r.Cells, processors,
			median(r.PerSecond), slices.Min(r.PerSecond), slices.Max(r.PerSecond), r.Factor, r.PerCell, r.CPUMillis, r.P50Millis, r.P99Millis)
	}
	return tw.Flush()
}
