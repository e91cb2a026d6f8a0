package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/monitor"
	"github.com/souk-shop/souk/tools/internal/slo"
	"github.com/souk-shop/souk/tools/internal/state"
)

const (
	// alertPace is what a shopper waits between two acts, on average: twenty of them make some
	// 12 calls a second.
	alertPace = 8 * time.Second
	// alertLead is for how long the shop is watched before the fault.
	alertLead = time.Minute
	// alertGrace is what the way of an alert takes beside its own window: a scrape, an evaluation
	// of the recording rules and one of the alerts, and what Alertmanager waits for more of a group.
	alertGrace = 2 * time.Minute
	// longestHold is for how long a fault lasts at most: an objective's alert of the shortest window
	// whose budget is 1% takes 8 min 38 s.
	longestHold = 12 * time.Minute
	// endsWithin is how long after the fault an alert may go on: the short window of those that page
	// is 5 minutes, and Alertmanager tells a group's news every 5 minutes where it pages no operator.
	endsWithin = 13 * time.Minute
)

// AlertOptions say how a run with a monitor goes.
type AlertOptions struct {
	Fault Fault
	// Scale is monitor.Config.Scale.
	Scale float64
	// Hold is for how long a fault lasts from which nothing is expected, in production; one from which
	// something is lasts until that has fired, longestHold at most.
	Hold time.Duration
	Seed uint64
	Dir  string
	Exec []string
	// Progress and Notice may be nil.
	Progress func(Status)
	Notice   func(string)
}

// FiredAlert is one that fired in a run.
type FiredAlert struct {
	Alert    string `json:"alert"`
	Receiver string `json:"receiver"`
	Summary  string `json:"summary"`
	// After is how long after the fault's begin its receiver was told, and Ended how long after the
	// fault's end it was told that it ended; 0 where it was not.
	After time.Duration `json:"after_ns"`
	Ended time.Duration `json:"ended_ns"`
	// Expected says that it had to fire.
	Expected bool `json:"expected"`
	labels   map[string]string
}

// AlertResult is what operators were told of a fault.
type AlertResult struct {
	Fault string  `json:"fault"`
	Scale float64 `json:"scale"`
	// Held is how long the fault lasted.
	Held     time.Duration `json:"held_ns"`
	Injected int           `json:"injected"`
	How      string        `json:"how"`
	// Browse and Checkout are the shoppers' calls while it lasted, and how many were not answered, or
	// with 5xx.
	Browse, BrowseBad     int
	Checkout, CheckoutBad int
	Harmless              string       `json:"harmless,omitempty"`
	Fired                 []FiredAlert `json:"fired"`
	// Wrong is what was not as it has to be.
	Wrong []string `json:"wrong,omitempty"`
	// Void says why the run does not count; empty when it does.
	Void string        `json:"void,omitempty"`
	Took time.Duration `json:"took_ns"`
	Data string        `json:"data,omitempty"`
}

// Kept says that the run counts and that operators were told what they had to be.
func (r *AlertResult) Kept() bool { return r.Void == "" && len(r.Wrong) == 0 }

// watched is a run beside which a monitor runs.
type watched struct {
	*run
	opts AlertOptions
	want Expectation
	mon  *monitor.Monitor
	// traffic is what shoppers did before the fault.
	traffic monitor.Traffic
	began   time.Time // of the fault
	healed  time.Time
}

// RunAlerts has a real Prometheus and Alertmanager watch a shop, breaks it, heals it, and compares
// what they told with what is expected of the fault.
func RunAlerts(ctx context.Context, opts AlertOptions) (_ *AlertResult, err error) {
	began := time.Now()
	want, ok := Expected(opts.Fault)
	if !ok {
		return nil, fmt.Errorf("what operators are to be told of %s is not said in alerts.go", opts.Fault.Name)
	}
	r, end, err := open(ctx, Options{Fault: opts.Fault, Seed: opts.Seed, Dir: filepath.Join(opts.Dir, "shop"), Exec: opts.Exec, Progress: opts.Progress})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	w := &watched{run: r, opts: opts, want: want}
	res, err := w.watch(ctx)
	if res != nil {
		res.Took = time.Since(began)
	}
	return res, err
}

func (w *watched) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / w.opts.Scale)
}

