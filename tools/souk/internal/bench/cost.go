package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// settling is for how long after the last of something its work is waited for: jobs, events, mails.
const settling = 5 * time.Second

// CostCommand is `souk cost`.
func CostCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("cost", `usage: souk cost [flags]

Says what the shop costs a month on AWS (k8s/terraform/aws) at some rates of orders,
with the arithmetic. It starts shops of its own in a temporary folder, measures what an
order, a page and a picture take of processors, bytes and SQL statements, less what an
idle shop takes, and multiplies by prices and by what --help calls assumed.

`, stderr)
	rates := flags.String("rates", "1,100,10000", "average orders an hour, comma separated")
	orders := flags.Int("orders", 200, "orders to measure")
	pages := flags.Int("pages", 2000, "pages and pictures to measure")
	idle := flags.Duration("idle", 15*time.Second, "how long to measure the idle shop")
	lines := flags.Int("lines", 3, "lines of an order")
	file := flags.String("prices", "", "a `file` of prices, of the form of tools/souk/internal/bench/prices.json, which is used without one")
	measured := flags.String("measured", "", "a `file` that --json printed: take what was measured from there")
	asJSON := flags.Bool("json", false, "print as JSON")
	a := Assumed{}
	flags.Float64Var(&a.Reads, "reads", 100, "assumed: pages for each order; 1 of 30 visits of 3 to 4 pages buys")
	flags.Float64Var(&a.Pictures, "pictures", 12, "assumed: pictures of a page")
	flags.Float64Var(&a.InBrowser, "in-browser", .5, "assumed: share of the pictures that browsers have")
	flags.Float64Var(&a.PicturesKept, "pictures-kept", .95, "assumed: share of the other pictures that CloudFront has")
	flags.Float64Var(&a.PagesKept, "pages-kept", 0, "assumed: share of pages that a cache in front of the gateway has")
	flags.Float64Var(&a.Peak, "peak", 4, "assumed: the busiest hour by the average one")
	flags.Float64Var(&a.Busy, "busy", .5, "assumed: how busy processors may be in it")
	flags.Float64Var(&a.Speed, "speed", 1, "assumed: what a core of AWS's does in the time of one here")
	flags.Float64Var(&a.Months, "months", 24, "assumed: for how many months orders are kept")
	flags.Float64Var(&a.ProviderBytes, "provider-bytes", 30_000, "assumed: bytes to and from payment provider, mail server and webhooks for an order")
	if err := flags.Parse(args); err != nil {
		return err
	}
	list, err := parseRates(*rates)
	if err == nil {
		err = a.check()
	}
	if err == nil && (flags.NArg() != 0 || *orders < 1 || *pages < 1 || *lines < 1 || *idle <= 0) {
		err = errors.New("cost takes no arguments, and --orders, --pages, --lines and --idle above 0")
	}
	if err != nil {
		return err
	}
	text := listPrices
	if *file != "" {
		if text, err = os.ReadFile(*file); err != nil {
			return err
		}
	}
	prices, err := readPrices(text)
	if err != nil {
		return fmt.Errorf("--prices: %w", err)
	}
	report := costReport{Assumed: a, Prices: prices}
	if *measured != "" {
		text, err := os.ReadFile(*measured)
		if err != nil {
			return err
		}
		var before costReport
		if err := json.Unmarshal(text, &before); err != nil || before.Use.Orders.Count == 0 {
			return errors.Join(fmt.Errorf("--measured: %s is not what --json printed", *measured), err)
		}
		report.Use = before.Use
	} else {
		m := costMeasure{orders: *orders, pages: *pages, lines: *lines, idle: *idle, progress: stderr}
		if report.Use, err = m.run(ctx); err != nil {
			return err
		}
	}
	for _, rate := range list {
		b, err := prices.bill(report.Use, a, rate)
		if err != nil {
			return err
		}
		report.Bills = append(report.Bills, b)
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	return report.print(stdout)
}

func parseRates(text string) (out []float64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		r, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || !(r > 0) || math.IsInf(r, 0) {
			return nil, fmt.Errorf("--rates: %q: want orders an hour, above 0", part)
		}
		out = append(out, r)
	}
	return out, nil
}

