package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/tools/internal/load"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

const (
	// outcomeTimeout is how long a shopper waits for an order's outcome; what is paid
	// later is no use to a shopper and does not count.
	outcomeTimeout = 5 * time.Second
	// calm is the share of the peak at which the shop is not busy.
	calm = 0.4
)

// noShedding has the order service accept everything.
var noShedding = []string{"SOUK_ORDER_DRIVE_BACKLOG=100000000", "SOUK_ORDER_DRIVE_WAIT=1h"}

// Crowd is what became of shoppers who came at a rate, whether or not the shop
// kept up.
type Crowd struct {
	Name string `json:"name"`
	// Offered and Paid are checkouts a second: those begun, and those whose
	// outcome came within outcomeTimeout; Share is Paid by the peak's.
	Offered float64 `json:"offered_per_second"`
	Paid    float64 `json:"paid_per_second"`
	Share   float64 `json:"share_of_peak"`
	// P50 and P99 are of those, in milliseconds since the shopper came.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// Refused counts answers 429 and 503, with what they took in milliseconds;
	// Failed is everything else that did not come to its end in time.
	Refused    int64   `json:"refused"`
	RefusedP50 float64 `json:"refused_p50_ms"`
	RefusedP99 float64 `json:"refused_p99_ms"`
	Failed     int64   `json:"failed"`
	// Cores is what the shoppers themselves, the shop and its PostgreSQL used of
	// the machine's processors.
	Cores map[string]float64 `json:"cores"`
	// PeakBytes is the largest resident set of the shop so far.
	PeakBytes int64 `json:"peak_bytes"`
}

