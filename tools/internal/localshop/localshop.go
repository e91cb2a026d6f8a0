// Package localshop runs the whole shop on one machine: a private PostgreSQL,
// Redis, the payment provider's simulator, every service and the gateway, with
// real connections between them, in this process or in one for each part. It
// needs no containers and keeps its data in one folder.
package localshop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/pgbackrest"
	"github.com/souk-shop/souk/tools/internal/redisgroup"
	"github.com/souk-shop/souk/tools/internal/seed"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// readyTimeout bounds the wait for the broker, and then for all services, to answer.
const readyTimeout = 60 * time.Second

// endTimeout bounds the wait for all services to end. Each bounds its own end; a shop that
// waits longer has a defect, and names the part.
const endTimeout = 3 * time.Minute

// clusterStopTimeout bounds the stop of three PostgreSQL and what is around them.
const clusterStopTimeout = 30 * time.Second

// Options say how a shop runs. Only Dir is required.
type Options struct {
	// Dir is the data folder. It is made if need be.
	Dir string
	// Fresh empties the folder first.
	Fresh bool
	// Addr is where the gateway listens; any free loopback port when empty.
	Addr string
	// Seed imports the embedded catalog on the folder's first start.
	Seed bool
	// Edge starts Varnish in front of the gateway: Addr is Varnish's then.
	Edge bool
	// Gateways is how many gateways there are, which are each other's peers: one when less than
	// two. The first is the shop's; the others are inside of this process, on any free ports.
	Gateways int
	// Redis starts OneRedis, SentinelRedis or ClusterRedis, as the second layer of the services'
	// caches; none when empty. A service that runs once has little use for it; see
	// docs/adr/0007.
	Redis string
	// Replica starts a standby of PostgreSQL, which answers reads of the services.
	Replica bool
	// Postgres is HAPostgres for three PostgreSQL under Patroni, whose standbys answer reads of
	// the services, too; one server when empty.
	Postgres string
	// Asynchronous has commits of three PostgreSQL wait for no standby: a failover loses what
	// was acknowledged. For tests.
	Asynchronous bool
	// Backups is the folder of a pgBackRest repository, outside of Dir, to which PostgreSQL archives
	// its log from now on: NoBackups for none, and where it did before when empty.
	Backups string
	// Cells is in how many cells cart, order and payment run, each with databases of its own on the
	// one server; 0 and 1 are one. A data folder keeps its number. Not with Replica, HAPostgres and
	// Backups.
	Cells int
	// Events is the broker of events: EmbeddedEvents for NATS of the shop's own, with its
	// data in Dir, the URL of another one, or empty for none.
	Events string
	// Disposable data may be lost with the machine's power: the database syncs
	// nothing. For tests.
	Disposable bool

	// Processes runs each service, the gateway and the payment provider in a
	// process of its own, started again after any death.
	Processes bool
	// Exec is the command of such a process, to which the service's name is
	// added; it has to call RunService. This program with the argument "service"
	// when nil.
	Exec []string
	// RestartPause is the time from the death of such a process to its next
	// start; when 0, one that grows with deaths in a row, to spare the machine.
	// For tests that kill a lot.
	RestartPause time.Duration

	// Env returns further environment variables of a service ("NAME=value"),
	// which win over the shop's own. life is 1 at its first start and grows with
	// each one after a death. May be nil.
	Env func(service string, life int) []string
	// Route returns the address at which From reaches To of one of Links, which is
	// at addr, host:port. It is asked once for each link, before the services
	// start, and with Edge for the way from the gateway to Varnish. For tests that get in
	// between; may be nil.
	Route func(from, to, addr string) (string, error)
	// PostgresDir is where the database server's folder is; in Dir when empty.
	// Fresh does not empty it.
	PostgresDir string
	// BrokerDir is where the data of the shop's own broker is; in Dir when empty.
	BrokerDir string
	// JobsOnly has orders driven by their jobs alone and not by the process that
	// accepted them. For tests.
	JobsOnly bool
	// Traces keeps recent traces of all parts in memory (see tools/internal/tracestore), for
	// the gateway's pages and `souk trace`.
	Traces bool
	// Metrics keeps recent metrics of all parts in memory (see tools/internal/metricstore), for
	// the gateway's pages.
	Metrics bool
	// SpanProcessors see every span of all services. Not with Processes.
	SpanProcessors []sdktrace.SpanProcessor
	// Tracer makes what sees every query of a service. Not with Processes.
	Tracer func(service string) pgx.QueryTracer

	// Console is shown the log lines of ConsoleLevel and above, warnings only
	// once the shop is ready; nil for none.
	// All lines are in the folder's logs.
	Console      io.Writer
	ConsoleLevel slog.Level
	// Progress is called with each step of the start; may be nil. Calls do not overlap.
	Progress func(Progress)
}