// check names what is wrong.
func (a Assumed) check() error {
	for name, v := range map[string]float64{"peak": a.Peak - 1, "reads": a.Reads, "pictures": a.Pictures, "months": a.Months, "provider-bytes": a.ProviderBytes} {
		if !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("--%s: want 0 or more, and --peak 1 or more", name)
		}
	}
	for name, v := range map[string]float64{"in-browser": a.InBrowser, "pictures-kept": a.PicturesKept, "pages-kept": a.PagesKept} {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("--%s: want 0 to 1", name)
		}
	}
	if !(a.Busy > 0 && a.Busy <= 1) {
		return errors.New("--busy: want more than 0, and 1 at most")
	}
	if !(a.Speed > 0) || math.IsInf(a.Speed, 0) {
		return errors.New("--speed: want more than 0")
	}
	return nil
}

type costReport struct {
	Use     Use     `json:"measured"`
	Assumed Assumed `json:"assumed"`
	Prices  Prices  `json:"prices"`
	Bills   []Bill  `json:"bills"`
}

// costMeasure measures Use.
type costMeasure struct {
	orders, pages, lines int
	idle                 time.Duration
	progress             io.Writer
}

func (m costMeasure) run(ctx context.Context) (Use, error) {
	dir, err := os.MkdirTemp("", "souk-cost-")
	if err != nil {
		return Use{}, err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(m.progress, "starting a shop, each part a process of its own")
	use, err := m.processors(ctx, dir)
	if err != nil {
		return Use{}, err
	}
	fmt.Fprintln(m.progress, "starting it once more, in one process, to count SQL statements")
	return use, m.statements(ctx, dir, &use)
}

// processors measures processor time, bytes and what is stored.
func (m costMeasure) processors(ctx context.Context, dir string) (use Use, err error) {
	shop, err := localshop.Start(ctx, localshop.Options{Dir: dir, Seed: true, Processes: true, Events: localshop.EmbeddedEvents})
	if err != nil {
		return use, err
	}
	defer func() { err = errors.Join(err, shop.Stop(context.WithoutCancel(ctx))) }()
	wire, err := newWire(ctx, shop.URL)
	if err != nil {
		return use, err
	}
	defer wire.close()
	buyer, err := newBuyer(ctx, wire.url, m.lines)
	if err != nil {
		return use, err
	}
	pages, pictures, err := costPaths(ctx, shop.URL)
	if err != nil {
		return use, err
	}
	window := func(name string, n int, wait time.Duration, do func(ctx context.Context, i int) error) (Work, error) {
		fmt.Fprintf(m.progress, "measuring %s\n", name)
		before, err := cpuOfParts(shop)
		if err != nil {
			return Work{}, err
		}
		sent, began := wire.sent.Load(), time.Now()
		group, limited := errgroup.WithContext(ctx)
		group.SetLimit(4)
		for i := range n {
			group.Go(func() error { return do(limited, i) })
		}
		if err := group.Wait(); err != nil {
			return Work{}, fmt.Errorf("%s: %w", name, err)
		}
		bytes := wire.sent.Load() - sent
		if err := retry.Sleep(ctx, wait); err != nil {
			return Work{}, err
		}
		took := time.Since(began).Seconds()
		after, err := cpuOfParts(shop)
		if err != nil {
			return Work{}, err
		}
		w := Work{Count: n, Bytes: float64(bytes) / float64(max(n, 1)), ByPart: map[string]float64{}}
		for part, cpu := range after {
			ms := (cpu - before[part]).Seconds() * 1000
			if n > 0 {
				w.ByPart[part] = max(0, ms-use.Idle.ByPart[part]*took) / float64(n)
			} else {
				w.ByPart[part] = ms / took // a second's
			}
			if part == topology.Postgres {
				w.Database += w.ByPart[part]
			} else {
				w.Shop += w.ByPart[part]
			}
		}
		return w, nil
	}
	buy := func(ctx context.Context, i int) error { _, err := buyer.checkout(ctx, i); return err }
	get := func(paths []string) func(ctx context.Context, i int) error {
		return func(ctx context.Context, i int) error { return wire.get(ctx, paths[i%len(paths)]) }
	}
	// What is done for the first time is not what a month is made of.
	if _, err = window("nothing yet, to warm up", 20, settling, buy); err != nil {
		return use, err
	}
	if use.Idle, err = window("the idle shop", 0, m.idle, nil); err != nil {
		return use, err
	}
	size, err := storedBytes(ctx, shop)
	if err != nil {
		return use, err
	}
	if use.Orders, err = window(fmt.Sprintf("%d orders", m.orders), m.orders, settling, buy); err != nil {
		return use, err
	}
	grown, err := storedBytes(ctx, shop)
	if err != nil {
		return use, err
	}
	use.StoredBytes = max(0, grown-size) / float64(m.orders)
	if use.Pages, err = window(fmt.Sprintf("%d pages", m.pages), m.pages, 0, get(pages)); err != nil {
		return use, err
	}
	// Each picture once: the gateway keeps what it drew.
	use.Pictures, err = window(fmt.Sprintf("%d pictures", len(pictures)), len(pictures), 0, get(pictures))
	return use, err
}

// statements counts SQL statements of the services, where a tracer can see them.
func (m costMeasure) statements(ctx context.Context, dir string, use *Use) (err error) {
	rec := &recorder{}
	shop, err := localshop.Start(ctx, localshop.Options{Dir: dir, Events: localshop.EmbeddedEvents, Tracer: rec.forDatabase})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Stop(context.WithoutCancel(ctx))) }()
	buyer, err := newBuyer(ctx, shop.URL, m.lines)
	if err != nil {
		return err
	}
	wire, err := newWire(ctx, shop.URL)
	if err != nil {
		return err
	}
	defer wire.close()
	pages, _, err := costPaths(ctx, shop.URL)
	if err != nil {
		return err
	}
	count := func(n int, wait time.Duration, do func(i int) error) (float64, error) {
		rec.take()
		began := time.Now()
		for i := range n {
			if err := do(i); err != nil {
				return 0, err
			}
		}
		if err := retry.Sleep(ctx, wait); err != nil {
			return 0, err
		}
		statements := 0
		for _, r := range rec.take() {
			statements += len(r.statements)
		}
		idle := use.Idle.Statements * time.Since(began).Seconds()
		return max(0, float64(statements)-idle), nil
	}
	use.Idle.Statements = 0
	if use.Idle.Statements, err = count(0, m.idle, nil); err != nil {
		return err
	}
	use.Idle.Statements /= m.idle.Seconds()
	if use.Orders.Statements, err = count(m.orders, settling, func(i int) error { _, err := buyer.checkout(ctx, i); return err }); err != nil {
		return err
	}
	use.Orders.Statements /= float64(m.orders)
	if use.Pages.Statements, err = count(m.pages, 0, func(i int) error { return wire.get(ctx, pages[i%len(pages)]) }); err != nil {
		return err
	}
	use.Pages.Statements /= float64(m.pages)
	return nil
}

