package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

const (
	// launched begins the SKUs that all buyers want, plenty is one of which no buyer gets the last
	// unit, and otherSKUs are how many others there are, with the SKUs otherSKU.
	launched, plenty = "LAUNCH", "PLENTY"
	otherSKUs        = 50
	otherSKU         = "OTHER-%02d"
	// othersFactor is how much longer the slowest hundredth of other SKUs may take during the
	// launch, of othersFloor at least: below it a measurement is of the machine.
	othersFactor = 2
	othersFloor  = 10 * time.Millisecond
)

// clientsAtOnce reserve as fast as they are answered.
var clientsAtOnce = [...]int{16, 64}

// launchShops are the shops that are measured; the control has a transaction for each command.
var launchShops = []struct {
	name string
	env  []string
}{
	{"groups", []string{behindProxy, "SOUK_GATEWAY_RATE_LIMIT=1000000"}},
	{"control: one at a time", []string{behindProxy, "SOUK_GATEWAY_RATE_LIMIT=1000000", "SOUK_CATALOG_STOCK_BATCH=-1"}},
}

// launch is what is measured.
type launch struct {
	buyers, stock int
	time          time.Duration // in which the buyers come
	others        float64       // reservations a second of other SKUs, at the catalog
	checkouts     float64       // checkouts a second of other SKUs, through REST
	patience      time.Duration // how long a buyer tries
	rounds        int           // at the catalog
	rest          bool
	progress      io.Writer
}

// Launched is what became of a launch in a shop.
type Launched struct {
	Name string `json:"name"`
	// PerSecond is how many reservations of one SKU the catalog makes for as many clients as
	// clientsAtOnce has.
	PerSecond [len(clientsAtOnce)]float64 `json:"reservations_per_second"`
	// Catalog is the launch at the catalog's gRPC, REST through the whole shop. Of several
	// rounds at the catalog it is the median by Factors: how many times as long as before the
	// slowest hundredth of other SKUs took during each, in their order.
	Catalog *Sale     `json:"catalog"`
	Factors []float64 `json:"factors"`
	REST    *Sale     `json:"rest,omitempty"`
	// Broken are the promises that were not kept.
	Broken []string `json:"broken"`
}

// Sale is what became of the buyers of one SKU, and of those of others meanwhile.
type Sale struct {
	Buyers int `json:"buyers"`
	Stock  int `json:"stock"`
	// Sold and SoldOut are the buyers who got a unit, and those who were told that there is
	// none left. Tired are those whom the shop refused until their patience ended, and Failed
	// the rest. Refusals are those of all buyers, also of other SKUs.
	Sold     int   `json:"sold"`
	SoldOut  int   `json:"sold_out"`
	Tired    int   `json:"tired"`
	Refusals int64 `json:"refusals"`
	Failed   int   `json:"failed"`
	// First is the share of the first buyers, as many as there are units, who got one; Overtaken
	// is how many buyers who came later did.
	First     float64 `json:"share_of_the_first"`
	Overtaken int     `json:"overtaken"`
	// Seconds is from the first buyer to the last outcome.
	Seconds   float64 `json:"seconds"`
	P50Millis float64 `json:"p50_ms"`
	P99Millis float64 `json:"p99_ms"`
	// Others are buyers of other SKUs, before the launch and during it.
	Others [2]Others `json:"others"`
	// Booked is what the catalog's books say of the SKU: held and sold units.
	Booked int `json:"booked"`
}

// factor is how many times as long the slowest hundredth of other SKUs took during the launch.
func (s *Sale) factor() float64 {
	floor := millis(othersFloor)
	return max(s.Others[1].P99Millis, floor) / max(s.Others[0].P99Millis, floor)
}

// Others are how buyers of other SKUs fared. The times are those of the buyers who are Done.
type Others struct {
	Done, Failed         int
	P50Millis, P99Millis float64
}

func launchCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench launch", `usage: souk bench launch [flags]

Starts a shop of its own and sells one SKU to buyers who come at an even rate, while others
buy other SKUs: first at the catalog, each buyer with one reservation, then through REST,
each with a cart and an order that is tried again, with the same key, when the shop refuses
it. It fails when more or less than the stock is sold, when who came first was not served
first, or when, at the catalog, buyers of other SKUs fail or take more than twice as long. As
a control it does the same to a shop in which each reservation has a transaction of its own.
All processes share the machine's processors. What this machine can't carry is refused, and
said.

