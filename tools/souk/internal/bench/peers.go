package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

const (
	// peersListed is the call that loads a list.
	peersListed = "souk.catalog.v1.CatalogService/ListProducts"
	// peersMost is the most that eight peers may load of what eight gateways load alone: an
	// eighth, and what was late or asked before a peer was told of the change.
	peersMost = 0.35
)

// peersBench is what is measured.
type peersBench struct {
	gateways, changes, lists, rounds int
	every                            time.Duration
	rate                             float64 // reads a second of each gateway
	redis                            bool
	settle                           time.Duration
	progress                         io.Writer

	shop     *localshop.Shop
	operator *shopclient.Client
	catalog  string // admin address
	products []shopclient.Product
	next     int
}

// PeersResult is what gateways ask of the catalog as peers, and alone.
type PeersResult struct {
	Gateways int  `json:"gateways"`
	Redis    bool `json:"redis"`
	// Changes are of one price each, for each side.
	Changes int       `json:"changes"`
	Lists   int       `json:"lists"`
	Alone   PeersSide `json:"alone"`
	Peers   PeersSide `json:"peers"`
	Broken  []string  `json:"broken,omitempty"`
}

// PeersSide is one of two.
type PeersSide struct {
	// Loads are calls of the catalog for a list, and FromDB those of them that it had in none of
	// its own caches, for each change and list.
	Loads  float64 `json:"loads"`
	FromDB float64 `json:"from_db"`
	// P50Millis and P99Millis are of reads of shoppers, from when each was due: the medians of
	// the rounds.
	Reads     int64   `json:"reads"`
	P50Millis float64 `json:"p50_ms"`
	P99Millis float64 `json:"p99_ms"`
	// ProcessMicros is the time of a processor that the whole shop, but PostgreSQL and Redis, and
	// the readers took for a read.
	ProcessMicros float64 `json:"process_us"`
	// Served, Late and Failed are entries that a peer was to fill.
	Served float64 `json:"served"`
	Late   float64 `json:"late"`
	Failed float64 `json:"failed"`
}

func peersCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench peers", `usage: souk bench peers [flags]

Starts a shop with two groups of gateways, of which one are each other's peers and the other
are not, and reads the same lists of products at all of a group while prices change, in
turn: how many calls of the catalog a change costs for each list, how many of these reach
PostgreSQL, and what the reads take. It fails when peers load more than a third of what gateways
load alone.

