package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/souk/internal/chaos"
)

// inUnrest replays into a shop of its own that is struck by one fault after the
// other. The shop's data is removed when the books are equal, and kept for a
// look when they are not.
func (d *drive) inUnrest(ctx context.Context, seed uint64) (err error) {
	if seed == 0 {
		seed = 1 + rand.Uint64N(1<<32) //nolint:gosec // a number to repeat, not to guess
	}
	if d.data, err = os.MkdirTemp("", "souk-replay-"); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "striking with seed %d; data in %s\n", seed, d.data)
	unrest, err := chaos.StartUnrest(ctx, d.data, seed)
	if err != nil {
		return errors.Join(err, os.RemoveAll(d.data))
	}
	defer func() {
		if err = errors.Join(err, unrest.Stop(context.WithoutCancel(ctx))); err == nil {
			err = os.RemoveAll(d.data)
		}
	}()
	if d.shop, err = state.Read(d.data); err != nil {
		return err
	}
	d.calm = func() error {
		struck, err := unrest.Calm()
		total := 0
		for _, n := range struck {
			total += n
		}
		fmt.Fprintf(d.out, "struck %d times, by %d faults:\n", total, len(struck))
		for _, name := range slices.Sorted(maps.Keys(struck)) {
			fmt.Fprintf(d.out, "  %s %d\n", name, struck[name])
		}
		fmt.Fprintln(d.out)
		if total == 0 {
			err = errors.Join(err, errors.New("no fault struck"))
		}
		return err
	}
	unrest.Begin(ctx)
	return d.run(ctx)
}