// cpuOfParts is the processor time of each part so far; that of the payment provider is not the shop's.
func cpuOfParts(shop *localshop.Shop) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for _, part := range append(topology.Names(topology.Of(topology.Service, topology.Gateway)), topology.Postgres, topology.NATS) {
		pid := shop.PID(part)
		if pid == 0 {
			return nil, fmt.Errorf("%s has no process", part)
		}
		u, err := usageOf(pid, part == topology.Postgres)
		if err != nil {
			return nil, err
		}
		out[part] = u.cpu
	}
	return out, nil
}

// storedBytes is the size of all databases.
func storedBytes(ctx context.Context, shop *localshop.Shop) (total float64, err error) {
	for _, dsn := range shop.DSNs() {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return 0, err
		}
		var n int64
		err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&n)
		if err := errors.Join(err, conn.Close(ctx)); err != nil {
			return 0, err
		}
		total += float64(n)
	}
	return total, nil
}

var pictureIn = regexp.MustCompile(`/pictures/[^"&\s]+\.svg\?v=[a-z0-9]+`)

// costPaths are pages of products and listings, and the pictures on them.
func costPaths(ctx context.Context, base string) (pages, pictures []string, err error) {
	list, err := shopclient.New(base).Products(ctx, shopclient.ProductQuery{Limit: 100})
	if err != nil {
		return nil, nil, err
	}
	for _, p := range list.Products {
		pages = append(pages, "/products/"+url.PathEscape(p.Variants[0].SKU))
		if category := "/categories/" + url.PathEscape(p.Category); !slices.Contains(pages, category) {
			pages = append(pages, category)
		}
	}
	fetched, err := fetch(ctx, base, []target{{name: "pages", paths: pages}})
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	for _, p := range fetched {
		for _, path := range pictureIn.FindAllString(string(p.Body), -1) {
			seen[path] = true
		}
	}
	if len(seen) < 50 {
		return nil, nil, fmt.Errorf("the pages have only %d pictures", len(seen))
	}
	return pages, slices.Sorted(maps.Keys(seen)), nil
}

