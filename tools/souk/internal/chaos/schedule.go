package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// Schedule injects one fault after the other into a shop, in random order, while a
// caller uses the shop.
type Schedule struct {
	// Shop runs with a process for each service.
	Shop *localshop.Shop

	env *Environment
	// outside are those whom the shop tells.
	outside  *outside
	faults   []Fault
	finish   chan struct{} // closed when no fault is to be injected any more
	stop     context.CancelFunc
	done     chan struct{}
	injected map[string]int // by fault; read after done
	failed   []error        // faults that could not be injected; read after done
	// repeats is how many mails the faults may have had sent twice, and forgets is Fault.Forgets
	// of one of them; read after done.
	repeats int
	forgets bool
}

// StartSchedule starts a shop on an emptied data folder, with a mail server and an endpoint of
// webhooks outside of it. No fault is injected until Begin. Names are patterns of faults with
// commas between, as those of souk chaos --fault; "" stands for all that can follow one another. The
// seed decides in which order they come, and when.
func StartSchedule(ctx context.Context, dir, names string, seed uint64) (_ *Schedule, err error) {
	s := &Schedule{injected: map[string]int{}, done: make(chan struct{}), finish: make(chan struct{}), faults: scheduled()}
	if names != "" {
		if s.faults, err = named(s.faults, names); err != nil {
			return nil, fmt.Errorf("%w, and some of them need a run of their own", err)
		}
	}
	if s.outside, err = newOutside(ctx); err != nil {
		return nil, err
	}
	s.env = &Environment{witness: newWitness(), outside: s.outside}
	if err := s.env.start(ctx, localshop.Options{Dir: dir, Fresh: true}, seed, nil); err != nil {
		return nil, errors.Join(err, s.outside.close())
	}
	s.Shop = s.env.Shop
	owner := shopclient.New(s.Shop.URL).WithToken(s.Shop.OperatorToken)
	defer owner.Close()
	if err := cmp.Or(s.env.witness.watch(ctx, s.Shop), s.outside.register(ctx, owner)); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// scheduled are the faults that can follow one another in one shop.
func scheduled() []Fault {
	return slices.DeleteFunc(Faults(), func(f Fault) bool { return f.Alone || f.Arrange != nil })
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
	if n := after - before; n > 0 {
		s.injected[f.Name] += n
		s.forgets = s.forgets || f.Forgets
		if f.repeatsMails() {
			s.repeats += mailWorkers * n
		}
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

// Rebuilds are how the shop went on after losses of its broker's data. It follows Finish.
func (s *Schedule) Rebuilds() []Rebuild { return s.env.rebuilds }

// Told waits until the shop is at rest and has told others all that it has to, and compares what
// came there, and what its broker delivered, with what was committed. It follows Finish. buyer
// returns the address of the buyer of an order.
func (s *Schedule) Told(ctx context.Context, buyer func(order string) string) (*Told, error) {
	if _, err := rest(ctx, s.env, settleLimit); err != nil {
		return nil, fmt.Errorf("the shop's databases: %w", err)
	}
	t := &trial{ev: &evidence{}, witness: s.env.witness, forgets: s.forgets, repeats: s.repeats, buyer: buyer}
	var err error
	if t.outstanding, err = tell(ctx, s.env, tellLimit); err != nil {
		return nil, fmt.Errorf("the shop's databases: %w", err)
	}
	if err := cmp.Or(t.ev.readEvents(ctx, s.Shop, s.env.witness), t.ev.readOutside(ctx, s.Shop, s.outside)); err != nil {
		return nil, fmt.Errorf("gather evidence: %w", err)
	}
	return t.told(s.outside.url), nil
}

// Stop stops the shop.
func (s *Schedule) Stop(ctx context.Context) error {
	if s.stop != nil {
		s.stop()
		<-s.done
	}
	return errors.Join(s.env.witness.stop(), s.env.close(ctx), s.outside.close())
}
