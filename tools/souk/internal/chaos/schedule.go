package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
)

// Schedule injects one fault after the other into a shop, in random order, while a
// caller uses the shop.
type Schedule struct {
	// Shop runs with a process for each service.
	Shop *localshop.Shop

	env      *Environment
	faults   []Fault
	finish   chan struct{} // closed when no fault is to be injected any more
	stop     context.CancelFunc
	done     chan struct{}
	injected map[string]int // by fault; read after done
	failed   []error        // faults that could not be injected; read after done
}

// StartSchedule starts a shop on an emptied data folder. No fault is injected
// until Begin. The seed decides which faults there are and when.
func StartSchedule(ctx context.Context, dir string, seed uint64) (*Schedule, error) {
	s := &Schedule{env: &Environment{}, injected: map[string]int{}, done: make(chan struct{}), finish: make(chan struct{})}
	for _, f := range Faults() {
		if !f.Alone && f.Arrange == nil {
			s.faults = append(s.faults, f)
		}
	}
	if err := s.env.start(ctx, localshop.Options{Dir: dir, Fresh: true}, seed, nil); err != nil {
		return nil, err
	}
	s.Shop = s.env.Shop
	return s, nil
}

// Begin injects faults until Finish.
func (s *Schedule) Begin(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	go func() {
		defer close(s.done)
		var round []Fault // each fault comes once before one comes again
		for ctx.Err() == nil {
			if len(round) == 0 {
				round = slices.Clone(s.faults)
				s.env.Rand.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
			}
			s.inject(ctx, round[0])
			round = round[1:]
			pause := time.NewTimer(time.Second + time.Duration(s.env.Rand.Int64N(int64(2*time.Second))))
			select {
			case <-s.finish:
				pause.Stop()
				return
			case <-ctx.Done():
				pause.Stop()
			case <-pause.C:
			}
		}
	}()
}

func (s *Schedule) inject(ctx context.Context, f Fault) {
	before, _ := s.env.injections()
	err := errors.Join(f.Inject(ctx, s.env), s.env.heal(context.WithoutCancel(ctx)))
	after, _ := s.env.injections()
	if after > before {
		s.injected[f.Name] += after - before
	}
	if err != nil && ctx.Err() == nil {
		s.failed = append(s.failed, fmt.Errorf("%s: %w", f.Name, err))
	}
}

// Finish waits for the end of the fault under way and for healing, and returns how
// often each fault was injected. An error names the faults that could not be.
func (s *Schedule) Finish() (injected map[string]int, err error) {
	close(s.finish)
	<-s.done
	return s.injected, errors.Join(s.failed...)
}

// Stop stops the shop.
func (s *Schedule) Stop(ctx context.Context) error {
	if s.stop != nil {
		s.stop()
		<-s.done
	}
	return s.env.close(ctx)
}
