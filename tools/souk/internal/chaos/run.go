package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	plentyUnits = 1_000_000
	scarceUnits = 12
	// warmUp is how many orders are accepted before the first injection.
	warmUp = 40
	// injectPause is the pause between two injections.
	injectPause = 500 * time.Millisecond
	// enoughWithin is how long after healing the workload goes on to reach the number
	// of orders.
	enoughWithin = 3 * time.Minute
	// controlTellLimit is tellLimit of a control: who waits for what was lost waits in vain.
	controlTellLimit = 10 * time.Second
	// drainWithin is how long the shoppers may take to finish what they began.
	drainWithin = 90 * time.Second
)

// Options say how a run goes.
type Options struct {
	Fault Fault
	// Duration is how long the fault is repeated; one that lasts longer ends
	// later.
	Duration time.Duration
	// Orders is how many must be accepted for the run to count.
	Orders int
	// Seed decides all that is left to chance in the workload and the fault. (What
	// the machine's scheduler does is not repeated.)
	Seed uint64
	// Dir is the shop's data folder; it is emptied.
	Dir string
	// Exec is localshop.Options.Exec.
	Exec []string
	// Progress is called several times a second with the state of the run; may be nil.
	Progress func(Status)
	// Asynchronous is localshop.Options.Asynchronous: a control, which has to lose.
	Asynchronous bool

	sabotage *sabotage
}

// Status is how a run goes.
type Status struct {
	Fault, Phase string
	Elapsed      time.Duration
	Accepted     int
	Injected     int
	Failed       int
	Worst        time.Duration
}

// Result is the outcome of a run.
type Result struct {
	Fault string `json:"fault"`
	Group string `json:"group"`
	Seed  uint64 `json:"seed"`
	// Injected is how often the fault happened, and How what proved it last.
	Injected int    `json:"injected"`
	How      string `json:"how"`
	// Unreached are the places for the fault that no call reached.
	Unreached []string `json:"unreached,omitempty"`
	// Accepted orders, and how they ended.
	Accepted  int `json:"accepted"`
	Paid      int `json:"paid"`
	Cancelled int `json:"cancelled"`
	// Calls that the shoppers made, and how many were not answered well.
	Calls  int `json:"calls"`
	Failed int `json:"failed"`
	// Recovery is how long after healing the last order from before was settled.
	Recovery time.Duration `json:"recovery_ns"`
	// Rest is how long after the workload had ended nothing was under way any more.
	Rest time.Duration `json:"rest_ns"`
	// Worst is the longest that an answered call took.
	Worst time.Duration `json:"worst_ns"`
	Took  time.Duration `json:"took_ns"`
	// Rebuilds are how it went on after losses of the broker's data.
	Rebuilds []Rebuild `json:"rebuilds,omitempty"`
	// Gaps are the longest times without a write and a read, under faults that measure them.
	Gaps Gaps `json:"gaps"`
	// Shown is how old the prices were that were shown, under faults of what shows them.
	Shown Shown `json:"shown"`
	// Messages are what others were told.
	Messages Messages `json:"messages"`
	// Violations by invariant.
	Violations map[string][]string `json:"violations"`
	// Undecided histories were too tangled to be judged in time.
	Undecided int `json:"undecided"`
	// Void says why the run does not count; empty when it does.
	Void string `json:"void,omitempty"`
	// Data is the run's data folder, if it was kept.
	Data string `json:"data,omitempty"`
}

// Messages counts what others were told by the shop, with what they were told again.
type Messages struct {
	Mails         int `json:"mails"`
	MailsAgain    int `json:"mails_again"`
	Webhooks      int `json:"webhooks"`
	WebhooksAgain int `json:"webhooks_again"`
}

// Kept says that the run counts and that every invariant was kept.
func (r *Result) Kept() bool { return r.Void == "" && len(r.Violations) == 0 }