// Overload is what `souk overload` measured.
type Overload struct {
	// Peak is the best goodput in steps of increasing rates, checkouts a second,
	// which the rates of the crowds are multiples of.
	Peak   float64  `json:"peak_per_second"`
	Crowds []*Crowd `json:"crowds"`
	// Recovery is how long after the largest crowd had gone the shop was itself
	// again, in seconds; negative when it was not within the time looked at.
	Recovery float64 `json:"recovery_seconds"`
	// BrowsePeak is pages a second, and BrowseShare of the checkouts during the
	// flood of readers were paid.
	BrowsePeak  float64 `json:"browse_peak_per_second"`
	BrowseShare float64 `json:"browse_share_paid"`
	// Processors is how many the shoppers and the shop with its PostgreSQL have.
	Processors map[string]int `json:"processors"`
	// Broken are the promises that were not kept.
	Broken []string `json:"broken"`

	time     time.Duration
	from     []string // addresses of shoppers; nil is this machine's
	progress io.Writer
	pids     map[string]int
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// OverloadCommand is `souk overload`.
func OverloadCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("overload", flag.ContinueOnError)
	flags.SetOutput(stderr)
	o := &Overload{progress: stderr, Broken: []string{}}
	flags.DurationVar(&o.time, "time", 20*time.Second, "how long each crowd keeps coming")
	asJSON := flags.Bool("json", false, "print the results as JSON")
	greedy := flags.Bool("greedy", false, "measure one greedy address among 30 honest ones instead")
	flags.Usage = func() {
		fmt.Fprint(stderr, `usage: souk overload [flags]

Starts a shop of its own in a temporary folder, finds how many checkouts a second
it serves at best, and sends it twice and ten times as many shoppers, who come
whether or not it keeps up, with the peak itself between, and then ten times the
readers that it can serve. It fails when goodput falls below 90% (twice) or 80%
(ten times) of the peak, when half of the refusals take longer than 20 ms or do
not say when to come again, when memory keeps growing, when the shop is not
itself again 10 s later, or when readers keep more than 5% of the checkouts from
being paid. As a control it does the same to a shop that accepts every order: that
must fail. On Linux, with two processors or more, the shoppers have half of them
and the shop the others, as people bring processors of their own.

With --greedy, 30 honest addresses ask for half of what the shop can serve, while one
more makes carts and orders with declined cards at ten times that. It fails when less
than 95% of the honest checkouts are paid, with the limits of an installation and with
fair admission alone; as a control it does the same to a shop that treats all alike:
that must fail.

`)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || o.time < 4*time.Second {
		flags.Usage()
		return errors.New("overload takes no arguments; crowds come for 4s at least")
	}
	on, here, there, err := apart()
	if err != nil {
		return err
	}
	o.Processors = map[string]int{"shoppers": here, "shop and postgres": there}
	dir, err := os.MkdirTemp("", "souk-overload-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *greedy {
		g := &Greedy{Overload: o}
		return g.run(ctx, on, dir, *asJSON, stdout)
	}
	if err := withShop(ctx, on, dir, nil, func(shop *child, st *state.State) error { return o.measure(ctx, shop, st) }); err != nil {
		return err
	}
	if err := withShop(ctx, on, dir, noShedding, func(shop *child, st *state.State) error { return o.control(ctx, shop, st) }); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return conclude(stdout, *asJSON, o, o.print, o.Broken)
}

// crowd is a load of checkouts under way.
type crowd struct {
	load *load.Load
	done chan error
	d    time.Duration
	rate float64
}

func (o *Overload) come(ctx context.Context, url string, rate float64, d time.Duration) (*crowd, error) {
	l, err := load.Prepare(ctx, load.Options{
		Shop: shopclient.New(url), Rate: rate, Duration: d, Mix: load.Mix{load.Checkout: 1}, Seed: 1, Timeout: outcomeTimeout, Addresses: o.from,
	})
	if err != nil {
		return nil, err
	}
	c := &crowd{load: l, done: make(chan error, 1), d: d, rate: rate}
	go func() { c.done <- l.Run(ctx) }()
	return c, nil
}

// look returns what became of the checkouts so far.
func (c *crowd) look() (load.Row, load.Snapshot) {
	s := c.load.Snapshot()
	for _, r := range s.Rows {
		if r.Action == load.Checkout {
			return r, s
		}
	}
	return load.Row{}, s
}

// sum measures a crowd until it has stopped coming: the first quarter is left to
// the queues to fill.
func (o *Overload) sum(ctx context.Context, name string, c *crowd) (*Crowd, error) {
	if err := wait(ctx, c.d/4); err != nil {
		return nil, err
	}
	from, s1 := c.look()
	before, err := o.usages()
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, c.d-s1.Elapsed); err != nil {
		return nil, err
	}
	to, s := c.look()
	after, err := o.usages()
	if err != nil {
		return nil, err
	}
	sum := &Crowd{
		Name: name, Offered: c.rate, Paid: float64(to.Done-from.Done) / (s.Elapsed - s1.Elapsed).Seconds(),
		P50: millis(to.P50), P99: millis(to.P99), Refused: s.Refused, RefusedP50: millis(s.RefusedP50), RefusedP99: millis(s.RefusedP99),
		Failed: to.Errors - s.Refused, Cores: map[string]float64{}, PeakBytes: after["shop"].peak,
	}
	for name, u := range after {
		sum.Cores[name] = (u.cpu - before[name].cpu).Seconds() / (s.Elapsed - s1.Elapsed).Seconds()
	}
	if s.Unadvised > 0 {
		o.broken("%s: %d refusals did not say when to come again", name, s.Unadvised)
	}
	if s.Shed > 0 {
		return sum, fmt.Errorf("%s: %d shoppers were never sent: the load is more than this client can hold", name, s.Shed)
	}
	return sum, nil
}