// Progress is a step of the start.
type Progress struct {
	// Step is what is being done, in a word or two.
	Step string
	// Done and Total count what the step has to do; Total is 0 for a step that
	// is not counted.
	Done, Total int
	// Took is set when the step is finished.
	Took time.Duration
	// Note is a sentence on what the step does instead of the usual.
	Note string
}

// Shop is a running shop.
type Shop struct {
	// URL of the gateway, or of the edge in front of it, without a slash at its end.
	URL string
	// OperatorToken is for operators' calls, with every scope.
	OperatorToken string
	// StripesimURL is the payment provider.
	StripesimURL string
	// Journal is the path of the payment provider's journal.
	Journal string

	opts     Options
	parts    []topology.Part // its processes
	folder   *folder
	secrets  *secrets
	log      *slog.Logger
	logFile  *logFile
	certs    *certificates
	postgres *Postgres
	replica  *Postgres          // with Options.Replica
	cluster  *cluster           // with HAPostgres, in place of postgres and replica
	backups  *backups           // nil without
	archive  *pgbackrest.Server // of the primary, with backups
	redis    *redis
	edge     *edge // with Options.Edge
	peers    Peers // with Options.Gateways
	gateways []*Gateway
	broker   *broker   // with EmbeddedEvents
	recorder *recorder // with Options.Traces
	meter    *meter    // with Options.Metrics
	// identity is that of tools, topology.Ops.
	identity *identity.Identity
	// listeners by service, made before anything is started.
	listeners map[string]net.Listener
	// admin are those for operators, of the parts that have one.
	admin map[string]net.Listener
	// connections are the variables by which services find each other.
	connections map[string]string

	stop context.CancelFunc
	done chan struct{} // closed when all services have ended
	err  error         // why; read after done

	stopOnce sync.Once
	stopErr  error

	progressMu sync.Mutex

	mu        sync.Mutex
	processes map[string]*process.Supervisor // with Options.Processes
	running   map[string]bool                // what startServices has started and has not ended
	startedAt time.Time                      // zero until ready
}