// Run makes one run. An error means that it could not be made to its end; that
// the shop broke an invariant is in the result.
func Run(ctx context.Context, opts Options) (_ *Result, err error) {
	began := time.Now()
	r, end, err := open(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	res, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	res.Took = time.Since(began)
	return res, nil
}

// open starts the shop of a run and those outside of it; end stops them.
func open(ctx context.Context, opts Options) (_ *run, end func() error, err error) {
	var ends []func() error
	stop := func() error {
		var err error
		for _, f := range slices.Backward(ends) {
			err = errors.Join(err, f())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	shopOpts := localshop.Options{Dir: opts.Dir, Fresh: true, Exec: opts.Exec, Asynchronous: opts.Asynchronous}
	if opts.Fault.Arrange != nil {
		undo, err := opts.Fault.Arrange(&shopOpts)
		if err != nil {
			return nil, nil, fmt.Errorf("arrange %s: %w", opts.Fault.Name, err)
		}
		if undo != nil {
			ends = append(ends, undo)
		}
	}
	told, err := newOutside(ctx)
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, told.close)
	r := &run{
		Options: opts, rec: newRecord(), phase: "start", outside: told,
		env: &Environment{outside: told},
	}
	hide := r.show()
	ends = append(ends, func() error { hide(); return nil })
	if opts.sabotage == nil {
		r.sabotage = &sabotage{}
	}
	if err := r.env.start(ctx, shopOpts, opts.Seed, r.sabotage.route); err != nil {
		return nil, nil, err
	}
	ends = append(ends, func() error { return r.env.close(context.WithoutCancel(ctx)) })
	r.env.witness = newWitness()
	if err := r.env.witness.watch(ctx, r.env.Shop); err != nil {
		return nil, nil, err
	}
	ends = append(ends, r.env.witness.stop)
	return r, stop, nil
}

// run is a run under way.
type run struct {
	Options
	env *Environment
	rec *record
	// outside are those whom the shop tells.
	outside *outside
	goods   map[string]int64 // units at first, by SKU
	// shown and wronglyShown are what a showcase has seen.
	shown        Shown
	wronglyShown []string

	mu     sync.Mutex
	phase  string
	healed time.Time
}

func (r *run) run(ctx context.Context) (*Result, error) {
	workload, done, err := r.shoppers(ctx)
	if err != nil {
		return nil, err
	}
	defer done()

	begin, stopNew := context.WithCancel(ctx)
	defer stopNew()
	running, abort := context.WithCancel(ctx)
	defer abort()
	left := make(chan struct{})
	go func() {
		defer close(left)
		workload.run(running, begin)
	}()
	r.enter("warm up")
	r.until(ctx, time.Minute, func() bool { return r.rec.accepted() >= warmUp })

	shown := newShowcase(workload, r.env.fronts(), r.Fault.Shown)
	if r.Fault.Shown > 0 {
		shown.run(ctx)
	}
	defer shown.stop()
	injectErr := r.inject(ctx)
	r.healed = time.Now()
	healErr := r.env.heal(ctx)
	workload.SetBehavior(Behavior{})
	r.enter("healed")
	r.until(ctx, enoughWithin, func() bool { return r.rec.accepted() >= r.Orders })
	r.enter("finish")
	r.shown, r.wronglyShown = shown.end()
	stopNew()
	timeout := time.AfterFunc(drainWithin, abort)
	<-left
	timeout.Stop()
	if err := errors.Join(ctx.Err(), healErr); err != nil {
		return nil, err
	}
	res, err := r.judge(ctx, workload)
	if err != nil {
		return nil, err
	}
	if injectErr != nil {
		res.Void = "the fault could not be injected: " + injectErr.Error()
	}
	return res, nil
}

// shoppers returns those of the run, whose goods are on sale; done is called after them.
func (r *run) shoppers(ctx context.Context) (_ *Workload, done func(), err error) {
	shop, owner, done, err := r.clients(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = r.outside.register(ctx, owner)
	var g *goods
	if err == nil {
		g, err = r.stock(ctx, owner)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	r.env.Workload = newWorkload(shop, owner, g, r.rec, r.Seed)
	return r.env.Workload, done, nil
}

// clients returns the shoppers' client and the operator's.
func (r *run) clients(ctx context.Context) (shop, owner *shopclient.Client, done func(), err error) {
	url, end := r.env.front(), func() {}
	if r.sabotage.front != nil {
		if url, end, err = r.sabotage.front(ctx, url); err != nil {
			return nil, nil, nil, err
		}
	}
	shop = shopclient.New(url)
	return shop, shop.WithToken(r.env.Shop.OperatorToken), func() { shop.Close(); end() }, nil
}

// stock puts the run's goods on sale.
func (r *run) stock(ctx context.Context, owner *shopclient.Client) (*goods, error) {
	g := &goods{}
	r.goods = map[string]int64{}
	var csv strings.Builder
	csv.WriteString("code,sku,name,description,category,price,currency,stock\n")
	for i := range 16 {
		sku, units := fmt.Sprintf("CHAOS-%02d", i), int64(plentyUnits)
		if i < 4 {
			units = scarceUnits
			g.scarce = append(g.scarce, sku)
		} else {
			g.plenty = append(g.plenty, sku)
		}
		r.goods[sku] = units
		fmt.Fprintf(&csv, "%s,%s,Thing of chaos %d,,chaos,%d.%02d,GBP,%d\n", sku, sku, i, 1+i, 5*i, units)
	}
	if r.Fault.Shown > 0 {
		for i := range shownSKUs {
			sku := fmt.Sprintf("CHAOS-SHOWN-%d", i)
			g.shown, r.goods[sku] = append(g.shown, sku), plentyUnits
			fmt.Fprintf(&csv, "%s,%s,Thing that is shown %d,,chaos,%d.%02d,GBP,%d\n", sku, sku, i, firstPrice/100, firstPrice%100, plentyUnits)
		}
	}
	if _, err := owner.ImportProducts(ctx, strings.NewReader(csv.String())); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if r.sabotage.started != nil {
		return g, r.sabotage.started(ctx, r.env.Shop)
	}
	return g, nil
}

// inject injects the fault until the time is over or it was injected often enough.
func (r *run) inject(ctx context.Context) error {
	began := time.Now()
	for n := 1; ; n++ {
		r.enter("inject")
		if err := r.Fault.Inject(ctx, r.env); err != nil {
			return err
		}
		if r.Fault.Times > 0 && n >= r.Fault.Times || r.Fault.Times == 0 && time.Since(began)+injectPause >= r.Duration {
			return ctx.Err()
		}
		r.enter("pause")
		if err := retry.Sleep(ctx, injectPause); err != nil {
			return err
		}
	}
}

// judge waits for rest, asks every question again, and compares.
func (r *run) judge(ctx context.Context, workload *Workload) (*Result, error) {
	r.enter("rest")
	ended := time.Now()
	left, err := rest(ctx, r.env, settleLimit)
	if err != nil {
		return nil, fmt.Errorf("the shop's databases: %w", err)
	}
	t := &trial{rec: r.rec, goods: r.goods, gentle: r.Fault.Gentle, witness: r.env.witness, forgets: r.Fault.Forgets, healed: r.healed, left: left}
	res := &Result{Fault: r.Fault.Name, Group: r.Fault.Group, Seed: r.Seed, Rest: time.Since(ended)}
	r.enter("repeat")
	accepted := r.rec.accepted()
	silent := r.repeatAll(ctx, workload)
	sells := r.buyOnce(ctx, workload)
	if _, err = rest(ctx, r.env, settleLimit); err != nil {
		return nil, fmt.Errorf("the shop's databases: %w", err)
	}
	r.enter("tell")
	limit := tellLimit
	if r.Asynchronous {
		limit = controlTellLimit
	}
	if t.outstanding, err = tell(ctx, r.env, limit); err != nil {
		return nil, fmt.Errorf("the shop's databases: %w", err)
	}
	t.atRest = time.Now()
	r.enter("audit")
	if t.ev, err = gather(ctx, r.env.Shop, r.env.witness, r.outside); err != nil {
		return nil, fmt.Errorf("gather evidence: %w", err)
	}
	t.rebuilds, res.Rebuilds = r.env.rebuilds, r.env.rebuilds
	t.gaps, res.Gaps = r.env.gaps, r.env.gaps
	t.wronglyShown, res.Shown = r.wronglyShown, r.shown
	t.buyer = func(order string) string { return address(t.ev.orders[order].key) }
	res.Injected, res.How = r.env.injections()
	if r.Fault.repeatsMails() {
		t.repeats = mailWorkers * res.Injected
	}
	broken, undecided := t.check()
	if silent > 0 {
		broken.add(SettlesInTime, "%d of %d accepted orders gave no answer when they were placed again, for %s", silent, accepted, settleLimit)
	}
	if sells != nil {
		broken.add(SettlesInTime, "the healed shop does not sell: %v", sells)
	}
	res.Violations, res.Undecided = broken, undecided
	res.Recovery, res.Worst, res.Calls, res.Failed = t.recovery(), r.rec.worst, r.rec.calls, len(r.rec.failed)
	res.Messages = t.messages()
	res.Unreached = r.env.unreached
	res.Accepted = accepted
	for _, o := range t.ev.orders {
		switch o.state {
		case "paid":
			res.Paid++
		case "cancelled":
			res.Cancelled++
		}
	}
	switch {
	case res.Injected == 0:
		res.Void = "the fault was never injected"
	case r.Fault.Shown > 0 && (res.Shown.Changes == 0 || res.Shown.Looks == 0):
		res.Void = "no shopper looked at a price that has changed"
	case res.Accepted < r.Orders:
		res.Void = fmt.Sprintf("%d orders were accepted; it takes %d", res.Accepted, r.Orders)
	case res.Undecided > 0:
		res.Void = fmt.Sprintf("%d histories were too tangled to be judged within %s each", res.Undecided, decideWithin)
	}
	return res, nil
}

// repeatAll places every accepted order once more: the answer must be the first
// one's, byte by byte. It returns how many gave none.
func (r *run) repeatAll(ctx context.Context, workload *Workload) (silent int64) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	var unanswered atomic.Int64
	work := make(chan *purchase)
	var wg sync.WaitGroup
	for i := range shoppers {
		wg.Go(func() {
			v := &shopper{Workload: workload, n: i, rng: rand.New(rand.NewPCG(r.Seed, uint64(shoppers+i)))} // chance that can be repeated
			for p := range work {
				v.place(ctx, p)
				if ctx.Err() != nil {
					unanswered.Add(1)
				}
			}
		})
	}
	for _, p := range r.rec.purchases {
		if p.order != nil {
			work <- p
		}
	}
	close(work)
	wg.Wait()
	return unanswered.Load()
}

// buyOnce is one more customer, who pays with a good card.
func (r *run) buyOnce(ctx context.Context, workload *Workload) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	v := &shopper{Workload: workload, n: shoppers, rng: rand.New(rand.NewPCG(r.Seed, 2*shoppers))} // chance that can be repeated
	p := &purchase{key: uuid.NewString(), good: true, wait: settleWait, lines: []shopclient.Line{{SKU: workload.goods.plenty[0], Quantity: 1}}}
	if !v.fill(ctx, p) {
		return errors.New("no cart")
	}
	r.rec.begun(p)
	v.place(ctx, p)
	if p.order == nil {
		if p.refused != nil {
			return p.refused
		}
		return errors.New("no answer")
	}
	v.awaitEnd(ctx, p)
	if p.order.State != shopclient.StatePaid {
		return fmt.Errorf("order %s is %s %s", p.order.ID, p.order.State, p.order.CancelReason)
	}
	return nil
}

// until waits for done, at most d.
func (r *run) until(ctx context.Context, d time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for !done() {
		if retry.Sleep(ctx, 20*time.Millisecond) != nil {
			return false
		}
	}
	return true
}

func (r *run) enter(phase string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = phase
}

// show tells of the progress until the returned function is called.
func (r *run) show() (end func()) {
	if r.Progress == nil {
		return func() {}
	}
	began := time.Now()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			r.Progress(r.status(time.Since(began)))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

func (r *run) status(elapsed time.Duration) Status {
	r.mu.Lock()
	s := Status{Fault: r.Fault.Name, Phase: r.phase, Elapsed: elapsed}
	r.mu.Unlock()
	s.Injected, _ = r.env.injections()
	r.rec.mu.Lock()
	defer r.rec.mu.Unlock()
	s.Accepted, s.Failed, s.Worst = r.rec.acceptedN, len(r.rec.failed), r.rec.worst
	return s
}
