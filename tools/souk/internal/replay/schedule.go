package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/souk-shop/souk/tools/internal/history"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/souk/internal/chaos"
)

// withFaults replays into a shop of its own while one fault after the other, of those
// named or of all, is injected. The shop's data is removed when the ledgers are equal, and kept when
// they are not.
func (d *drive) withFaults(ctx context.Context, names string, seed uint64) (err error) {
	if seed == 0 {
		seed = 1 + rand.Uint64N(1<<32) // a number to repeat, not to guess
	}
	if d.data, err = os.MkdirTemp("", "souk-replay-"); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "injecting faults with seed %d; data in %s\n", seed, d.data)
	schedule, err := chaos.StartSchedule(ctx, d.data, names, seed)
	if err != nil {
		return errors.Join(err, os.RemoveAll(d.data))
	}
	defer func() {
		if err = errors.Join(err, schedule.Stop(context.WithoutCancel(ctx))); err == nil {
			err = os.RemoveAll(d.data)
		}
	}()
	if d.shop, err = state.Read(d.data); err != nil {
		return err
	}
	d.finish = func() error {
		injected, err := schedule.Finish()
		total := 0
		for _, n := range injected {
			total += n
		}
		fmt.Fprintf(d.out, "injected %d times, by %d faults:\n", total, len(injected))
		for _, name := range slices.Sorted(maps.Keys(injected)) {
			fmt.Fprintf(d.out, "  %s %d\n", name, injected[name])
		}
		for _, r := range schedule.Rebuilds() {
			fmt.Fprintln(d.out, &r)
		}
		fmt.Fprintln(d.out)
		if total == 0 {
			err = errors.Join(err, errors.New("no fault was injected"))
		}
		buyer, readErr := d.buyers()
		if err = errors.Join(err, readErr); readErr != nil {
			return err
		}
		told, toldErr := schedule.Told(ctx, buyer)
		if toldErr != nil {
			return errors.Join(err, toldErr)
		}
		return errors.Join(err, told.Print(d.out))
	}
	schedule.Begin(ctx)
	return d.run(ctx)
}

// buyers returns who bought an order: their address, "" for an order that is not in the history.
func (d *drive) buyers() (func(order string) string, error) {
	records, err := history.Read(d.history())
	if err != nil {
		return nil, err
	}
	sales := map[string]*Sale{}
	for _, e := range d.plan.Events {
		if e.Sale != nil {
			sales[e.key()] = e.Sale
		}
	}
	addresses := map[string]string{}
	for _, rec := range records {
		if sale := sales[rec.Key]; rec.Kind == history.KindOrder && sale != nil {
			addresses[rec.OrderID] = sale.email()
		}
	}
	return func(order string) string { return addresses[order] }, nil
}
