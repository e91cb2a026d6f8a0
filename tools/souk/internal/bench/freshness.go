package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	// lookEvery is the pause between two looks at what is shown: the error of a time.
	lookEvery = 2 * time.Millisecond
	// settle is for how long nothing changes before the first measurement, and after the
	// broker went: what a gateway reads within CACHE_SETTLE (5 s) of a change it keeps for
	// CACHE_TTL alone, and it misses a broker's heartbeat within 5 s.
	settle = 6 * time.Second
	// keptFor is within what each gateway read a product before its price changes, at a time
	// of its own: CACHE_TTL, for which it keeps that while no broker is there.
	keptFor = time.Second
	// staleFor bounds the wait for what is shown: CACHE_BACKSTOP and a half.
	staleFor = 90 * time.Second
)

// FreshnessResult says how long a change took to be shown.
type FreshnessResult struct {
	// Change is what was acknowledged, Shown where it had to appear.
	Change string `json:"change"`
	Shown  string `json:"shown"`
	Broker bool   `json:"broker"`
	Count  int64  `json:"count"`
	// P50Millis, P99Millis and MaxMillis are from the acknowledgement on.
	P50Millis float64 `json:"p50_ms"`
	P99Millis float64 `json:"p99_ms"`
	MaxMillis float64 `json:"max_ms"`
}

type freshness struct {
	changes, orders int
	progress        io.Writer

	shop     *localshop.Shop
	operator *shopclient.Client
	gateways []*shopclient.Client
	products []shopclient.Product
	buyer    *buyer
	results  []FreshnessResult
	next     int // the product that changes next
}

func freshnessCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench freshness", `usage: souk bench freshness [flags]

Starts a shop of its own with a broker of its own, and measures how old what is shown is:
the time from an acknowledged change of a price to when one and three other gateways show it, and
from the answer that an order is paid to when the list of paid orders has it, which is the
read model's. Then it stops the broker and measures the same: what is kept runs out by
itself, and the model follows the logs.