func (w *watched) watch(ctx context.Context) (_ *AlertResult, err error) {
	workload, done, err := w.shoppers(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	workload.pace = alertPace
	shopping, stop := context.WithCancel(ctx)
	left := make(chan struct{})
	go func() {
		defer close(left)
		workload.run(shopping, shopping)
	}()
	defer func() { stop(); <-left }()
	if w.Fault.Shown > 0 { // shoppers who come slowly ask for few lists, which gateways share
		shown := newShowcase(workload, w.env.fronts(), w.Fault.Shown)
		shown.run(shopping)
		defer shown.stop()
	}
	w.enter("warm up")
	warm := time.Now()
	if !w.until(ctx, time.Minute, func() bool { return w.rec.accepted() >= warmUp && time.Since(warm) > 10*time.Second }) {
		return nil, errors.Join(ctx.Err(), errors.New("the shop does not sell before the fault"))
	}
	w.traffic = monitor.Traffic{
		Browse:   max(0.1, float64(w.rec.counted("browse").calls)/time.Since(warm).Seconds()),
		Checkout: float64(w.rec.counted("place an order").calls) / time.Since(warm).Seconds(),
	}
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.mon.Stop(context.WithoutCancel(ctx))) }()
	w.enter("watch")
	if err := retry.Sleep(ctx, max(15*time.Second, w.scaled(alertLead))); err != nil {
		return nil, err
	}
	res := &AlertResult{Fault: w.opts.Fault.Name, Scale: w.opts.Scale, Harmless: w.want.Harmless}
	for _, n := range w.mon.Received.All() {
		res.Wrong = append(res.Wrong, "fired before the fault: "+n.Name()+": "+n.Summary)
	}
	w.began = time.Now()
	browse, checkout := w.rec.counted("browse"), w.rec.counted("place an order")
	if err := w.breakIt(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		res.Void = "the fault could not be injected: " + err.Error()
	}
	w.healed = time.Now()
	res.Held = w.healed.Sub(w.began)
	b, c := w.rec.counted("browse"), w.rec.counted("place an order")
	res.Browse, res.BrowseBad = b.calls-browse.calls, b.bad-browse.bad
	res.Checkout, res.CheckoutBad = c.calls-checkout.calls, c.bad-checkout.bad
	if res.Injected, res.How = w.env.injections(); res.Injected == 0 && res.Void == "" {
		res.Void = "the fault was never injected"
	}
	if err := w.env.heal(ctx); err != nil {
		return nil, err
	}
	workload.SetBehavior(Behavior{})
	w.enter("healed")
	w.until(ctx, w.scaled(endsWithin), func() bool { return len(w.firing()) == 0 })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.judge(res)
	return res, nil
}

func (w *watched) start(ctx context.Context) error {
	w.enter("monitor")
	st, err := state.Read(w.Dir)
	if err != nil {
		return err
	}
	rules, err := slo.Rules()
	if err != nil {
		return err
	}
	dir := filepath.Join(w.opts.Dir, "monitor")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	w.mon, err = monitor.Start(ctx, monitor.Config{
		Dir: dir, Targets: st.Admin, Rules: rules, Scale: w.opts.Scale, Alerts: true, Notice: w.opts.Notice,
		History: monitor.History(time.Now(), w.traffic, w.opts.Scale),
	})
	return err
}

// breakIt injects the fault until what has to fire has fired.
func (w *watched) breakIt(ctx context.Context) error {
	hold := make(chan struct{})
	w.env.hold = hold
	injected := make(chan error, 1)
	go func() {
		for {
			w.enter("inject")
			if err := w.opts.Fault.Inject(ctx, w.env); err != nil {
				injected <- err
				return
			}
			pause := time.NewTimer(injectPause)
			select {
			case <-hold:
				pause.Stop()
				injected <- nil
				return
			case <-ctx.Done():
				pause.Stop()
				injected <- ctx.Err()
				return
			case <-pause.C:
			}
		}
	}()
	longest := w.scaled(longestHold)
	if len(w.want.Must) == 0 {
		longest = max(30*time.Second, w.scaled(w.opts.Hold))
	}
	for _, a := range w.want.Must {
		if limit, ok := w.causeLimit(a); ok {
			longest = max(longest, limit)
		}
	}
	w.until(ctx, longest, func() bool {
		return len(injected) > 0 || len(w.want.Must) > 0 && len(w.missing()) == 0
	})
	close(hold)
	return <-injected
}

// missing are the alerts that have to fire and have not yet.
func (w *watched) missing() []Alert {
	told := w.mon.Received.All()
	return slices.DeleteFunc(slices.Clone(w.want.Must), func(a Alert) bool {
		return slices.ContainsFunc(told, func(n monitor.Notified) bool { return a.matches(n.Labels) })
	})
}

// firing are the alerts that have not ended, though they could have: those of objectives whose short
// window is longer than 5 minutes go on for that long.
func (w *watched) firing() []monitor.Notified {
	return slices.DeleteFunc(w.mon.Received.All(), func(n monitor.Notified) bool { return !n.Ended.IsZero() || !endsSoon(n.Labels) })
}

