package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
)

// Unrest is a shop that is struck by one fault after the other, in an order
// left to chance, for whoever wants to do something in it meanwhile.
type Unrest struct {
	// Shop runs with a process for each service.
	Shop *localshop.Shop

	stage  *Stage
	faults []Fault
	calm   chan struct{} // closed when no strike is to begin any more
	stop   context.CancelFunc
	done   chan struct{}
	struck map[string]int // by fault; read after done
	failed []error        // strikes that could not be brought about; read after done
}

// StartUnrest starts a shop on an emptied data folder. Nothing strikes it until
// Begin. The seed decides which faults there are and when.
func StartUnrest(ctx context.Context, dir string, seed uint64) (*Unrest, error) {
	u := &Unrest{stage: &Stage{}, struck: map[string]int{}, done: make(chan struct{}), calm: make(chan struct{})}
	for _, f := range Faults() {
		if !f.Alone && f.Arrange == nil {
			u.faults = append(u.faults, f)
		}
	}
	if err := u.stage.raise(ctx, localshop.Options{Dir: dir, Fresh: true}, seed, nil); err != nil {
		return nil, err
	}
	u.Shop = u.stage.Shop
	return u, nil
}

// Begin strikes until Calm.
func (u *Unrest) Begin(ctx context.Context) {
	ctx, u.stop = context.WithCancel(ctx)
	go func() {
		defer close(u.done)
		var hand []Fault // each fault comes once before one comes again
		for ctx.Err() == nil {
			if len(hand) == 0 {
				hand = slices.Clone(u.faults)
				u.stage.Rand.Shuffle(len(hand), func(i, j int) { hand[i], hand[j] = hand[j], hand[i] })
			}
			u.strike(ctx, hand[0])
			hand = hand[1:]
			select {
			case <-u.calm:
				return
			case <-ctx.Done():
			case <-time.After(time.Second + time.Duration(u.stage.Rand.Int64N(int64(2*time.Second)))):
			}
		}
	}()
}

func (u *Unrest) strike(ctx context.Context, f Fault) {
	before, _ := u.stage.strikes()
	err := errors.Join(f.Strike(ctx, u.stage), u.stage.heal(context.WithoutCancel(ctx)))
	after, _ := u.stage.strikes()
	if after > before {
		u.struck[f.Name] += after - before
	}
	if err != nil && ctx.Err() == nil {
		u.failed = append(u.failed, fmt.Errorf("%s: %w", f.Name, err))
	}
}

// Calm lets the strike under way come to its end, after which the shop is healed,
// begins no other, and returns how often each fault struck. An error names the
// faults that could not be brought about.
func (u *Unrest) Calm() (struck map[string]int, err error) {
	close(u.calm)
	<-u.done
	return u.struck, errors.Join(u.failed...)
}

// Stop stops the shop.
func (u *Unrest) Stop(ctx context.Context) error {
	if u.stop != nil {
		u.stop()
		<-u.done
	}
	return u.stage.close(ctx)
}
