package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// importBatch is how many products one call imports: few enough that a busy machine does it in
// the time that a call has.
const importBatch = 5_000

// scale measures reads of a small and of a large catalog.
type scale struct {
	sizes    [2]int
	reads    int
	progress io.Writer
	catalog  *generated
}

// ScaleResult is one kind of read, or of work, in a small and a large shop.
type ScaleResult struct {
	Name string `json:"name"`
	// P50Millis and P99Millis are in the small and in the large shop.
	P50Millis [2]float64 `json:"p50_ms"`
	P99Millis [2]float64 `json:"p99_ms"`
	// Factor is the large shop's p50 by the small one's.
	Factor float64 `json:"factor"`
}

func scaleCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench scale", `usage: souk bench scale [flags]

Starts two shops of its own, without their caches, fills one with a small and one
with a large catalog of made-up products, and measures each kind of read, turn and
turn about, so that a noisy minute meets both. What a read costs must not grow
with the catalog. Two million products take most of an hour and 10 GB.

With --orders it measures what is done with orders in a shop that has few of them
behind it and in one that has so many, paid, of two years: a million take some
minutes and 10 GB.

  souk bench scale --orders 1000000 --most 1.5

`, stderr)
	s := &scale{progress: stderr, catalog: newGenerated()}
	flags.IntVar(&s.sizes[0], "small", 200_000, "products of the small catalog")
	flags.IntVar(&s.sizes[1], "large", 2_000_000, "products of the large catalog")
	flags.IntVar(&s.reads, "reads", 300, "reads of each kind")
	past := &pastOrders{progress: stderr}
	flags.IntVar(&past.sizes[1], "orders", 0, "measure orders, in a shop that has so many behind it, and not the catalog")
	flags.IntVar(&past.sizes[0], "few-orders", 1000, "with --orders: how many the other shop has")
	dir := flags.String("data", "", "keep the shops in this `folder`, and use what is there; a temporary one if empty")
	most := flags.Float64("most", 2, "fail when a kind of read is slower by more than this `factor`; 0 for never")
	asJSON := flags.Bool("json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || s.sizes[0] < 1000 || s.sizes[1] <= s.sizes[0] || s.reads < 10 {
		flags.Usage()
		return errors.New("bench scale takes no arguments; the small catalog has 1000 products or more, the large one has more than that, and 10 reads are the least")
	}
	if *dir == "" {
		temporary, err := os.MkdirTemp("", "souk-scale-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		*dir = temporary
	}
	run, things := s.run, "products"
	sizes := s.sizes
	if past.sizes[1] != 0 {
		past.rounds = s.reads
		if err := past.check(); err != nil {
			return err
		}
		run, things, sizes = past.run, "orders", past.sizes
	}
	results, err := run(ctx, *dir)
	if err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(results)
	} else {
		err = printScale(stdout, things, sizes, results)
	}
	for _, r := range results {
		if *most > 0 && r.Factor > *most {
			err = errors.Join(err, fmt.Errorf("%s is slower by a factor of %.2f with %d %s", r.Name, r.Factor, sizes[1], things))
		}
	}
	return err
}

// uncached has every read reach the database.
var uncached = []string{"SOUK_CATALOG_MEMORY_TTL=-1s", "SOUK_GATEWAY_CACHE_TTL=1ns", "SOUK_GATEWAY_CACHE_BACKSTOP=-1s"}

func (s *scale) run(ctx context.Context, dir string) (results []ScaleResult, err error) {
	small, large := filepath.Join(dir, "small"), filepath.Join(dir, "large")
	err = s.withFilled(ctx, small, s.sizes[0], func(a *state.State) error {
		return s.withFilled(ctx, large, s.sizes[1], func(b *state.State) error {
			results, err = s.compare(ctx, [2]string{a.URL, b.URL})
			return err
		})
	})
	return results, err
}

// withFilled runs a shop that has so many of the products.
func (s *scale) withFilled(ctx context.Context, dir string, size int, use func(*state.State) error) error {
	return withShop(ctx, nil, dir, uncached, func(_ *child, st *state.State) error {
		if err := s.fill(ctx, st, size); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		return use(st)
	}, "--events", "none") // half of an import is telling of it
}

// compare measures each kind of read in both shops.
func (s *scale) compare(ctx context.Context, urls [2]string) ([]ScaleResult, error) {
	var kinds [2][]kind
	for i, base := range urls {
		var err error
		if kinds[i], err = s.kinds(ctx, shopclient.New(base), s.sizes[i]); err != nil {
			return nil, err
		}
	}
	results := make([]ScaleResult, len(kinds[0]))
	for k := range results {
		hists, err := s.measure(ctx, urls, [2]kind{kinds[0][k], kinds[1][k]})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kinds[0][k].name, err)
		}
		results[k] = newScaleResult(kinds[0][k].name, hists)
		r := results[k]
		fmt.Fprintf(s.progress, "%s: %.1f and %.1f ms, factor %.2f\n", r.Name, r.P50Millis[0], r.P50Millis[1], r.Factor)
	}
	return results, nil
}

// fill imports products up to size, and waits until the shop has put them in order.
func (s *scale) fill(ctx context.Context, st *state.State, size int) error {
	conn, err := pgx.Connect(ctx, st.Postgres["catalog"])
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// The role's limit is for requests; to vacuum two million products takes longer.
	if _, err := conn.Exec(ctx, "SET statement_timeout = 0"); err != nil {
		return err
	}
	var done int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM products WHERE code ~ '^G[0-9]{7}$'").Scan(&done); err != nil {
		return err
	}
	if done > size {
		return fmt.Errorf("there are %d products already, more than %d; choose another folder", done, size)
	}
	operator := shopclient.New(st.URL).WithToken(st.OperatorToken)
	start := time.Now()
	for from := done - done%importBatch; from < size; from += importBatch {
		to := min(from+importBatch, size)
		if err := importPart(ctx, operator, s.catalog.csv(from, to)); err != nil {
			return err
		}
		if to == size || to%100_000 == 0 {
			fmt.Fprintf(s.progress, "%d of %d products imported, %.0f a second\n", to, size, float64(to-done)/time.Since(start).Seconds())
		}
	}
	if err := waitShelved(ctx, conn); err != nil {
		return err
	}
	// What autovacuum does in its time.
	_, err = conn.Exec(ctx, "VACUUM (ANALYZE) products, variants, stock, search_entries, search_words, listing_counts")
	return err
}

// importPart imports a part of the catalog, which is done within minutes even on a busy machine.
func importPart(ctx context.Context, operator *shopclient.Client, csv []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	_, err := operator.ImportPatiently(ctx, csv)
	return err
}

// waitShelved waits until the most popular products stand on the shelves that
// searches go through.
func waitShelved(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		var missing int64
		err := conn.QueryRow(ctx, `SELECT least((SELECT count(*) FROM products), 512000) - (SELECT count(*) FROM search_entries WHERE shelf < 5)`).Scan(&missing)
		if err != nil || missing <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d products are not shelved: %w", missing, ctx.Err())
		case <-tick.C:
		}
	}
}

// kind is a kind of read: the address of the i-th of its reads.
type kind struct {
	name string
	path func(rng *rand.Rand) string
}

// deepPages is how many pages are turned to find deep ones.
const deepPages = 40

func (s *scale) kinds(ctx context.Context, shop *shopclient.Client, size int) ([]kind, error) {
	var deep []string
	q := shopclient.ProductQuery{Sort: "name", Limit: 100}
	for range deepPages {
		page, err := shop.Products(ctx, q)
		if err != nil {
			return nil, err
		}
		q.Cursor = page.NextCursor
		deep = append(deep, page.NextCursor)
	}
	g := s.catalog
	list := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return "/v1/products?" + v.Encode()
	}
	category := func(rng *rand.Rand) string { return fmt.Sprintf("made-up-%d", rng.IntN(generatedCategories)) }
	common := func(rng *rand.Rand) string { return g.nouns[rng.IntN(10)] }
	pair := func(rng *rand.Rand) string { return g.adjectives[rng.IntN(10)] + " " + g.nouns[rng.IntN(10)] }
	own := func(rng *rand.Rand) string { // a maker's products of a kind
		n := rng.IntN(size)
		return g.maker(n) + " " + g.nouns[rng.IntN(3)]
	}
	typo := func(rng *rand.Rand) string {
		w := []byte(g.maker(rng.IntN(size)))
		w[len(w)-2] = 'x'
		return string(w)
	}
	fixed := func(path string) func(*rand.Rand) string { return func(*rand.Rand) string { return path } }
	return []kind{
		{"product", func(rng *rand.Rand) string { return "/v1/products/" + g.code(rng.IntN(size)) }},
		{"product page", func(rng *rand.Rand) string { return "/products/" + g.code(rng.IntN(size)) }},
		{"home", fixed("/")},
		{"list by popularity", fixed("/v1/products")},
		{"list of a category", func(rng *rand.Rand) string { return list("category", category(rng)) }},
		{"list in stock", func(rng *rand.Rand) string { return list("category", category(rng), "in_stock", "true") }},
		{"list by name", func(rng *rand.Rand) string { return list("category", category(rng), "sort", "name") }},
		{"list by price", func(rng *rand.Rand) string { return list("category", category(rng), "sort", "price") }},
		{"newest", fixed("/v1/products?sort=newest")},
		{"deep page by name", func(rng *rand.Rand) string {
			return list("sort", "name", "cursor", deep[rng.IntN(len(deep))], "limit", "24")
		}},
		{"facets of everything", fixed("/v1/products?facets=true")},
		{"facets of a category", func(rng *rand.Rand) string { return list("category", category(rng), "facets", "true") }},
		{"facets of a price range", func(rng *rand.Rand) string {
			low := 1000 + rng.IntN(4000)
			return list("min_price", fmt.Sprint(low), "max_price", fmt.Sprint(low+3000), "facets", "true")
		}},
		{"search, a common word", func(rng *rand.Rand) string { return list("q", common(rng)) }},
		{"search, two common words", func(rng *rand.Rand) string { return list("q", pair(rng)) }},
		{"search, a word of any frequency", func(rng *rand.Rand) string { return list("q", g.nouns[rng.IntN(len(g.nouns))]) }},
		{"search, a maker's product", func(rng *rand.Rand) string { return list("q", own(rng)) }},
		{"search, a SKU", func(rng *rand.Rand) string { return list("q", g.code(rng.IntN(size))) }},
		{"search, a typo", func(rng *rand.Rand) string { return list("q", typo(rng)) }},
		{"search, nothing found", func(rng *rand.Rand) string { return list("q", madeUpWord(9, rng.IntN(1<<20))+"qqq") }},
		{"search by price", func(rng *rand.Rand) string { return list("q", common(rng), "sort", "price") }},
		{"search with facets, a common word", func(rng *rand.Rand) string { return list("q", common(rng), "facets", "true") }},
		{"search with facets, a maker's product", func(rng *rand.Rand) string { return list("q", own(rng), "facets", "true") }},
		{"search page", func(rng *rand.Rand) string { return "/products?q=" + url.QueryEscape(own(rng)) }},
	}, nil
}

// measure reads of both shops, turn and turn about, one after the other: half as
// many first that do not count.
func (s *scale) measure(ctx context.Context, urls [2]string, kinds [2]kind) ([2]*hdrhistogram.Histogram, error) {
	hists := [2]*hdrhistogram.Histogram{newHistogram(), newHistogram()}
	rngs := [2]*rand.Rand{rand.New(rand.NewPCG(7, 7)), rand.New(rand.NewPCG(7, 7))}
	client := &http.Client{Timeout: 30 * time.Second}
	for i := -s.reads / 2; i < s.reads; i++ {
		for shop, base := range urls {
			took, err := timed(ctx, client, base+kinds[shop].path(rngs[shop]), "")
			if err != nil {
				return hists, err
			}
			if i >= 0 {
				_ = hists[shop].RecordValue(min(took, time.Minute).Microseconds())
			}
		}
	}
	return hists, nil
}

// timed is how long a page takes, to its last byte, for the bearer of a token, if it is not empty.
func timed(ctx context.Context, client *http.Client, address, token string) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	start := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	took := time.Since(start)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s answered %s", address, res.Status)
	}
	return took, err
}

func newScaleResult(name string, hists [2]*hdrhistogram.Histogram) ScaleResult {
	r := ScaleResult{Name: name}
	for i, h := range hists {
		r.P50Millis[i], r.P99Millis[i] = float64(h.ValueAtQuantile(50))/1000, float64(h.ValueAtQuantile(99))/1000
	}
	r.Factor = r.P50Millis[1] / r.P50Millis[0]
	return r
}

func printScale(w io.Writer, things string, sizes [2]int, results []ScaleResult) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\t%[2]d %[1]s\t\t%[3]d %[1]s\t\t\n\tp50\tp99\tp50\tp99\tfactor\n", things, sizes[0], sizes[1])
	for _, r := range results {
		fmt.Fprintf(tw, "%s\t%.1f ms\t%.1f ms\t%.1f ms\t%.1f ms\t%.2f\n", r.Name, r.P50Millis[0], r.P99Millis[0], r.P50Millis[1], r.P99Millis[1], r.Factor)
	}
	return tw.Flush()
}