`, stderr)
	b := &peersBench{progress: stderr}
	flags.IntVar(&b.gateways, "gateways", 8, "gateways of a group")
	flags.IntVar(&b.changes, "changes", 5, "prices that change in a round, for each group")
	flags.IntVar(&b.lists, "lists", 10, "lists that are read")
	flags.IntVar(&b.rounds, "rounds", 5, "rounds")
	flags.DurationVar(&b.every, "every", 2*time.Second, "pause between two changes")
	flags.DurationVar(&b.settle, "settle", time.Millisecond, "SOUK_GATEWAY_CACHE_SETTLE: with less than --every, a load is a change's and none of a time to live")
	flags.Float64Var(&b.rate, "rate", 40, "reads a second at each gateway")
	flags.BoolVar(&b.redis, "redis", false, "with Redis beneath the catalog's cache")
	asJSON := flags.Bool("json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || b.gateways < 2 || b.changes < 1 || b.lists < 1 || b.lists > 50 || b.rounds < 1 || b.rate <= 0 || b.every <= 0 || b.settle <= 0 {
		flags.Usage()
		return errors.New("bench peers takes no arguments; its numbers must be positive, two gateways are the least and 50 lists the most")
	}
	dir, err := os.MkdirTemp("", "souk-peers-")
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

func (b *peersBench) run(ctx context.Context, dir string) (_ *PeersResult, err error) {
	opts := localshop.Options{
		Dir: filepath.Join(dir, "shop"), Seed: true, Events: localshop.EmbeddedEvents,
	}
	if b.redis {
		opts.Redis = localshop.OneRedis
	}
	if b.shop, err = localshop.Start(ctx, opts); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.shop.Stop(context.WithoutCancel(ctx))) }()
	b.operator = shopclient.New(b.shop.URL).WithToken(b.shop.OperatorToken)
	defer b.operator.Close()
	st, err := state.Read(opts.Dir)
	if err != nil {
		return nil, err
	}
	b.catalog = st.Admin["catalog"]
	page, err := b.operator.Products(ctx, shopclient.ProductQuery{Limit: 100})
	if err != nil {
		return nil, err
	}
	b.products = page.Products
	sides := []*peersSide{{}, {peered: true}}
	for _, side := range sides {
		if err := side.start(ctx, b); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, side.stop()) }()
	}
	for round := range b.rounds {
		for _, side := range sides {
			if err := side.measure(ctx, b); err != nil {
				return nil, err
			}
			fmt.Fprintf(b.progress, "round %d of %d, %s: p99 %.1f ms\n", round+1, b.rounds, side.name(), side.p99[round])
		}
	}
	r := &PeersResult{Gateways: b.gateways, Redis: b.redis, Changes: b.changes * b.rounds, Lists: b.lists}
	for i, into := range []*PeersSide{&r.Alone, &r.Peers} {
		if *into, err = sides[i].result(ctx, b); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// peersSide is a group of gateways.
type peersSide struct {
	peered        bool
	gateways      []*localshop.Gateway
	hist          *hdrhistogram.Histogram // of this round, microseconds
	reads         int64
	p50, p99      []float64 // of each round, milliseconds
	loads, fromDB float64
	processor     time.Duration
}

func (s *peersSide) name() string {
	if s.peered {
		return "peers"
	}
	return "alone"
}

func (s *peersSide) start(ctx context.Context, b *peersBench) error {
	group, err := localshop.NewPeers()
	if err != nil {
		return err
	}
	for i := range b.gateways {
		variables := []string{"SOUK_GATEWAY_CACHE_SETTLE=" + b.settle.String()}
		switch {
		case s.peered && i == 0:
			variables = append(variables, group.First()...)
		case s.peered:
			variables = append(variables, group.Next()...)
		}
		g, err := b.shop.AddGateway(ctx, variables...)
		if err != nil {
			return err
		}
		s.gateways = append(s.gateways, g)
	}
	if !s.peered {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the gateways do not find each other"))
	defer cancel()
	for _, g := range s.gateways {
		for {
			n, err := localshop.Metric(ctx, g.Admin, "souk_peers_members")
			if err == nil && n == float64(b.gateways) {
				break
			}
			if retry.Sleep(ctx, 50*time.Millisecond) != nil {
				return errors.Join(context.Cause(ctx), err)
			}
		}
	}
	return nil
}

func (s *peersSide) stop() (err error) {
	for _, g := range s.gateways {
		err = errors.Join(err, g.Stop())
	}
	return err
}

// measure reads at all gateways while prices change.
func (s *peersSide) measure(ctx context.Context, b *peersBench) error {
	// What is kept is from before; the lists are read once, and nothing has changed for a while.
	for _, g := range s.gateways {
		for list := range b.lists {
			if err := readList(ctx, g, list); err != nil {
				return err
			}
		}
	}
	if err := retry.Sleep(ctx, b.every); err != nil {
		return err
	}
	loads, fromDB, err := b.asked(ctx)
	if err != nil {
		return err
	}
	before := processorTime()
	s.hist = newHistogram()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	readers, reading := errgroup.WithContext(reading)
	var mu sync.Mutex
	for i, g := range s.gateways {
		readers.Go(func() error {
			hist := newHistogram()
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				s.hist.Merge(hist)
			}()
			pause := time.Duration(float64(time.Second) / b.rate)
			due := time.Now().Add(pause * time.Duration(i) / time.Duration(len(s.gateways)))
			for n := i; ; n++ {
				if retry.Sleep(reading, time.Until(due)) != nil {
					return nil
				}
				if err := readList(reading, g, n%b.lists); err != nil {
					if reading.Err() != nil {
						return nil // it was ended
					}
					return err
				}
				_ = hist.RecordValue(min(time.Since(due), time.Minute).Microseconds())
				due = due.Add(pause)
			}
		})
	}
	for range b.changes {
		v := b.products[b.next%len(b.products)].Variants[0]
		b.next++
		price := shopclient.Money{Amount: v.Price.Amount + int64(b.next), Currency: v.Price.Currency}
		if err := b.operator.SetPrices(ctx, []shopclient.PriceChange{{SKU: v.SKU, Price: price}}); err != nil {
			return errors.Join(err, readers.Wait())
		}
		if retry.Sleep(reading, b.every) != nil {
			break
		}
	}
	stop()
	err = readers.Wait()
	s.processor += processorTime() - before
	s.reads += s.hist.TotalCount()
	s.p50 = append(s.p50, float64(s.hist.ValueAtQuantile(50))/1000)
	s.p99 = append(s.p99, float64(s.hist.ValueAtQuantile(99))/1000)
	loadsNow, fromDBNow, failed := b.asked(ctx)
	s.loads += loadsNow - loads
	s.fromDB += fromDBNow - fromDB
	return errors.Join(err, failed)
}

// asked is how many lists the catalog was asked for, and how many of them it asked the
// database for, until now.
func (b *peersBench) asked(ctx context.Context) (loads, fromDB float64, err error) {
	last := "memory"
	if b.redis {
		last = "redis"
	}
	loads, err1 := localshop.Metric(ctx, b.catalog, "rpc_server_call_duration_seconds", "rpc_method", peersListed)
	fromDB, err2 := localshop.Metric(ctx, b.catalog, "souk_cache_lookups_total", "souk_cache_layer", last, "souk_cache_result", "miss")
	return loads, fromDB, errors.Join(err1, err2)
}

// processorTime is what this process has taken of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// readList gets a list from a gateway.
func readList(ctx context.Context, g *localshop.Gateway, list int) error {
	query := url.Values{"limit": {fmt.Sprint(20 + list)}, "facets": {"true"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/v1/products?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", req.URL, res.Status)
	}
	return nil
}

func (s *peersSide) result(ctx context.Context, b *peersBench) (PeersSide, error) {
	n := float64(b.changes * b.rounds * b.lists)
	r := PeersSide{
		Loads: s.loads / n, FromDB: s.fromDB / n, Reads: s.reads, P50Millis: median(s.p50), P99Millis: median(s.p99),
		ProcessMicros: float64(s.processor.Microseconds()) / float64(max(s.reads, 1)),
	}
	if !s.peered {
		return r, nil
	}
	for _, g := range s.gateways {
		for result, into := range map[string]*float64{"served": &r.Served, "late": &r.Late, "failed": &r.Failed} {
			v, err := localshop.Metric(ctx, g.Admin, "souk_peers_fills_total", "souk_peers_result", result)
			if err != nil {
				return r, err
			}
			*into += v
		}
	}
	return r, nil
}

// check says which promises were not kept.
func (r *PeersResult) check() {
	if r.Alone.Loads < 1 {
		r.Broken = append(r.Broken, fmt.Sprintf("gateways alone load %.2f times for a change: this has measured nothing", r.Alone.Loads))
	}
	if r.Peers.Loads > peersMost*r.Alone.Loads {
		r.Broken = append(r.Broken, fmt.Sprintf("peers load %.2f times for a change, gateways alone %.2f", r.Peers.Loads, r.Alone.Loads))
	}
}

func (r *PeersResult) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "%d gateways\tcatalog loads\tof the database\treads\tp50\tp99\tprocessor\tserved\tlate\tfailed\n", r.Gateways)
	for _, s := range []struct {
		name string
		PeersSide
	}{{"alone", r.Alone}, {"peers", r.Peers}} {
		fmt.Fprintf(tw, "%s\t%.2f\t%.2f\t%d\t%.1f ms\t%.1f ms\t%.0f µs\t%.0f\t%.0f\t%.0f\n", s.name, s.Loads, s.FromDB, s.Reads, s.P50Millis, s.P99Millis, s.ProcessMicros, s.Served, s.Late, s.Failed)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "loads are for each of %d changes and %d lists, p50 and p99 the medians of the rounds\n", r.Changes, r.Lists)
	for _, broken := range r.Broken {
		fmt.Fprintln(w, "broken:", broken)
	}
	return nil
}