`, stderr)
	f := &freshness{progress: stderr}
	flags.IntVar(&f.changes, "changes", 200, "prices that change, for each number of gateways")
	flags.IntVar(&f.orders, "orders", 200, "orders")
	asJSON := flags.Bool("json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || f.changes < 1 || f.orders < 1 {
		flags.Usage()
		return errors.New("bench freshness takes no arguments; one change and one order are the least")
	}
	dir, err := os.MkdirTemp("", "souk-freshness-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := f.run(ctx, dir); err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(f.results)
	}
	return f.print(stdout)
}

func (f *freshness) run(ctx context.Context, dir string) (err error) {
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	const user, password = "souk", "freshness"
	broker, err := natsserver.Start(ctx, natsserver.Config{Dir: filepath.Join(dir, "nats"), Address: address, User: user, Password: config.Secret(password)})
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			broker.Stop()
		}
	}()
	f.shop, err = localshop.Start(ctx, localshop.Options{
		Dir: filepath.Join(dir, "shop"), Seed: true, Events: "nats://" + user + ":" + password + "@" + address,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.shop.Stop(context.WithoutCancel(ctx))) }()
	f.operator = shopclient.New(f.shop.URL).WithToken(f.shop.OperatorToken)
	defer f.operator.Close()
	if f.buyer, err = newBuyer(ctx, f.shop.URL, 5); err != nil {
		return err
	}
	if err := f.choose(ctx); err != nil {
		return err
	}
	// The gateway through which the operator changes prices drops its own copy with them:
	// it is not one of those that are measured.
	for range 3 {
		g, err := f.shop.AddGateway(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, g.Stop()) }()
		f.gateways = append(f.gateways, shopclient.New(g.URL))
	}
	for _, there := range []bool{true, false} {
		if !there {
			broker.Stop()
			stopped = true
		}
		if err := retry.Sleep(ctx, settle); err != nil {
			return err
		}
		for _, n := range []int{1, len(f.gateways)} {
			if err := f.prices(ctx, n, there); err != nil {
				return err
			}
		}
		if err := f.paid(ctx, there); err != nil {
			return err
		}
	}
	return nil
}

// choose takes the products whose prices change: each once with and once without the
// broker, as far as there are enough.
func (f *freshness) choose(ctx context.Context) error {
	for cursor := ""; len(f.products) < 4*f.changes; {
		page, err := f.operator.Products(ctx, shopclient.ProductQuery{Limit: 100, Cursor: cursor})
		if err != nil {
			return err
		}
		f.products = append(f.products, page.Products...)
		if cursor = page.NextCursor; cursor == "" {
			return nil
		}
	}
	return nil
}

// prices changes prices and waits until so many gateways show each.
func (f *freshness) prices(ctx context.Context, gateways int, broker bool) error {
	shown := fmt.Sprintf("%d gateways", gateways)
	if gateways == 1 {
		shown = "1 gateway"
	}
	return f.measure("a price", shown, broker, f.changes, func(int) (time.Duration, error) {
		v := f.products[f.next%len(f.products)].Variants[0]
		f.next++
		if err := f.all(ctx, gateways, func(ctx context.Context, g *shopclient.Client) error {
			if err := retry.Sleep(ctx, rand.N(keptFor)); err != nil {
				return err
			}
			_, err := g.Product(ctx, v.SKU)
			return err
		}); err != nil {
			return 0, err
		}
		price := shopclient.Money{Amount: v.Price.Amount + 1, Currency: v.Price.Currency}
		if err := f.operator.SetPrices(ctx, []shopclient.PriceChange{{SKU: v.SKU, Price: price}}); err != nil {
			return 0, err
		}
		return f.until(ctx, gateways, func(ctx context.Context, g *shopclient.Client) (bool, error) {
			p, err := g.Product(ctx, v.SKU)
			return err == nil && slices.ContainsFunc(p.Variants, func(w shopclient.Variant) bool { return w.SKU == v.SKU && w.Price == price }), err
		})
	})
}

// paid buys and waits until the list of paid orders has the order.
func (f *freshness) paid(ctx context.Context, broker bool) error {
	return f.measure("a paid order", "the read model", broker, f.orders, func(n int) (time.Duration, error) {
		// Not in step with the looks at the logs.
		if err := retry.Sleep(ctx, rand.N(time.Second)); err != nil {
			return 0, err
		}
		id, err := f.buyer.checkout(ctx, n)
		if err != nil {
			return 0, err
		}
		return f.until(ctx, 1, func(ctx context.Context, _ *shopclient.Client) (bool, error) {
			orders, err := f.operator.NewestOrders(ctx, shopclient.StatePaid, 5)
			return slices.ContainsFunc(orders, func(o shopclient.Order) bool { return o.ID == id }), err
		})
	})
}

// all calls do for so many gateways at once.
func (f *freshness) all(ctx context.Context, gateways int, do func(context.Context, *shopclient.Client) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, client := range f.gateways[:gateways] {
		g.Go(func() error { return do(ctx, client) })
	}
	return g.Wait()
}

// until returns after what time the last of so many gateways shows what it should.
func (f *freshness) until(ctx context.Context, gateways int, shows func(context.Context, *shopclient.Client) (bool, error)) (time.Duration, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, staleFor, fmt.Errorf("not shown after %v", staleFor))
	defer cancel()
	err := f.all(ctx, gateways, func(ctx context.Context, g *shopclient.Client) error {
		for {
			if ok, err := shows(ctx, g); ok || err != nil {
				return err
			}
			if err := retry.Sleep(ctx, lookEvery); err != nil {
				return context.Cause(ctx)
			}
		}
	})
	return time.Since(begun), err
}

func (f *freshness) measure(change, shown string, broker bool, n int, once func(int) (time.Duration, error)) error {
	hist := newHistogram()
	for i := range n {
		took, err := once(i)
		if err != nil {
			return fmt.Errorf("%s, shown by %s: %w", change, shown, err)
		}
		if err := hist.RecordValue(min(took, time.Minute).Microseconds()); err != nil {
			return err
		}
	}
	ms := func(micros int64) float64 { return float64(micros) / 1000 }
	r := FreshnessResult{
		Change: change, Shown: shown, Broker: broker, Count: hist.TotalCount(),
		P50Millis: ms(hist.ValueAtQuantile(50)), P99Millis: ms(hist.ValueAtQuantile(99)), MaxMillis: ms(hist.Max()),
	}
	f.results = append(f.results, r)
	fmt.Fprintf(f.progress, "%s, shown by %s: p50 %.0f ms, p99 %.0f ms\n", change, shown, r.P50Millis, r.P99Millis)
	return nil
}

func (f *freshness) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "change\tshown by\tbroker\ttimes\tp50\tp99\tmost")
	for _, r := range f.results {
		broker := "there"
		if !r.Broker {
			broker = "away"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%.0f ms\t%.0f ms\t%.0f ms\n", r.Change, r.Shown, broker, r.Count, r.P50Millis, r.P99Millis, r.MaxMillis)
	}
	return tw.Flush()
}