// Start starts a shop and returns when it is ready: all parts answer and, with
// Seed, the catalog is in. ctx bounds the start; the shop runs until Stop. A
// shop that cannot start is stopped. *RunningError means that the data folder
// is in use.
func Start(ctx context.Context, opts Options) (_ *Shop, err error) {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	s := &Shop{opts: opts, parts: topology.InCells(topology.Processes(), opts.Cells), processes: map[string]*process.Supervisor{}, running: map[string]bool{}, listeners: map[string]net.Listener{}, admin: map[string]net.Listener{}, done: make(chan struct{})}
	if err := errors.Join(checkEvents(opts.Events), checkPostgres(opts.Postgres), checkCells(opts)); err != nil {
		return nil, err
	}
	if s.folder, err = openFolder(opts.Dir, false); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
		}
	}()
	// Before anything is lost or started: a busy port is the likeliest mistake.
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	if opts.Fresh {
		if err := s.folder.empty(); err != nil {
			return nil, fmt.Errorf("empty %s: %w", s.folder.path, err)
		}
	}
	if err := s.folder.checkWhole(); err != nil {
		return nil, err
	}
	if err := s.folder.checkKind(opts.Postgres); err != nil {
		return nil, err
	}
	if err := s.folder.keepCells(max(1, opts.Cells)); err != nil {
		return nil, err
	}
	if s.backups, err = s.folder.keepBackups(opts.Backups, time.Now()); err != nil {
		return nil, err
	}
	if opts.Gateways > 1 {
		if s.peers, err = NewPeers(); err != nil {
			return nil, err
		}
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if opts.Traces {
		if err := s.openRecorder(ctx); err != nil {
			return nil, err
		}
	}
	if opts.Metrics {
		if err := s.openMeter(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.startStores(ctx); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	s.startServices()
	if err := s.bringUp(ctx); err != nil {
		return nil, err
	}
	if err := s.firstBackup(ctx); err != nil {
		return nil, err
	}
	if err := s.addGateways(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.startedAt = time.Now()
	s.mu.Unlock()
	s.logFile.quiet.Store(false)
	return s, s.writeState()
}

// listen makes the listeners of all services.
func (s *Shop) listen(ctx context.Context) error {
	var lc net.ListenConfig
	for _, part := range s.parts {
		addr := "127.0.0.1:0"
		if part.Kind == topology.Gateway && !s.opts.Edge {
			addr = s.opts.Addr
		}
		lis, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", addr, err)
		}
		s.listeners[part.Name] = lis
		if !part.HasAdmin() {
			continue
		}
		if s.admin[part.Name], err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return fmt.Errorf("listen for operators: %w", err)
		}
	}
	s.URL = s.GatewayURL()
	if s.opts.Edge {
		if err := s.reserveEdge(ctx); err != nil {
			return err
		}
	}
	s.StripesimURL = "http://" + s.listeners[topology.Stripesim].Addr().String()
	return nil
}

// reachable is an address that a browser on this machine can open.
func reachable(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", a.Port)
	}
	return a.String()
}

// prepare makes what the folder holds beside the databases.
func (s *Shop) prepare() (err error) {
	if err := os.MkdirAll(s.folder.join("logs"), 0o755); err != nil {
		return err
	}
	if s.logFile, err = openLog(s.folder.join("logs", "souk.log"), s.opts.Console, s.opts.ConsoleLevel); err != nil {
		return err
	}
	s.logFile.quiet.Store(s.opts.ConsoleLevel >= slog.LevelWarn)
	s.log = slog.New(slog.NewJSONHandler(s.logFile, nil)).With("service", "up")
	if s.secrets, err = s.folder.secrets(topology.DatabasesOf(s.parts)); err != nil {
		return err
	}
	if s.certs, err = openCertificates(s.folder.path, s.log); err != nil {
		return err
	}
	if s.identity, err = identity.Open(topology.Ops, Identity(s.folder.path, topology.Ops), telemetry.Discard()); err != nil {
		return err
	}
	if s.OperatorToken, err = s.folder.operator(time.Now()); err != nil {
		return err
	}
	s.Journal = state.ProviderJournal(s.folder.path)
	if err := os.MkdirAll(filepath.Dir(s.Journal), 0o755); err != nil {
		return err
	}
	return s.folder.announce(s.URL)
}