`, stderr)
	l := &launch{progress: stderr}
	flags.IntVar(&l.buyers, "buyers", 10_000, "how many want the SKU")
	flags.IntVar(&l.stock, "stock", 2_000, "units of the SKU")
	flags.DurationVar(&l.time, "time", 10*time.Second, "in which the buyers come")
	flags.Float64Var(&l.others, "others", 50, "reservations a second of other SKUs, at the catalog")
	flags.Float64Var(&l.checkouts, "checkouts", 5, "checkouts a second of other SKUs, through REST")
	flags.DurationVar(&l.patience, "patience", time.Minute, "how long a buyer whom the shop refuses tries again")
	flags.IntVar(&l.rounds, "rounds", 3, "launches at the catalog; how other SKUs fared is said of the median")
	flags.BoolVar(&l.rest, "rest", true, "launch through REST, too")
	asJSON := flags.Bool("json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || l.buyers < 1 || l.stock < 1 || l.stock > l.buyers || l.time < time.Second || l.others <= 0 || l.checkouts <= 0 || l.patience < 0 || l.rounds < 1 {
		flags.Usage()
		return errors.New("bench launch takes no arguments; its numbers must be positive, there are more buyers than units, and buyers come for 1s at least")
	}
	dir, err := os.MkdirTemp("", "souk-launch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	results := make([]*Launched, len(launchShops))
	for i, c := range launchShops {
		dir := filepath.Join(dir, fmt.Sprint(i))
		err := withShop(ctx, nil, dir, c.env, func(_ *child, st *state.State) (err error) {
			results[i], err = l.run(ctx, c.name, dir, st)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	// The control need not keep the promises.
	return conclude(stdout, *asJSON, results, func(w io.Writer) error { return printLaunches(w, results) }, results[0].Broken)
}

func (l *launch) run(ctx context.Context, name, dir string, st *state.State) (*Launched, error) {
	out := &Launched{Name: name, Broken: []string{}}
	if err := l.stockUp(ctx, st); err != nil {
		return nil, err
	}
	c, err := dialCatalog(dir, st)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	for i, clients := range clientsAtOnce {
		m, err := closedLoop(ctx, clients, 5*time.Second, func(ctx context.Context, _, _ int) error { return c.reserve(ctx, plenty) })
		if err != nil {
			return nil, err
		}
		out.PerSecond[i] = m.rate()
		fmt.Fprintf(l.progress, "%s: %d clients make %.0f reservations of one SKU a second\n", name, clients, out.PerSecond[i])
	}
	var sales []*Sale
	for round := range l.rounds {
		c.refusals.Store(0)
		sale, err := l.sell(ctx, st, fmt.Sprintf("%s-%d", launched, round), l.others, c.reserve, c.reserve)
		if err != nil {
			return nil, err
		}
		sale.Refusals = c.refusals.Load()
		out.check("at the catalog", sale)
		sales = append(sales, sale)
	}
	out.checkOthers(sales)
	if !l.rest {
		return out, nil
	}
	shop := &restShop{client: shopclient.New(st.URL), patience: l.patience}
	defer shop.client.Close()
	if err := shop.putIntoCarts(ctx, launched+"-REST", l.buyers); err != nil {
		return nil, err
	}
	if out.REST, err = l.sell(ctx, st, launched+"-REST", l.checkouts, shop.buy, shop.checkout); err != nil {
		return nil, err
	}
	out.REST.Refusals = shop.refusals.Load()
	out.check("through REST", out.REST)
	return out, nil
}

// check notes what a launch must do wherever it is.
func (r *Launched) check(where string, s *Sale) {
	if s.Sold > s.Stock || s.Booked > s.Stock {
		r.broken("%s: oversold: %d of %d, %d by the books", where, s.Sold, s.Stock, s.Booked)
	}
	// Who gave up may have ordered all the same: a refusal may mean that the outcome is unknown.
	if s.Booked < s.Sold || s.Booked > s.Sold+s.Tired {
		r.broken("%s: %d buyers have a unit, and %d by the books", where, s.Sold, s.Booked)
	}
	if s.Tired == 0 && s.Sold < s.Stock {
		r.broken("%s: %d of %d units were sold to %d buyers", where, s.Sold, s.Stock, s.Buyers)
	}
	if s.Failed > 0 {
		r.broken("%s: %d buyers came to no end", where, s.Failed)
	}
	if s.Refusals == 0 && s.First < 0.98 {
		r.broken("%s: %.1f%% of the first buyers got a unit, though nobody was refused", where, 100*s.First)
	}
}

// checkOthers notes how buyers of other SKUs fared in launches at the catalog, which must be
// served, and soon enough at the median of the launches.
func (r *Launched) checkOthers(sales []*Sale) {
	slices.SortFunc(sales, func(a, b *Sale) int { return cmp.Compare(a.factor(), b.factor()) })
	failed := 0
	for _, sale := range sales {
		r.Factors = append(r.Factors, sale.factor())
		failed += sale.Others[0].Failed + sale.Others[1].Failed
	}
	if failed > 0 {
		r.broken("at the catalog: %d buyers of other SKUs came to no end", failed)
	}
	if r.Catalog = sales[len(sales)/2]; r.Catalog.factor() > othersFactor {
		r.broken("at the catalog: other SKUs take %.1f times as long during the launch (p99)", r.Catalog.factor())
	}
}

func (r *Launched) broken(format string, args ...any) {
	r.Broken = append(r.Broken, fmt.Sprintf(format, args...))
}

// stockUp imports what is sold.
func (l *launch) stockUp(ctx context.Context, st *state.State) error {
	csv := "code,name,category,sku,price,currency,stock\n"
	add := func(sku string, stock int) { csv += fmt.Sprintf("%s,%s,launch,%s,5.00,GBP,%d\n", sku, sku, sku, stock) }
	for round := range l.rounds {
		add(fmt.Sprintf("%s-%d", launched, round), l.stock)
	}
	add(launched+"-REST", l.stock)
	add(plenty, 100_000_000)
	for i := range otherSKUs {
		add(fmt.Sprintf(otherSKU, i), 1_000_000)
	}
	client := shopclient.New(st.URL).WithToken(st.OperatorToken)
	defer client.Close()
	_, err := client.ImportPatiently(ctx, []byte(csv))
	return err
}

// purchase buys a unit of a SKU. The error is errSoldOut, errTired or a failure.
type purchase = func(ctx context.Context, sku string) error

var (
	errSoldOut = errors.New("sold out")
	errTired   = errors.New("refused until the patience ended")
)

// sell has others buy alone, and then beside the launch of a SKU.
func (l *launch) sell(ctx context.Context, st *state.State, sku string, others float64, buy, other purchase) (*Sale, error) {
	sale := &Sale{Buyers: l.buyers, Stock: l.stock}
	var err error
	if sale.Others[0], err = l.trickle(ctx, nil, others, other); err != nil {
		return nil, err
	}
	outcomes := make([]error, l.buyers)
	hist := newHistogram()
	var mu sync.Mutex
	gone := make(chan struct{})
	during := make(chan error, 1)
	go func() {
		var err error
		sale.Others[1], err = l.trickle(ctx, gone, others, other)
		during <- err
	}()
	begun := time.Now()
	err = each(ctx, l.buyers, l.time, func(ctx context.Context, i int, due time.Time) {
		outcomes[i] = buy(ctx, sku)
		mu.Lock()
		defer mu.Unlock()
		_ = hist.RecordValue(min(time.Since(due), time.Minute).Microseconds())
	})
	sale.Seconds = time.Since(begun).Seconds()
	close(gone)
	if err := errors.Join(err, <-during); err != nil {
		return nil, err
	}
	sale.P50Millis, sale.P99Millis = quantiles(hist)
	for i, err := range outcomes {
		if sale.count(i, err); sale.Failed > 0 && sale.Failed <= 5 && failure(err) {
			fmt.Fprintf(l.progress, "buyer %d: %v\n", i, err)
		}
	}
	sale.Booked, err = booked(ctx, st, sku)
	return sale, err
}

// failure reports that a purchase came to no end.
func failure(err error) bool {
	return err != nil && !errors.Is(err, errSoldOut) && !errors.Is(err, errTired)
}

// count adds the outcome of the buyer who came after so many others.
func (s *Sale) count(before int, err error) {
	switch {
	case err == nil:
		s.Sold++
		if before >= s.Stock {
			s.Overtaken++
		}
		s.First = float64(s.Sold-s.Overtaken) / float64(s.Stock)
	case errors.Is(err, errSoldOut):
		s.SoldOut++
	case errors.Is(err, errTired):
		s.Tired++
	default:
		s.Failed++
	}
}

// booked is how many units of a SKU the catalog has sold or holds.
func booked(ctx context.Context, st *state.State, sku string) (units int, err error) {
	conn, err := pgx.Connect(ctx, st.Postgres["catalog"])
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "SELECT held + committed FROM stock WHERE sku = $1", sku).Scan(&units)
	return units, err
}

// each calls do for n, at an even rate over d, whether or not those before have returned, and
// returns when all have.
func each(ctx context.Context, n int, d time.Duration, do func(ctx context.Context, i int, due time.Time)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	begun := time.Now()
	for i := range n {
		due := begun.Add(d * time.Duration(i) / time.Duration(n))
		if err := retry.Sleep(ctx, time.Until(due)); err != nil {
			return err
		}
		wg.Go(func() { do(ctx, i, due) })
	}
	return nil
}

// trickle has buyers of other SKUs come at a rate for the time of a launch, or until gone is
// closed if that takes longer.
func (l *launch) trickle(ctx context.Context, gone <-chan struct{}, rate float64, buy purchase) (Others, error) {
	hist := newHistogram()
	var mu sync.Mutex
	var failed atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for i := 0; ; i++ {
		due := begun.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if err := retry.Sleep(ctx, time.Until(due)); err != nil {
			wg.Wait()
			return Others{}, err
		}
		if time.Since(begun) >= l.time && closed(gone) {
			break
		}
		wg.Go(func() {
			if err := buy(ctx, fmt.Sprintf(otherSKU, i%otherSKUs)); err != nil {
				if failed.Add(1) <= 3 {
					fmt.Fprintf(l.progress, "a buyer of another SKU: %v\n", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			_ = hist.RecordValue(min(time.Since(due), time.Minute).Microseconds())
		})
	}
	wg.Wait()
	o := Others{Done: int(hist.TotalCount()), Failed: int(failed.Load())}
	o.P50Millis, o.P99Millis = quantiles(hist)
	return o, nil
}

// closed reports whether a channel is closed, or there is none.
func closed(c <-chan struct{}) bool {
	if c == nil {
		return true
	}
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func quantiles(h *hdrhistogram.Histogram) (p50, p99 float64) {
	return float64(h.ValueAtQuantile(50)) / 1000, float64(h.ValueAtQuantile(99)) / 1000
}

func printLaunches(w io.Writer, results []*Launched) error {
	type column struct {
		name string
		*Sale
	}
	var columns []column
	for _, r := range results {
		columns = append(columns, column{r.Name + ", catalog", r.Catalog})
	}
	for _, r := range results {
		if r.REST != nil {
			columns = append(columns, column{r.Name + ", REST", r.REST})
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value func(s column) string) {
		fmt.Fprint(tw, name)
		for _, c := range columns {
			fmt.Fprint(tw, "\t", value(c))
		}
		fmt.Fprintln(tw)
	}
	row("", func(c column) string { return c.name })
	row("buyers, units", func(c column) string { return fmt.Sprintf("%d, %d", c.Buyers, c.Stock) })
	row("sold, by the books", func(c column) string { return fmt.Sprintf("%d, %d", c.Sold, c.Booked) })
	row("told that it is sold out", func(c column) string { return fmt.Sprint(c.SoldOut) })
	row("refusals, buyers who gave up", func(c column) string { return fmt.Sprintf("%d, %d", c.Refusals, c.Tired) })
	row("came to no end", func(c column) string { return fmt.Sprint(c.Failed) })
	row("of the first buyers, got one", func(c column) string { return fmt.Sprintf("%.1f%%", 100*c.First) })
	row("until the last outcome", func(c column) string { return fmt.Sprintf("%.1f s", c.Seconds) })
	row("a buyer, p50, p99", func(c column) string { return fmt.Sprintf("%.1f, %.1f ms", c.P50Millis, c.P99Millis) })
	for i, when := range []string{"before", "during"} {
		row("other SKUs "+when+", p50, p99", func(c column) string {
			return fmt.Sprintf("%.1f, %.1f ms", c.Others[i].P50Millis, c.Others[i].P99Millis)
		})
		row("done, failed", func(c column) string { return fmt.Sprintf("%d, %d", c.Others[i].Done, c.Others[i].Failed) })
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for i, clients := range clientsAtOnce {
		fmt.Fprintf(w, "Reservations of one SKU a second at the catalog, %d clients: %.0f in groups, %.0f one at a time: %.1f times as many.\n",
			clients, results[0].PerSecond[i], results[1].PerSecond[i], results[0].PerSecond[i]/results[1].PerSecond[i])
	}
	for _, r := range results {
		fmt.Fprintf(w, "%s: during the launches at the catalog other SKUs took %.1f times as long as before (p99).\n", r.Name, r.Factors)
	}
	for _, r := range results {
		for _, b := range r.Broken {
			fmt.Fprintf(w, "NOT KEPT, %s: %s\n", r.Name, b)
		}
	}
	if !slices.ContainsFunc(results, func(r *Launched) bool { return len(r.Broken) > 0 }) {
		fmt.Fprintln(w, "Every promise was kept.")
	}
	return nil
}