// wire is a way to the shop that counts what comes from there.
type wire struct {
	url    string
	sent   atomic.Int64
	lis    net.Listener
	client *http.Client
}

func newWire(ctx context.Context, shop string) (*wire, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{url: "http://" + lis.Addr().String(), lis: lis, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}}
	to := strings.TrimPrefix(shop, "http://")
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return // closed
			}
			go w.pass(ctx, conn, to)
		}
	}()
	return w, nil
}

func (w *wire) pass(ctx context.Context, client net.Conn, to string) {
	defer client.Close()
	shop, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return // the client sees it
	}
	defer shop.Close()
	go func() {
		_, _ = io.Copy(shop, client)
		_ = shop.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, counted{shop, &w.sent})
}

type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// get reads a path as a browser does, compressed.
func (w *wire) get(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "gzip, br")
	res, err := w.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("GET %s answered %s", path, res.Status))
	}
	return errors.Join(err, res.Body.Close())
}

func (w *wire) close() {
	w.client.CloseIdleConnections()
	_ = w.lis.Close()
}

func (r costReport) print(out io.Writer) error {
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "measured\tshop, CPU-ms\tdatabase, CPU-ms\tbytes out\tSQL statements\tof")
	for _, w := range []struct {
		name string
		Work
	}{{"an order", r.Use.Orders}, {"a page", r.Use.Pages}, {"a picture", r.Use.Pictures}, {"an idle second", r.Use.Idle}} {
		fmt.Fprintf(tw, "%s\t%.3f\t%.3f\t%.0f\t%.1f\t%d\n", w.name, w.Shop, w.Database, w.Bytes, w.Statements, w.Count)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "stored for an order: %.0f bytes\n", r.Use.StoredBytes)
	fmt.Fprint(out, "an order's CPU-ms by part:")
	for _, part := range slices.Sorted(maps.Keys(r.Use.Orders.ByPart)) {
		fmt.Fprintf(out, " %s %.1f", part, r.Use.Orders.ByPart[part])
	}
	fmt.Fprintf(out, "\nassumed: --reads %g --pictures %g --in-browser %g --pictures-kept %g --pages-kept %g --peak %g --busy %g --speed %g --months %g --provider-bytes %g\n",
		r.Assumed.Reads, r.Assumed.Pictures, r.Assumed.InBrowser, r.Assumed.PicturesKept, r.Assumed.PagesKept, r.Assumed.Peak, r.Assumed.Busy, r.Assumed.Speed, r.Assumed.Months, r.Assumed.ProviderBytes)
	fmt.Fprintf(out, "prices: %s, %s\n", r.Prices.Region, r.Prices.Date)
	for _, b := range r.Bills {
		fmt.Fprintf(out, "\n%g orders an hour\n", b.OrdersAnHour)
		for _, s := range b.Steps {
			fmt.Fprintf(out, "  %s\n", s)
		}
		tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, l := range b.Lines {
			fmt.Fprintf(tw, "  %s\t%.2f\t= %s\n", l.Name, l.USD, l.Arithmetic)
		}
		fmt.Fprintf(tw, "  a month\t%.2f\tUSD, %.4f an order\n", b.USD, b.AnOrder)
		fmt.Fprintf(tw, "  (%s)\t%.2f\t= %s\n", b.Lambda.Name, b.Lambda.USD, b.Lambda.Arithmetic)
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	tw = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "orders an hour\tnodes\tdatabase\tUSD a month\tUSD an order")
	for _, b := range r.Bills {
		fmt.Fprintf(tw, "%g\t%d\t%s\t%.0f\t%.4f\n", b.OrdersAnHour, b.Nodes, b.Database, b.USD, b.AnOrder)
	}
	return tw.Flush()
}