// startStores starts PostgreSQL and, if they are wanted, the broker, Redis and the edge, side by side.
func (s *Shop) startStores(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		defer s.step("postgres", &err)()
		if s.opts.Postgres == HAPostgres {
			if s.cluster, err = s.startCluster(ctx); err != nil {
				return err
			}
			return s.startArchive(ctx, s.cluster.SuperuserDSN("postgres"))
		}
		if err := s.startPrimary(ctx); err != nil || !s.opts.Replica {
			return err
		}
		defer s.step(topology.Replica, &err)()
		s.replica, err = startPostgres(ctx, &Postgres{passwords: s.secrets.Postgres, databases: topology.Databases(), log: s.log, onRestart: s.refreshState}, pgserver.Options{
			Dir: s.folder.join(topology.Replica), Disposable: s.opts.Disposable, Primary: s.postgres.server,
		})
		return err
	})
	if s.opts.Events == EmbeddedEvents {
		g.Go(func() (err error) {
			defer s.step("events", &err)()
			if err := s.startBroker(ctx); err != nil {
				return err
			}
			return s.broker.awaitStart(ctx)
		})
	}
	if s.opts.Redis != "" {
		g.Go(func() (err error) {
			defer s.step("redis", &err)()
			if s.opts.Redis != OneRedis {
				s.redis, err = startRedisGroup(ctx, s.folder, s.log, s.refreshState, redisgroup.Kind(s.opts.Redis))
				return err
			}
			if s.redis, err = startRedis(s.folder, s.log, s.refreshState, s.note("redis")); err != nil {
				return err
			}
			return s.redis.ready(ctx)
		})
	}
	if s.edge != nil {
		g.Go(func() (err error) {
			defer s.step("edge", &err)()
			return s.startEdge(ctx)
		})
	}
	return g.Wait()
}

// startPrimary starts the one server, or that of the replica, and has it archive its log where
// backups are kept.
func (s *Shop) startPrimary(ctx context.Context) (err error) {
	opts := pgserver.Options{
		Dir: cmp.Or(s.opts.PostgresDir, s.folder.join("postgres")), Disposable: s.opts.Disposable, Notice: s.note("postgres"), Standbys: s.opts.Replica,
	}
	if opts.Settings, err = s.backups.settings(opts.Dir); err != nil {
		return err
	}
	if s.opts.Cells > 1 { // the pools of three more services for each
		opts.Settings = maps.Clone(opts.Settings)
		if opts.Settings == nil {
			opts.Settings = map[string]string{}
		}
		opts.Settings["max_connections"] = strconv.Itoa(100 + 60*(s.opts.Cells-1))
	}
	s.postgres, err = startPostgres(ctx, &Postgres{passwords: s.secrets.Postgres, databases: topology.DatabasesOf(s.parts), log: s.log, onRestart: s.refreshState}, opts)
	if err != nil {
		return err
	}
	return s.startArchive(ctx, s.postgres.server.SuperuserDSN("postgres"))
}

// startServices starts all services, each in its turn to be stopped in the
// reverse order.
func (s *Shop) startServices() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	g := run.NewGroup(s.log)
	add := func(name string, fn func(context.Context) error) {
		s.running[name] = true
		g.Add(name, func(ctx context.Context) error {
			defer s.ended(name)
			return fn(ctx)
		})
	}
	add("certificates", s.certs.run)
	add("identity", s.identity.Run)
	if s.backups != nil {
		add("archiving", s.watchArchive)
	}
	if s.recorder != nil {
		add("traces", s.recorder.run)
	}
	if s.meter != nil {
		add("metrics", s.meter.run)
	}
	for _, part := range s.parts {
		if s.opts.Processes {
			supervisor := s.supervise(part)
			add(part.Name, func(ctx context.Context) error { supervisor.Run(ctx); return nil })
		} else {
			add(part.Name, func(ctx context.Context) error { return s.runInside(ctx, part) })
		}
	}
	go func() {
		defer close(s.done)
		s.err = g.Run(ctx)
	}()
}

// ended notes the end of something that startServices has started.
func (s *Shop) ended(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, name)
}

// awaitEnd returns when all services have ended, with what failed, or names those that do
// not end in time.
func (s *Shop) awaitEnd(timeout time.Duration) error {
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-s.done:
		return s.err
	case <-late.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("not ended in %v: %s", timeout, strings.Join(slices.Sorted(maps.Keys(s.running)), ", "))
}

