package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	// Inject breaks the shop, keeps it broken as long as the fault lasts and
	// heals it; it returns when the shop is healed. It calls Environment.Injected each
	// time that it has proof that the fault happened: the process's end, an
	// answer that was cut, the provider's own count. An error means that the
	// fault could not be injected, and the run does not count.
	Inject func(ctx context.Context, e *Environment) error
	// Times is how often Inject is called in a run; 0 for as often as the run's
	// duration allows, once at least.
	Times int
	// Gentle means that not one call may fail.
	Gentle bool
	// Alone says that the fault needs a run of its own: the clients cause it, it
	// takes long, or it does nothing. A Schedule leaves it out, and those with Arrange.
	Alone bool
	// Breaks are the parts that it ends, stops or cuts off, nil for any of them.
	Breaks []string
	// Shown is how old a price may be that is shown while the fault lasts and after it; 0 where what is
	// shown is not looked at.
	Shown time.Duration
	// Forgets means that the broker loses what it had, so that it delivers what follows
	// first.
	Forgets bool
}

// Environment is what a fault can reach.
type Environment struct {
	Shop *localshop.Shop
	// Proxies are the connections between the shop's parts.
	Proxies *Proxies
	// Provider is the payment provider's simulator.
	Provider *Provider
	// Workload are the shoppers, for faults of clients.
	Workload *Workload
	witness  *witness
	// outside are those whom the shop tells.
	outside *outside
	// hold, where it is not nil, is closed when the fault may end: a fault that lasts for a while
	// lasts until then.
	hold <-chan struct{}
	// Rand decides what a fault leaves to chance, from the run's seed.
	Rand *rand.Rand

	mu        sync.Mutex
	injected  int
	last      string
	unreached []string
	rebuilds  []Rebuild
	gaps      Gaps
	env       map[string][]string
	// always are variables of all lives of a service; SetEnv adds to them.
	always map[string][]string
}

// start starts a shop with a process for each service and a proxy in each
// connection. over, if it is not nil, changes where a proxy leads.
func (e *Environment) start(ctx context.Context, opts localshop.Options, seed uint64, over func(dir, from, to, addr string) (string, error)) error {
	e.Proxies, e.env = NewProxies(), map[string][]string{}
	e.Rand = rand.New(rand.NewPCG(seed, 0)) // chance that can be repeated
	if e.outside != nil {
		leads, err := e.outside.lead(e.Proxies)
		if err != nil {
			return errors.Join(err, e.Proxies.Close())
		}
		e.always = map[string][]string{notifier: leads}
	}
	opts.Processes, opts.Redis, opts.RestartPause, opts.Events = true, cmp.Or(opts.Redis, localshop.OneRedis), 200*time.Millisecond, localshop.EmbeddedEvents
	opts.Replica = opts.Cells <= 1 // cells have none
	opts.Env, opts.Route = e.environ, e.Proxies.Route
	if over != nil {
		opts.Route = func(from, to, addr string) (string, error) {
			addr, err := e.Proxies.Route(from, to, addr)
			if err != nil {
				return "", err
			}
			return over(opts.Dir, from, to, addr)
		}
	}
	var err error
	if e.Shop, err = localshop.Start(ctx, opts); err != nil {
		return errors.Join(fmt.Errorf("start the shop: %w", err), e.Proxies.Close())
	}
	e.Provider = NewProvider(e.Shop.StripesimURL)
	return nil
}

// heal ends whatever fault is left.
func (e *Environment) heal(ctx context.Context) error {
	return errors.Join(e.Proxies.Heal(), e.Provider.Heal(ctx))
}

// close stops the shop.
func (e *Environment) close(ctx context.Context) error {
	return errors.Join(e.Proxies.Heal(), e.Shop.Stop(ctx), e.Proxies.Close())
}

// Injected reports that the fault has happened, n times since the last call.
func (e *Environment) Injected(n int, how string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.injected += n
	if n > 0 {
		e.last = how
	}
}

// Unreached notes a place for the fault that no call reached.
func (e *Environment) Unreached(where string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unreached = append(e.unreached, where)
}

// injections is how often the fault has happened, and how it did last.
func (e *Environment) injections() (n int, how string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.injected, e.last
}

// SetEnv sets further environment variables ("NAME=value") of a service's next
// lives, until it is called again.
func (e *Environment) SetEnv(service string, vars ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.env[service] = vars
}

// front is where shoppers go: the shop, or its second gateway where it has several, of which the faults
// break the first.
func (e *Environment) front() string {
	if further := e.Shop.Gateways(); len(further) > 0 {
		return further[0].URL
	}
	return e.Shop.URL
}

// fronts are all places where shoppers can go and that the faults do not break.
func (e *Environment) fronts() []string {
	urls := []string{e.front()}
	for _, g := range e.Shop.Gateways()[min(1, len(e.Shop.Gateways())):] {
		urls = append(urls, g.URL)
	}
	return urls
}

// environ is for localshop.Options.Env.
func (e *Environment) environ(service string, _ int) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Concat(e.always[service], e.env[service])
}
