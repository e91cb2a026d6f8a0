package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// The promises of an edge, of docs/edge.md.
const (
	// edgeBound is how old a page may be while changes are told: the second time that an edge is
	// told of each (7 s), and a request.
	edgeBound = 8 * time.Second
	// edgeUsual is how old it is usually, at the 99th percentile.
	edgeUsual = time.Second
	// edgeHits is the least part of reads that the edge answers alone while prices change.
	edgeHits = 0.9
	// edgeRelief is the most that the gateway works for a read with the edge, by what it works
	// without. The reads a second are no promise: on one machine both share its processors.
	edgeRelief = 0.25
)

// edgeBench is what is measured.
type edgeBench struct {
	time     time.Duration
	changes  int           // prices that change, one after another
	every    time.Duration // the pause between two
	readers  int
	products int // whose pages are read
	progress io.Writer

	shop     *localshop.Shop
	operator *shopclient.Client
	skus     []string
}

// EdgeResult is what a shop does with an edge, and the same shop without.
type EdgeResult struct {
	With    EdgeSide `json:"with"`
	Without EdgeSide `json:"without"`
	// Browsing is how many of the pages that had been read are shown while the catalog hangs, and
	// how many of them say so.
	Browsing, Shown, Marked int
	Broken                  []string `json:"broken,omitempty"`
}

// EdgeSide is one of two.
type EdgeSide struct {
	Name string `json:"name"`
	// PerSecond, P50Millis and P99Millis are of reads while nothing changes.
	PerSecond float64 `json:"per_second"`
	P50Millis float64 `json:"p50_ms"`
	P99Millis float64 `json:"p99_ms"`
	// GatewayMicros is the time of a processor that the gateway takes for one of these reads.
	GatewayMicros float64 `json:"gateway_us"`
	// HitRatio is of reads while prices change, 0 without an edge; Reads is their number.
	HitRatio float64 `json:"hit_ratio"`
	Reads    int64   `json:"reads"`
	// From the acknowledgement of a new price to the last reader's first page that has it, and how
	// many pages with the old price came after one with the new.
	Changes         int     `json:"changes"`
	ShownP50Millis  float64 `json:"shown_p50_ms"`
	ShownP99Millis  float64 `json:"shown_p99_ms"`
	ShownMostMillis float64 `json:"shown_most_ms"`
	Back            int64   `json:"back"`
}

func edgeCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench edge", `usage: souk bench edge [flags]

Starts a shop with Varnish in front of the gateway, and measures reads of pages through it
and at the gateway itself: how many a second while nothing changes; how many of them the edge
answers alone, and after what time a new price is shown, while prices change; and how many
pages are shown, marked, while the catalog hangs. It fails when a promise of docs/edge.md
is not kept.