// bringUp waits for the services, imports the catalog and reads a product.
func (s *Shop) bringUp(ctx context.Context) (err error) {
	client := shopclient.New(s.URL).WithToken(s.OperatorToken)
	defer client.Close()
	if err := s.await(ctx, client); err != nil {
		return err
	}
	if s.opts.Seed && !s.folder.seeded() {
		if err := s.seed(ctx, client); err != nil {
			return fmt.Errorf("import the catalog: %w", err)
		}
	}
	page, err := client.WithToken("").Products(ctx, shopclient.ProductQuery{Limit: 1})
	if err != nil {
		return fmt.Errorf("read the catalog: %w", err)
	}
	for _, p := range page.Products {
		if _, err := client.WithToken("").Product(ctx, p.Code); err != nil {
			return fmt.Errorf("read a product: %w", err)
		}
	}
	return nil
}

func (s *Shop) await(ctx context.Context, client *shopclient.Client) (err error) {
	defer s.step("services", &err)()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return s.waitReady(ctx, client)
}

func (s *Shop) seed(ctx context.Context, client *shopclient.Client) (err error) {
	const name = "catalog"
	defer s.step(name, &err)()
	_, err = seed.Import(ctx, client, func(done, total int) {
		s.progress(Progress{Step: name, Done: done, Total: total})
	})
	if err != nil {
		return err
	}
	return s.folder.markSeeded()
}

// step tells of a step's start and, when the returned function is called, of
// its end, unless it failed.
func (s *Shop) step(name string, err *error) func() {
	began := time.Now()
	s.progress(Progress{Step: name})
	return func() {
		if *err == nil {
			s.progress(Progress{Step: name, Took: time.Since(began)})
		}
	}
}

// note returns what reports a sentence on a step, to the log and as progress.
func (s *Shop) note(step string) func(string) {
	return func(text string) {
		s.log.Info("note", "step", step, "text", text)
		s.progress(Progress{Step: step, Note: text})
	}
}

func (s *Shop) progress(p Progress) {
	if s.opts.Progress == nil {
		return
	}
	s.progressMu.Lock()
	defer s.progressMu.Unlock()
	s.opts.Progress(p)
}

// waitReady returns when the shop says that it is ready, or why it did not until
// ctx ended.
func (s *Shop) waitReady(ctx context.Context, client *shopclient.Client) error {
	var ended error
	err := retry.Do(ctx, retry.Policy{
		Backoff: retry.Backoff{Initial: 50 * time.Millisecond},
		If: func(error) bool {
			select {
			case <-s.done:
				ended = fmt.Errorf("the shop ended: %w", s.err)
			default:
				ended = s.hopeless()
			}
			return ended == nil
		},
	}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return client.Ready(ctx)
	})
	switch {
	case err == nil:
		return nil
	case ended != nil:
		return ended
	}
	return fmt.Errorf("the shop is not ready: %w; see %s", err, s.folder.join("logs"))
}

// hopeless finds a process that does not come up, before anything was ready.
func (s *Shop) hopeless() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, p := range s.processes {
		if s.startedAt.IsZero() && p.Deaths() >= 5 {
			return fmt.Errorf("%s does not start; see %s", name, s.folder.join("logs", name+".log"))
		}
	}
	return nil
}

// Done is closed when the services have ended, by Stop or because one failed.
func (s *Shop) Done() <-chan struct{} { return s.done }

// Err is why the services have ended, after Done: nil after Stop.
func (s *Shop) Err() error { return s.err }

// DSN is the connection string of a service's database, for the role that owns it: tools
// do what a service may not.
func (s *Shop) DSN(service string) string { return s.DSNs()[service] }

// DSNsOf are the connection strings of a service's databases: one of each of its cells, where it
// runs in several.
func (s *Shop) DSNsOf(service string) []string {
	all, out := s.DSNs(), []string(nil)
	for _, part := range s.parts {
		if part.Identity() == service && part.Database {
			out = append(out, all[part.Name])
		}
	}
	return out
}

