package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
)

// Fault is one way to break a shop.
type Fault struct {
	// Name as in `souk chaos --fault NAME`: lower case and dashes.
	Name string
	// Group is the kind of fault, such as "partition".
	Group string
	// Doc says in a line what happens.
	Doc string

	// Arrange changes how the shop is started and returns how to undo what it
	// did outside of the options; may be nil, and so may undo.
	Arrange func(*localshop.Options) (undo func() error, err error)
	// Strike breaks the shop, keeps it broken as long as the fault lasts and
	// heals it; it returns when the shop is healed. It calls Stage.Struck each
	// time that it has proof that the fault happened: the process's end, an
	// answer that was cut, the provider's own count. An error means that the
	// fault could not be brought about, and the run does not count.
	Strike func(ctx context.Context, s *Stage) error
	// Strikes is how often Strike is called in a run; 0 for as often as the run's
	// duration allows, once at least.
	Strikes int
	// Gentle faults are no excuse: not one call may fail.
	Gentle bool
	// Alone says that the fault needs a run of its own: it is the visitors', it
	// takes long, or it does nothing. Unrest leaves it out, and those with Arrange.
	Alone bool
}

// Stage is what a fault can reach.
type Stage struct {
	Shop *localshop.Shop
	// Wires are the connections between the shop's parts.
	Wires *Wires
	// Provider is the payment provider's simulator.
	Provider *Provider
	// Crowd are the visitors, for faults that are theirs.
	Crowd *Crowd
	// Rand decides what a fault leaves to chance, from the run's seed.
	Rand *rand.Rand

	mu     sync.Mutex
	struck int
	last   string
	missed []string
	env    map[string][]string
}

// raise starts a shop with a process for each service, whose wires can be cut.
// over, if it is not nil, has the last word on where a wire leads.
func (s *Stage) raise(ctx context.Context, opts localshop.Options, seed uint64, over func(from, to, addr string) (string, error)) error {
	s.Wires, s.env = NewWires(), map[string][]string{}
	s.Rand = rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance that can be repeated
	opts.Processes, opts.RestartPause = true, 200*time.Millisecond
	opts.Env, opts.Route = s.environ, s.Wires.Route
	if over != nil {
		opts.Route = func(from, to, addr string) (string, error) {
			addr, err := s.Wires.Route(from, to, addr)
			if err != nil {
				return "", err
			}
			return over(from, to, addr)
		}
	}
	var err error
	if s.Shop, err = localshop.Start(ctx, opts); err != nil {
		return errors.Join(fmt.Errorf("start the shop: %w", err), s.Wires.Close())
	}
	s.Provider = NewProvider(s.Shop.StripesimURL)
	return nil
}

// heal mends whatever is still broken.
func (s *Stage) heal(ctx context.Context) error {
	return errors.Join(s.Wires.Heal(), s.Provider.Heal(ctx))
}

// close stops the shop.
func (s *Stage) close(ctx context.Context) error {
	return errors.Join(s.Wires.Heal(), s.Shop.Stop(ctx), s.Wires.Close())
}

// Struck tells the run that the fault has happened, n times since the last call.
func (s *Stage) Struck(n int, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.struck += n
	if n > 0 {
		s.last = how
	}
}

// Missed notes a place that the fault would have struck at, had anybody come by.
func (s *Stage) Missed(where string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed = append(s.missed, where)
}

// strikes is how often the fault has happened, and how it did last.
func (s *Stage) strikes() (n int, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.struck, s.last
}

// SetEnv sets further environment variables ("NAME=value") of a service's next
// lives, until it is called again.
func (s *Stage) SetEnv(service string, vars ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.env[service] = vars
}

// environ is for localshop.Options.Env.
func (s *Stage) environ(service string, _ int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.env[service]
}

// Hold keeps the shop broken for d, or until ctx is done, which is an error.
func (s *Stage) Hold(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Find returns the fault of a name.
func Find(name string) (Fault, error) {
	for _, f := range Faults() {
		if f.Name == name {
			return f, nil
		}
	}
	return Fault{}, fmt.Errorf("no fault %q; see souk chaos --list", name)
}