// endsSoon reports whether an alert can end within endsWithin: the rule of ProcessRestarts, for one, looks
// back 15 minutes.
func endsSoon(labels map[string]string) bool {
	for _, c := range slo.Causes() {
		if c.Alert == labels["alertname"] && c.LooksBack() > endsWithin {
			return false
		}
	}
	return labels["window"] == "" || labels["window"] == "1h"
}

// judge compares what was told with what was to be told.
func (w *watched) judge(res *AlertResult) {
	wrong := func(format string, args ...any) { res.Wrong = append(res.Wrong, fmt.Sprintf(format, args...)) }
	for _, n := range w.mon.Received.All() {
		f := FiredAlert{Alert: n.Name(), Receiver: n.Receiver, Summary: n.Summary, After: n.Fired.Sub(w.began), labels: n.Labels}
		is := func(a Alert) bool { return a.matches(n.Labels) }
		f.Expected = slices.ContainsFunc(w.want.Must, is)
		if !n.Ended.IsZero() {
			f.Ended = n.Ended.Sub(w.healed)
		}
		res.Fired = append(res.Fired, f)
		if !f.Expected && !slices.ContainsFunc(w.want.May, is) {
			wrong("a false alert: %s, after %s: %s", f.Alert, round(f.After), f.Summary)
		}
		if n.Ended.IsZero() && endsSoon(n.Labels) {
			wrong("%s did not end within %s", f.Alert, w.scaled(endsWithin))
		}
	}
	for _, a := range w.missing() {
		wrong("%s did not fire within %s", a, round(res.Held))
	}
	for _, a := range w.want.Must {
		first := slices.IndexFunc(res.Fired, func(f FiredAlert) bool { return a.matches(f.labels) })
		if first < 0 {
			continue
		}
		if limit := w.limit(a, res); res.Fired[first].After > limit {
			wrong("%s fired after %s; its window is %s", a, round(res.Fired[first].After), round(limit))
		}
	}
}

// limit is within how long an alert has to fire: what its rule waits for, or the time in which what
// shoppers saw of the fault burns an objective's budget, and the way that the alert takes.
func (w *watched) limit(a Alert, res *AlertResult) time.Duration {
	if limit, ok := w.causeLimit(a); ok {
		return limit
	}
	for _, o := range slo.Objectives() {
		if o.Alert != a.Name {
			continue
		}
		// Of the usual traffic: customers who wait come less often.
		share := 1.0
		switch {
		case o.Name == "browse-availability" && res.BrowseBad > 0:
			share = float64(res.BrowseBad) / res.Held.Seconds() / w.traffic.Browse
		case o.Name == "checkout-success" && res.CheckoutBad > 0:
			share = float64(res.CheckoutBad) / res.Held.Seconds() / w.traffic.Checkout
		}
		return w.scaled(time.Duration(float64(o.Detection(slo.Windows()[0]))/share) + alertGrace)
	}
	return 0
}

// causeLimit is limit for the alert of a cause, which depends on its rule alone; false for another.
func (w *watched) causeLimit(a Alert) (time.Duration, bool) {
	for _, c := range slo.Causes() {
		if c.Alert == a.Name {
			return c.Threshold() + w.scaled(c.Window()+alertGrace), true
		}
	}
	return 0, false
}

// alertTable is what was told, as the table of docs/results.md.
func alertTable(results []*AlertResult) string {
	var out strings.Builder
	out.WriteString("| fault | calls that failed: browsing, checkout | alert | told after | ended after |\n|---|---|---|---|---|\n")
	for _, r := range results {
		name := r.Fault
		if r.Scale != 1 {
			name += fmt.Sprintf(" (time / %g)", r.Scale)
		}
		calls := fmt.Sprintf("%d of %d, %d of %d", r.BrowseBad, r.Browse, r.CheckoutBad, r.Checkout)
		if len(r.Fired) == 0 {
			fmt.Fprintf(&out, "| %s | %s | none in %s: %s | | |\n", name, calls, round(r.Held), r.Harmless)
		}
		for i, f := range r.Fired {
			if i > 0 {
				name, calls = "", ""
			}
			ended := "its window is longer"
			switch {
			case f.Ended > 0:
				ended = round(f.Ended).String()
			case f.Ended < 0:
				ended = "while it lasted"
			}
			what := f.Alert + ", " + f.Receiver
			if f.Expected {
				what = "**" + f.Alert + "**, " + f.Receiver
			}
			fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", name, calls, what, round(f.After), ended)
		}
	}
	return out.String()
}