`, stderr)
	b := &edgeBench{progress: stderr}
	flags.DurationVar(&b.time, "time", 10*time.Second, "length of the reads while nothing changes")
	flags.IntVar(&b.changes, "changes", 200, "prices that change, for each side")
	flags.DurationVar(&b.every, "every", 100*time.Millisecond, "pause between two changes")
	flags.IntVar(&b.readers, "readers", 16, "connections that read")
	flags.IntVar(&b.products, "products", 200, "products whose pages are read, beside lists")
	asJSON := flags.Bool("json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || b.time <= 0 || b.changes < 1 || b.readers < 1 || b.products < 1 || b.every < 0 {
		flags.Usage()
		return errors.New("bench edge takes no arguments, and its numbers must be positive")
	}
	dir, err := os.MkdirTemp("", "souk-edge-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	result, err := b.run(ctx, dir)
	if err != nil {
		return err
	}
	result.check()
	return conclude(stdout, *asJSON, result, result.print, result.Broken)
}

func (b *edgeBench) run(ctx context.Context, dir string) (_ *EdgeResult, err error) {
	b.shop, err = localshop.Start(ctx, localshop.Options{
		Dir: filepath.Join(dir, "shop"), Seed: true, Edge: true, Events: localshop.EmbeddedEvents, Processes: true,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.shop.Stop(context.WithoutCancel(ctx))) }()
	b.operator = shopclient.New(b.shop.GatewayURL()).WithToken(b.shop.OperatorToken)
	defer b.operator.Close()
	for cursor := ""; len(b.skus) < b.products; {
		page, err := b.operator.Products(ctx, shopclient.ProductQuery{Limit: 100, Cursor: cursor})
		if err != nil {
			return nil, err
		}
		for _, p := range page.Products {
			b.skus = append(b.skus, p.Variants[0].SKU)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	b.skus = b.skus[:min(len(b.skus), b.products)]
	if err := retry.Sleep(ctx, settle); err != nil { // the import was a change, too
		return nil, err
	}
	r := &EdgeResult{With: EdgeSide{Name: "with the edge"}, Without: EdgeSide{Name: "without"}}
	for _, side := range []struct {
		*EdgeSide
		url string
	}{{&r.Without, b.shop.GatewayURL()}, {&r.With, b.shop.URL}} {
		if err := b.still(ctx, side.EdgeSide, side.url); err != nil {
			return nil, fmt.Errorf("%s: %w", side.Name, err)
		}
		if err := b.changing(ctx, side.EdgeSide, side.url); err != nil {
			return nil, fmt.Errorf("%s: %w", side.Name, err)
		}
		fmt.Fprintf(b.progress, "%s: %.0f reads a second, %.1f%% from the edge while prices change, shown after %.0f ms at most\n",
			side.Name, side.PerSecond, 100*side.HitRatio, side.ShownMostMillis)
	}
	return r, b.browse(ctx, r)
}

// paths are what is read: pages of products, and a list for every ten of them.
func (b *edgeBench) paths() []string {
	lists := []string{"/", "/products", "/v1/products?limit=24", "/v1/categories"}
	var out []string
	for i, sku := range b.skus {
		out = append(out, "/products/"+sku)
		if i%10 == 0 {
			out = append(out, lists[i/10%len(lists)])
		}
	}
	return out
}

// still reads while nothing changes, once before to fill the caches.
func (b *edgeBench) still(ctx context.Context, side *EdgeSide, url string) error {
	addr := strings.TrimPrefix(url, "http://")
	for _, d := range []time.Duration{b.time / 4, b.time} {
		before, err := usageOf(b.shop.PID(topology.Edge), false)
		if err != nil {
			return err
		}
		s, err := readLoop(ctx, addr, b.paths(), b.readers, d, "Accept-Encoding: gzip")
		if err != nil {
			return err
		}
		after, err := usageOf(b.shop.PID(topology.Edge), false)
		if err != nil {
			return err
		}
		side.GatewayMicros = float64((after.cpu - before.cpu).Microseconds()) / float64(s.hist.TotalCount())
		side.PerSecond = s.rate()
		side.P50Millis = float64(s.quantile(50)) / float64(time.Millisecond)
		side.P99Millis = float64(s.quantile(99)) / float64(time.Millisecond)
	}
	return nil
}

// changing changes prices, one after another, while the readers read all pages: those of the product
// that changes as fast as they are answered.
func (b *edgeBench) changing(ctx context.Context, side *EdgeSide, url string) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var readers sync.WaitGroup
	var reads, hits atomic.Int64
	failed := make(chan error, b.readers)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: b.readers + 1}}
	defer client.CloseIdleConnections()
	get := func(ctx context.Context, path string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
		if err != nil {
			return "", err
		}
		res, err := client.Do(req)
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return "", err
		}
		if res.StatusCode != http.StatusOK {
			return "", fmt.Errorf("GET %s%s: %s", url, path, res.Status)
		}
		reads.Add(1)
		if strings.Contains(res.Header.Get("Cache-Status"), "; hit") {
			hits.Add(1)
		}
		return string(body), nil
	}
	paths := b.paths()
	for n := range b.readers {
		readers.Go(func() {
			for i := n * 7; reading.Err() == nil; i++ {
				if _, err := get(reading, paths[i%len(paths)]); err != nil && reading.Err() == nil {
					failed <- err
					return
				}
			}
		})
	}
	defer readers.Wait()
	defer stop()
	hist := newHistogram()
	for n := range b.changes {
		sku := b.skus[n%len(b.skus)]
		took, back, err := b.change(ctx, sku, get)
		if err != nil {
			return err
		}
		side.Back += back
		if err := hist.RecordValue(max(1, min(took, time.Minute).Microseconds())); err != nil {
			return err
		}
		select {
		case err := <-failed:
			return err
		default:
		}
		if err := retry.Sleep(ctx, b.every); err != nil {
			return err
		}
	}
	ms := func(micros int64) float64 { return float64(micros) / 1000 }
	side.Changes, side.Reads = b.changes, reads.Load()
	side.HitRatio = float64(hits.Load()) / float64(side.Reads)
	side.ShownP50Millis, side.ShownP99Millis, side.ShownMostMillis = ms(hist.ValueAtQuantile(50)), ms(hist.ValueAtQuantile(99)), ms(hist.Max())
	return nil
}

// change sets a price and returns after what time the product's page has it for good: looks
// are taken for a while after the first that has it, and back are those with the old one.
func (b *edgeBench) change(ctx context.Context, sku string, get func(context.Context, string) (string, error)) (took time.Duration, back int64, err error) {
	p, err := b.operator.Product(ctx, sku)
	if err != nil {
		return 0, 0, err
	}
	i := slices.IndexFunc(p.Variants, func(v shopclient.Variant) bool { return v.SKU == sku })
	if i < 0 {
		return 0, 0, fmt.Errorf("the product %s has no such variant", sku)
	}
	old := p.Variants[i].Price
	price := shopclient.Money{Amount: old.Amount + 1, Currency: old.Currency}
	path := "/v1/products/" + sku
	if _, err := get(ctx, path); err != nil { // the edge has the old one
		return 0, 0, err
	}
	if err := b.operator.SetPrices(ctx, []shopclient.PriceChange{{SKU: sku, Price: price}}); err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	want := fmt.Sprintf(`"sku":%q,"price":{"amount":%d,`, sku, price.Amount)
	if len(p.Variants) > 1 {
		want = fmt.Sprintf(`"price":{"amount":%d,`, price.Amount) // a name stands between
	}
	for looks := 0; looks < 5; {
		body, err := get(ctx, path)
		if err != nil {
			return 0, 0, err
		}
		switch {
		case strings.Contains(body, want):
			if looks == 0 {
				took = time.Since(begun)
			}
			looks++
		case looks > 0:
			back++
			looks, took = 0, 0
		}
		if time.Since(begun) > staleFor {
			return 0, 0, fmt.Errorf("the new price of %s is not shown after %v", sku, staleFor)
		}
		if err := retry.Sleep(ctx, lookEvery); err != nil {
			return 0, 0, err
		}
	}
	return took, back, nil
}

// browse reads pages that the edge has while the catalog hangs, once each has expired.
func (b *edgeBench) browse(ctx context.Context, r *EdgeResult) error {
	if err := b.shop.Signal("catalog", syscall.SIGSTOP); err != nil {
		return err
	}
	defer func() { _ = b.shop.Signal("catalog", syscall.SIGCONT) }()
	// Their time is a minute: what has not expired is shown without a mark.
	if err := retry.Sleep(ctx, 75*time.Second); err != nil {
		return err
	}
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	for _, path := range b.paths() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.shop.URL+path, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		r.Browsing++
		if res.StatusCode == http.StatusOK {
			r.Shown++
			if strings.Contains(res.Header.Get("Cache-Status"), "stale-if-error") {
				r.Marked++
			}
		}
	}
	return nil
}

// check notes which promises were not kept.
func (r *EdgeResult) check() {
	broken := func(ok bool, format string, args ...any) {
		if !ok {
			r.Broken = append(r.Broken, fmt.Sprintf(format, args...))
		}
	}
	w := &r.With
	bound := float64(edgeBound / time.Millisecond)
	broken(w.ShownMostMillis <= bound, "a new price was shown after %.0f ms, and %.0f is the bound", w.ShownMostMillis, bound)
	broken(w.ShownP99Millis <= float64(edgeUsual/time.Millisecond), "one of a hundred new prices was shown after %.0f ms, and %v is usual", w.ShownP99Millis, edgeUsual)
	broken(w.HitRatio >= edgeHits, "%.1f%% of the reads came from the edge while prices changed, and %.0f%% are promised", 100*w.HitRatio, 100*edgeHits)
	broken(w.GatewayMicros <= edgeRelief*r.Without.GatewayMicros, "the gateway works %.1f µs for a read with the edge, and %.1f without", w.GatewayMicros, r.Without.GatewayMicros)
	broken(r.Shown == r.Browsing, "%d of %d pages were shown while the catalog hung", r.Shown, r.Browsing)
	broken(r.Marked == r.Shown, "%d of %d pages that were shown while the catalog hung say so", r.Marked, r.Shown)
}

func (r *EdgeResult) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\treads a second\tp50\tp99\tgateway\thits while prices change\tshown p50\tp99\tmost\tback")
	for _, s := range []EdgeSide{r.With, r.Without} {
		fmt.Fprintf(tw, "%s\t%.0f\t%.2f ms\t%.2f ms\t%.1f µs\t%.1f%% of %d\t%.0f ms\t%.0f ms\t%.0f ms\t%d\n",
			s.Name, s.PerSecond, s.P50Millis, s.P99Millis, s.GatewayMicros, 100*s.HitRatio, s.Reads, s.ShownP50Millis, s.ShownP99Millis, s.ShownMostMillis, s.Back)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "while the catalog hung: %d of %d pages shown, %d marked\n", r.Shown, r.Browsing, r.Marked)
	for _, b := range r.Broken {
		fmt.Fprintln(w, "BROKEN: "+b)
	}
	return nil
}