func (o *Overload) usages() (map[string]usage, error) {
	out := map[string]usage{}
	for name, pid := range o.pids {
		u, err := usageOf(pid, name == "postgres")
		if err != nil {
			return nil, err
		}
		out[name] = u
	}
	return out, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (o *Overload) broken(format string, args ...any) {
	o.Broken = append(o.Broken, fmt.Sprintf(format, args...))
}

// add notes a crowd, with its share of the peak that was looked for.
func (o *Overload) add(c *Crowd) {
	c.Share = c.Paid / o.Peak
	o.Crowds = append(o.Crowds, c)
	fmt.Fprintf(o.progress, "%s: %.0f a second come, %.0f pay\n", c.Name, c.Offered, c.Paid)
}

func (o *Overload) watch(shop *child, st *state.State) {
	o.pids = map[string]int{"shoppers": os.Getpid(), "shop": shop.cmd.Process.Pid, "postgres": st.PIDs["postgres"]}
}

func (o *Overload) measure(ctx context.Context, shop *child, st *state.State) error {
	o.watch(shop, st)
	if err := o.findPeak(ctx, st.URL); err != nil {
		return err
	}
	usual, err := o.one(ctx, "calm", calm*o.Peak, st.URL)
	if err != nil {
		return err
	}
	// Machines change under a measurement: the peak is held before and after each
	// crowd, for as long, and the crowd's share is of the mean of the two.
	peak := func() (float64, error) {
		c, err := o.one(ctx, "the peak", o.Peak, st.URL)
		if err != nil {
			return 0, err
		}
		return c.Paid, nil
	}
	before, err := peak()
	if err != nil {
		return err
	}
	twice, err := o.one(ctx, "twice the peak", 2*o.Peak, st.URL)
	if err != nil {
		return err
	}
	between, err := peak()
	if err != nil {
		return err
	}
	ten, after, err := o.tenfold(ctx, st.URL, usual)
	if err != nil {
		return err
	}
	o.Recovery = after
	end, err := peak()
	if err != nil {
		return err
	}
	for _, c := range []struct {
		*Crowd
		peak, least float64
	}{{twice, (before + between) / 2, 0.9}, {ten, (between + end) / 2, 0.8}} {
		c.Share = c.Paid / c.peak
		if c.Share < c.least {
			o.broken("%s: goodput is %.0f%% of the peak, not %.0f%%", c.Name, 100*c.Share, 100*c.least)
		}
		if c.RefusedP50 > 20 {
			o.broken("%s: half of the refusals take more than %.0f ms", c.Name, c.RefusedP50)
		}
	}
	if after < 0 || after > 10 {
		o.broken("the shop is not itself again 10 s after the crowd has gone")
	}
	if ten.PeakBytes > twice.PeakBytes*3/2 {
		o.broken("memory grows with the crowd: %d MiB at twice, %d MiB at ten times the peak", twice.PeakBytes>>20, ten.PeakBytes>>20)
	}
	return o.browsing(ctx, st)
}

// findPeak raises the rate by a quarter until, twice in a row, less than nine
// tenths of the shoppers pay in time: the peak is the best goodput on the way.
func (o *Overload) findPeak(ctx context.Context, url string) error {
	behind := 0
	for rate := 40.0; behind < 2; rate *= 1.25 {
		c, err := o.come(ctx, url, rate, 6*time.Second)
		if err != nil {
			return err
		}
		s, err := o.sum(ctx, "peak", c)
		if err := errors.Join(err, <-c.done); err != nil {
			return err
		}
		o.Peak = max(o.Peak, s.Paid)
		fmt.Fprintf(o.progress, "looking for the peak: %.0f a second come, %.0f pay\n", rate, s.Paid)
		if s.Paid < 0.9*rate {
			behind++
		} else {
			behind = 0
		}
	}
	return nil
}

// one is a crowd from beginning to end.
func (o *Overload) one(ctx context.Context, name string, rate float64, url string) (*Crowd, error) {
	c, err := o.come(ctx, url, rate, o.time)
	if err != nil {
		return nil, err
	}
	s, err := o.sum(ctx, name, c)
	if err := errors.Join(err, <-c.done); err != nil {
		return s, err
	}
	o.add(s)
	return s, nil
}

// tenfold is the largest crowd, and the calm after it. It returns how long, in
// seconds, it took until checkouts were as quick as before; -1 for never.
func (o *Overload) tenfold(ctx context.Context, url string, usual *Crowd) (*Crowd, float64, error) {
	c, err := o.come(ctx, url, 10*o.Peak, o.time)
	if err != nil {
		return nil, 0, err
	}
	s, err := o.sum(ctx, "ten times the peak", c)
	if err != nil {
		return s, 0, err
	}
	o.add(s)
	gone := time.Now()
	after, err := o.come(ctx, url, usual.Offered, 15*time.Second)
	if err != nil {
		return s, 0, err
	}
	quick := max(4*usual.P99, 250)
	since := -1.0
	last, _ := after.look()
	for time.Since(gone) < 15*time.Second {
		if err := wait(ctx, time.Second/2); err != nil {
			return s, 0, err
		}
		now, snap := after.look()
		switch {
		case now.Errors > last.Errors || now.Done == last.Done || millis(snap.Slowest) > quick:
			since = -1
		case since < 0:
			since = time.Since(gone).Seconds()
		}
		last = now
	}
	fmt.Fprintf(o.progress, "itself again after %.1f s\n", since)
	return s, since, errors.Join(<-c.done, <-after.done)
}

// browsing floods the shop with readers while a few check out.
func (o *Overload) browsing(ctx context.Context, st *state.State) error {
	const readers = 16
	targets, err := readTargets(ctx, shopclient.New(st.URL))
	if err != nil {
		return err
	}
	var paths []string
	for _, t := range targets {
		paths = append(paths, t.paths...)
	}
	at, err := url.Parse(st.URL)
	if err != nil {
		return err
	}
	m, err := readLoop(ctx, at.Host, paths, readers, 5*time.Second)
	if err != nil {
		return err
	}
	o.BrowsePeak = m.rate()
	var g errgroup.Group
	g.Go(func() error {
		_, err := readLoop(ctx, at.Host, paths, 10*readers, o.time+time.Second)
		return err
	})
	c, err := o.come(ctx, st.URL, 0.1*o.Peak, o.time)
	if err != nil {
		return err
	}
	s, err := o.sum(ctx, "among ten times the readers", c)
	if err := errors.Join(err, <-c.done, g.Wait()); err != nil {
		return err
	}
	row, _ := c.look()
	o.BrowseShare = float64(row.Done) / float64(row.Done+row.Errors)
	o.add(s)
	if o.BrowseShare < 0.95 {
		o.broken("readers keep %.0f%% of the checkouts from being paid", 100*(1-o.BrowseShare))
	}
	return nil
}

// control sends twice the peak to a shop that refuses nothing.
func (o *Overload) control(ctx context.Context, shop *child, st *state.State) error {
	o.watch(shop, st)
	c, err := o.one(ctx, "control: twice, nothing refused", 2*o.Peak, st.URL)
	if err != nil {
		return err
	}
	if c.Share >= 0.9 {
		o.broken("the control passes: this measurement sees nothing")
	}
	return nil
}

func (o *Overload) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "crowd\tcome/s\tpay/s\tof the peak\tp50\tp99\trefused\tp50\tp99\tfailed\tcores of shoppers\tshop\tpostgres\tpeak memory\t")
	for _, c := range o.Crowds {
		fmt.Fprintf(tw, "%s\t%.0f\t%.0f\t%.2f\t%.0f ms\t%.0f ms\t%d\t%.1f ms\t%.1f ms\t%d\t%.2f\t%.2f\t%.2f\t%d MiB\t\n",
			c.Name, c.Offered, c.Paid, c.Share, c.P50, c.P99, c.Refused, c.RefusedP50, c.RefusedP99, c.Failed,
			c.Cores["shoppers"], c.Cores["shop"], c.Cores["postgres"], c.PeakBytes>>20)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "Processors: %d for the shoppers, %d for the shop and its PostgreSQL.\n", o.Processors["shoppers"], o.Processors["shop and postgres"])
	fmt.Fprintf(w, "Peak: %.0f checkouts a second. Itself again %.1f s after ten times the peak.\n", o.Peak, o.Recovery)
	fmt.Fprintf(w, "Readers: %.0f pages a second at best; with ten times as many readers %.1f%% of the checkouts were paid.\n", o.BrowsePeak, 100*o.BrowseShare)
	for _, b := range o.Broken {
		fmt.Fprintln(w, "NOT KEPT:", b)
	}
	if len(o.Broken) == 0 {
		fmt.Fprintln(w, "Every promise was kept, and the control fails as it must.")
	}
	return nil
}