// DSNs are the connection strings of all databases, by service, for their owners.
func (s *Shop) DSNs() map[string]string {
	if s.cluster != nil {
		return s.cluster.DSNs()
	}
	return s.postgres.DSNs()
}

// Stop stops the services in the reverse order of their start, each given the
// time to finish what is under way, then Redis, the broker and PostgreSQL. ctx bounds the
// database's part; the others bound themselves. A second Stop does nothing.
func (s *Shop) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stopAll(ctx) })
	return s.stopErr
}

func (s *Shop) stopAll(ctx context.Context) error {
	var errs []error
	s.mu.Lock()
	s.startedAt = time.Time{} // no more state
	s.mu.Unlock()
	errs = append(errs, state.Remove(s.folder.path))
	if s.edge != nil {
		s.edge.close()
	}
	for _, g := range s.gateways {
		errs = append(errs, g.Stop())
	}
	if s.stop != nil {
		s.stop()
		errs = append(errs, s.awaitEnd(endTimeout))
	}
	for _, listeners := range []map[string]net.Listener{s.listeners, s.admin} {
		for _, lis := range listeners {
			lis.Close() // a service has closed its own
		}
	}
	if s.recorder != nil {
		s.recorder.close()
	}
	if s.meter != nil {
		s.meter.close()
	}
	if s.redis != nil {
		s.redis.close()
	}
	if s.broker != nil {
		s.broker.close()
	}
	// The replica first: a primary that stops waits until it has its log.
	for _, p := range []*Postgres{s.replica, s.postgres} {
		if p != nil {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			errs = append(errs, p.Stop(ctx))
			cancel()
		}
	}
	if s.cluster != nil {
		ctx, cancel := context.WithTimeout(ctx, clusterStopTimeout)
		errs = append(errs, s.cluster.Stop(ctx))
		cancel()
	}
	if s.logFile != nil {
		errs = append(errs, s.logFile.Close())
	}
	errs = append(errs, s.folder.close())
	return errors.Join(errs...)
}

// refreshState writes the state file again after a part was started again.
func (s *Shop) refreshState() {
	if err := s.writeState(); err != nil {
		s.log.Warn("state not written", "error", err)
	}
}

// writeState writes the state file, once the shop is ready.
func (s *Shop) writeState() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.startedAt.IsZero() {
		return nil
	}
	st := &state.State{
		URL: s.URL, StripesimURL: s.StripesimURL, Services: map[string]string{}, Admin: map[string]string{},
		Postgres: s.DSNs(), EventsURL: s.EventsURL(), StartedAt: s.startedAt,
		TracesURL: s.TracesURL(), TracesToken: s.TracesToken(), MetricsURL: s.MetricsURL(), MetricsToken: s.MetricsToken(),
		PIDs: map[string]int{"up": os.Getpid()},
	}
	if s.cluster != nil {
		maps.Copy(st.PIDs, s.cluster.pids())
	} else {
		st.PIDs["postgres"] = s.postgres.PID()
	}
	if s.backups != nil {
		st.Superuser = s.superuser()
	}
	for _, part := range s.parts {
		if part.Kind == topology.Service {
			st.Services[part.Name] = s.Addr(part.Name)
		}
	}
	for name, lis := range s.admin {
		st.Admin[name] = lis.Addr().String()
	}
	if s.replica != nil {
		st.PIDs[topology.Replica] = s.replica.PID()
	}
	switch {
	case s.redis == nil:
	case s.redis.group != nil:
		maps.Copy(st.PIDs, s.redis.group.PIDs())
	case s.redis.proc != nil:
		st.PIDs[topology.Redis] = s.redis.proc.PID()
	}
	if s.edge != nil {
		st.PIDs[Varnish] = s.edge.running.Process().PID()
	}
	if p := s.broker.supervisor(); p != nil {
		st.PIDs[topology.NATS] = p.PID()
	}
	for name, p := range s.processes {
		st.PIDs[name] = p.PID()
	}
	return state.Write(s.folder.path, st)
}
