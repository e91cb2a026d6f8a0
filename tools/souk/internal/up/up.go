// Package up is `souk up`, which runs the whole shop, and `souk seed`, which
// fills a running one.
package up

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	neturl "net/url"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/patroni"
	"github.com/souk-shop/souk/tools/internal/seed"
	"github.com/souk-shop/souk/tools/internal/state"

	"github.com/souk-shop/souk/tools/internal/cli"
)

// stopTimeout bounds the database's part of a stop.
const stopTimeout = 30 * time.Second

// Command is `souk up`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("up", `usage: souk up [flags]

Runs the whole shop on this machine: a private PostgreSQL, a simulated payment
provider, all services and the gateway. Where no PostgreSQL is installed it
downloads one into the user's cache, once. On the first start it imports a catalog
of about 3,000 real products:

  `+seed.Attribution+`

Once everything answers it prints the line "ready http://HOST:PORT". Ctrl-C stops
it in good order, a second one at once.

`, stderr)
	addr := flags.String("addr", "127.0.0.1:8080", "where the shop listens, `host:port`; port 0 takes any free one")
	data := flags.String("data", state.DefaultDir, "the data `folder`; it is kept")
	fresh := flags.Bool("fresh", false, "empty the data folder first")
	processes := flags.Bool("processes", false, "run each service in a process of its own, started again after any death")
	gateways := flags.Int("gateways", 1, "how many gateways there are, which fill each other's caches; only the first listens at --addr")
	edge := flags.Bool("edge", false, "start Varnish in front of the gateway, which keeps public pages")
	var redis redisKind
	flags.Var(&redis, "redis", "start Redis (or a small one inside) as a second layer of the catalog's cache; --redis=sentinel, --redis=cluster: several that go on without one")
	replica := flags.Bool("replica", false, "start a standby of PostgreSQL, which answers reads")
	postgres := flags.String("postgres", "", "`ha`: three PostgreSQL under Patroni and etcd, whose standbys answer reads; one server without")
	cells := flags.Int("cells", 1, "in how `many` cells cart, order and payment run, each with databases of its own; a data folder keeps its number")
	backups := flags.String("backups", "", "a `folder` to which PostgreSQL archives its log from now on, with pgBackRest, for 'souk backup' and 'souk restore'; none ends it")
	events := flags.String("events", localshop.EmbeddedEvents, "the `broker` of events: embedded (NATS, data in the data folder), none, or a URL (nats://..., kafka://...)")
	empty := flags.Bool("empty", false, "do not import the embedded catalog")
	traces := flags.Bool("traces", true, "keep recent traces in memory, for 'souk trace'")
	metrics := flags.Bool("metrics", true, "keep recent metrics in memory, for the page /admin/metrics")
	verbose := flags.Bool("v", false, "show more of the log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return errors.New("up takes no arguments")
	}
	if *gateways < 1 {
		return fmt.Errorf("--gateways: %d; one is the least", *gateways)
	}
	display := newDisplay(stderr)
	opts := localshop.Options{
		Dir: *data, Addr: *addr, Fresh: *fresh, Processes: *processes, Gateways: *gateways, Seed: !*empty, Edge: *edge, Redis: string(redis), Replica: *replica, Postgres: *postgres, Backups: *backups, Cells: *cells, Events: *events, Metrics: *metrics,
		Console: display, ConsoleLevel: slog.LevelWarn, Progress: display.progress,
	}
	if *traces && *processes && localshop.ExportsElsewhere() {
		fmt.Fprintln(stderr, "traces are sent to the collector that the environment names, and not kept here as well (--processes)")
	} else {
		opts.Traces = *traces
	}
	if *events == "none" {
		opts.Events = ""
	}
	if *verbose {
		opts.ConsoleLevel = slog.LevelInfo
	}
	shop, err := localshop.Start(ctx, opts)
	if errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, patroni.ErrPortTaken) {
		return fmt.Errorf("%s is in use by another program: choose another address with --addr", *addr)
	}
	if err != nil {
		return err
	}
	// The start needs far more memory than the shop at rest.
	debug.FreeOSMemory()
	introduce(stdout, shop, *data, redis)

	select {
	case <-ctx.Done():
		fmt.Fprintln(stderr, "stopping; Ctrl-C again kills")
	case <-shop.Done():
		err = fmt.Errorf("the shop has ended by itself (%w); see %s", cmp.Or(shop.Err(), errors.New("without an error")), filepath.Join(*data, "logs"))
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := shop.Stop(stopCtx); stopErr != nil || err != nil {
		return errors.Join(err, stopErr)
	}
	fmt.Fprintln(stderr, "stopped")
	return nil
}

// redisKind is the flag --redis: what localshop.Options.Redis is.
type redisKind string

func (k *redisKind) String() string { return string(*k) }

// IsBoolFlag says that --redis may be without a value.
func (k *redisKind) IsBoolFlag() bool { return true }

func (k *redisKind) Set(value string) error {
	switch value {
	case "true":
		*k = localshop.OneRedis
	case "false":
		*k = ""
	case localshop.OneRedis, localshop.SentinelRedis, localshop.ClusterRedis:
		*k = redisKind(value)
	default:
		return fmt.Errorf("want --redis, --redis=%s or --redis=%s", localshop.SentinelRedis, localshop.ClusterRedis)
	}
	return nil
}

// introduce says where everything is. The last line is for scripts.
func introduce(w io.Writer, shop *localshop.Shop, data string, redis redisKind) {
	told := "kept in the services' logs, for no broker (--events)"
	if url, err := neturl.Parse(shop.EventsURL()); err == nil && url.Host != "" {
		told = url.Scheme + "://" + url.Host
	}
	caches := "in memory  (--redis adds Redis beneath)"
	switch redis {
	case "":
	case localshop.OneRedis:
		caches = "in memory, Redis beneath"
	default:
		caches = fmt.Sprintf("in memory, several Redis beneath (%s)", redis)
	}
	if shop.URL != shop.GatewayURL() {
		caches += "; Varnish in front of the gateway, " + shop.GatewayURL()
	}
	for _, g := range shop.Gateways() {
		caches += "; a peer at " + g.URL
	}
	traces, metrics := "not kept", "not kept"
	if shop.TracesURL() != "" {
		traces = "souk trace ORDER, and " + shop.URL + "/admin/traces"
	}
	if shop.MetricsURL() != "" {
		metrics = "souk top, and " + shop.URL + "/admin/metrics"
	}
	fmt.Fprintf(w, `
  storefront      %s/
  REST API        %[1]s/docs  (%[1]s/openapi.yaml)
  operator token  in %s  (more operators: souk operator)
  payments        %s  (simulated: no money moves)
  caches          %s
  events          %s
  traces          %s
  metrics         %s
  data and logs   %s

ready %[1]s
`, shop.URL, state.OperatorToken(data), shop.StripesimURL, caches, told, traces, metrics, data)
}

// Seed is `souk seed`.
func Seed(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("seed", fmt.Sprintf(`usage: souk seed [flags]

Imports the embedded catalog, %d real products, into a running shop through its
public API. Products that are there get the catalog's name, price and stock
again; everything else stays. Source:

  %s

`, seed.Products, seed.Attribution), stderr)
	running := cli.Operator(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return errors.New("seed takes no arguments")
	}
	client, err := running.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	display := newDisplay(stderr)
	began := time.Now()
	got, err := seed.Import(ctx, client, func(done, total int) {
		display.progress(localshop.Progress{Step: "catalog", Done: done, Total: total})
	})
	if err != nil {
		return err
	}
	display.progress(localshop.Progress{Step: "catalog", Took: time.Since(began)})
	fmt.Fprintf(stdout, "%d products created, %d updated\n", got.Created, got.Updated)
	return nil
}
