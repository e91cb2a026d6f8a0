// Package cells is `souk cells`: where the buckets of a shop in cells are, and moving them.
package cells

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/move"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
)

// Command is `souk cells`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("cells", `usage: souk cells [flags] [move BUCKETS CELL]

Says in which cell the buckets of a running shop are (souk up --cells), or moves some to
another cell, while the shop sells: "souk cells move 0-63,512 c2". Writes of a bucket wait
for part of a second. After a failure the same command goes on.

`, stderr)
	running := cli.Data(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	moves := flags.Arg(0) == "move" && flags.NArg() == 3
	if flags.NArg() != 0 && !moves {
		flags.Usage()
		return errors.New("cells takes no arguments, or move, buckets and a cell")
	}
	shop, err := running.Find()
	if err != nil {
		return err
	}
	services := localshop.CellsOf(shop.Postgres)
	if len(services) == 0 {
		return errors.New("the shop is not in cells: souk up --cells 2 starts one that is")
	}
	m, err := move.Open(ctx, move.Config{Services: services, Look: !moves})
	if err != nil {
		return err
	}
	defer m.Close()
	if !moves {
		return list(ctx, m, stdout)
	}
	buckets, err := cell.ParseSet(flags.Arg(1))
	if err != nil {
		return err
	}
	return moveAll(ctx, m, buckets, flags.Arg(2), stdout)
}

// list prints which cell has which buckets, and those that are on their way.
func list(ctx context.Context, m *move.Mover, w io.Writer) error {
	places, err := m.Places(ctx)
	if err != nil {
		return err
	}
	type key struct{ service, cell string }
	has, lost := map[key]cell.Set{}, []move.Place(nil)
	for _, p := range places {
		if p.Other != "" {
			lost = append(lost, p)
		}
		if p.Cell == "" {
			continue
		}
		k := key{p.Service, p.Cell}
		s := has[k]
		s.Add(p.Bucket)
		has[k] = s
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "service\tcell\tbuckets")
	keys := slices.SortedFunc(maps.Keys(has), func(a, b key) int {
		return slices.Compare([]string{a.service, a.cell}, []string{b.service, b.cell})
	})
	for _, k := range keys {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", k.service, k.cell, has[k])
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, p := range lost {
		what := "has left " + p.From + ", and is not in " + p.Other + " yet: its customers get 503"
		if p.Cell != "" {
			what = "is being copied from " + p.Cell + " to " + p.Other
		}
		fmt.Fprintf(w, "Bucket %d of %s %s; repeat the command that moves it.\n", p.Bucket, p.Service, what)
	}
	return nil
}

// moveAll moves buckets one after another.
func moveAll(ctx context.Context, m *move.Mover, buckets cell.Set, to string, w io.Writer) error {
	var held []time.Duration
	var rows int64
	begun := time.Now()
	for b := range cell.Bucket(cell.Buckets) {
		if !buckets.Has(b) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := m.Move(ctx, b, to)
		if err != nil {
			return err
		}
		if r.From == "" {
			fmt.Fprintf(w, "Bucket %d is in %s.\n", b, to)
			continue
		}
		var n int64
		for _, of := range r.Rows {
			n += of
		}
		fmt.Fprintf(w, "Bucket %d: %d orders, %d payments, %d carts, %d rows in all from %s to %s in %s; writes were held for %s.\n",
			b, r.Rows["order.orders"], r.Rows["payment.attempts"], r.Rows["cart.carts"], n, r.From, to, r.Took.Round(time.Millisecond), r.Held.Round(time.Millisecond))
		held, rows = append(held, r.Held), rows+n
	}
	if len(held) > 1 {
		slices.Sort(held)
		fmt.Fprintf(w, "%d buckets, %d rows in %s; writes of one were held for %s at the median, %s at most.\n",
			len(held), rows, time.Since(begun).Round(time.Millisecond), held[len(held)/2].Round(time.Millisecond), held[len(held)-1].Round(time.Millisecond))
	}
	return nil
}
