// Package order is the order service: it owns orders and drives each through the
// checkout protocol to exactly one of PAID or CANCELLED.
package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/crash"
	chassisjobs "github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/app/crashpoint"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/jobs"
	"github.com/souk-shop/souk/services/order/internal/postgres"
	"github.com/souk-shop/souk/services/order/internal/rpc"
)

// Config is the configuration of the order service, from variables SOUK_ORDER_...
type Config struct {
	Server    chassisrpc.ServerConfig
	Postgres  pg.Config `env:", prefix=POSTGRES_"`
	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
	// Migrate brings the database up to date before the jobs begin.
	Migrate bool `env:"MIGRATE"`

	Catalog chassisrpc.ClientConfig `env:", prefix=CATALOG_"`
	Cart    chassisrpc.ClientConfig `env:", prefix=CART_"`
	Payment chassisrpc.ClientConfig `env:", prefix=PAYMENT_"`

	// Drivers is how many orders this process drives at once, and Backlog how many
	// more wait for their turn; when all are taken orders are refused. With a
	// negative number of drivers this process drives nothing itself: the job of
	// what it accepts is due at once, whatever DriveDelay says, and any process's
	// workers run it.
	Drivers int `env:"DRIVERS, default=32"`
	Backlog int `env:"DRIVE_BACKLOG, default=480"`
	// DriveWait is how long they may wait for it: when one has waited longer,
	// orders are refused until the next have not.
	DriveWait time.Duration `env:"DRIVE_WAIT, default=1s"`
	// DriveDelay is how far ahead the job of an order is scheduled: the time in
	// which the process that placed it settles it.
	DriveDelay time.Duration `env:"DRIVE_DELAY, default=15s"`
	// Workers is how many jobs run at once.
	Workers int `env:"WORKERS, default=16"`
	// SweepInterval is the time between two looks for orders without a live job
	// or driver.
	SweepInterval time.Duration `env:"SWEEP_INTERVAL, default=20s"`
	// Deadline is how long an order may take to reach CAPTURING; Hold how long its
	// stock is kept, which must be longer.
	Deadline time.Duration `env:"DEADLINE, default=10m"`
	Hold     time.Duration `env:"HOLD, default=15m"`
	// DrainTimeout bounds the wait for drives in flight when the service stops.
	DrainTimeout time.Duration `env:"DRIVE_DRAIN_TIMEOUT, default=10s"`
	// CrashAt kills the process at a point of the protocol, "<point>" or
	// "<point>:<n>" for the n-th time. For fault tests only.
	CrashAt string `env:"CRASH_AT"`
	// Clock is wrong in fault tests.
	Clock clock.Config `env:", prefix=CLOCK_"`

	hook      crash.Hook    // tests simulate crashes with it
	jobsPoll  time.Duration // tests shorten River's poll
	jobsStall time.Duration // tests shorten when a driver is taken for dead
	refresh   time.Duration // tests change how often waiting calls look for what no notification reported
}

// CrashPoints are what Config.CrashAt can name.
func CrashPoints() []string { return crash.Names(crashpoint.All()) }

// withDefaults fills what a configuration made in code left at zero.
func (cfg Config) withDefaults() Config {
	cfg.Drivers = cmp.Or(cfg.Drivers, 32)
	cfg.Backlog = cmp.Or(cfg.Backlog, 480)
	cfg.DriveWait = cmp.Or(cfg.DriveWait, time.Second)
	cfg.DriveDelay = cmp.Or(cfg.DriveDelay, 15*time.Second)
	cfg.Workers = cmp.Or(cfg.Workers, 16)
	cfg.SweepInterval = cmp.Or(cfg.SweepInterval, 20*time.Second)
	cfg.Deadline = cmp.Or(cfg.Deadline, domain.DefaultDeadline)
	cfg.Hold = cmp.Or(cfg.Hold, domain.DefaultHold)
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, 10*time.Second)
	cfg.jobsStall = cmp.Or(cfg.jobsStall, cfg.DriveDelay+5*time.Second)
	if cfg.Drivers < 0 {
		cfg.DriveDelay = 0
		cfg.jobsPoll = cmp.Or(cfg.jobsPoll, promptPoll)
	}
	return cfg
}

// validate refuses what no service could run with.
func (cfg Config) validate() error {
	if cfg.Hold <= cfg.Deadline {
		return fmt.Errorf("hold %v must be longer than deadline %v", cfg.Hold, cfg.Deadline)
	}
	for name, n := range map[string]int{"drive backlog": cfg.Backlog, "workers": cfg.Workers} {
		if n < 0 {
			return fmt.Errorf("%s %d: it cannot be negative", name, n)
		}
	}
	for name, d := range map[string]time.Duration{
		"drive delay": cfg.DriveDelay, "drive wait": cfg.DriveWait, "sweep interval": cfg.SweepInterval,
		"deadline": cfg.Deadline, "drive drain timeout": cfg.DrainTimeout,
	} {
		if d < 0 {
			return fmt.Errorf("%s %v: it cannot be negative", name, d)
		}
	}
	return nil
}

// promptPoll is River's poll where jobs do all the driving.
const promptPoll = 100 * time.Millisecond

// Run serves until ctx ends, then stops in good order: no new calls, calls and
// drives in flight finish. It starts whether or not the database and the
// neighbors are there yet; health tells when they are.
func Run(ctx context.Context, cfg Config) (err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	hook := cfg.hook
	if hook == nil {
		if hook, err = crash.Parse(cfg.CrashAt, crashpoint.All()); err != nil {
			return err
		}
	}
	tel, err := telemetry.Start(ctx, "order", cfg.Telemetry)
	if err != nil {
		return err
	}
	defer func() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		err = errors.Join(err, tel.Shutdown(flush))
	}()
	pool, err := pg.Open(ctx, cfg.Postgres, tel)
	if err != nil {
		return err
	}
	defer pool.Close()
	riverPool, err := chassisjobs.OpenPool(ctx, cfg.Postgres, "order")
	if err != nil {
		return err
	}
	defer riverPool.Close()

	var conns []*grpc.ClientConn
	for _, neighbor := range []chassisrpc.ClientConfig{cfg.Catalog, cfg.Cart, cfg.Payment} {
		conn, err := chassisrpc.Dial(neighbor, tel)
		if err != nil {
			return err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	store := postgres.New(pool, postgres.Times{Deadline: cfg.Deadline, DriveDelay: cfg.DriveDelay})
	ports := crashpoint.Wrap(app.Ports{
		Orders: store, Refunds: store,
		Catalog: rpc.NewCatalog(conns[0], cfg.Hold), Carts: rpc.NewCarts(conns[1]), Payments: rpc.NewPayments(conns[2]),
	}, hook)
	changes := app.NewBroadcaster()
	driver, err := app.NewDriver(app.DriverConfig{Ports: ports, Changes: changes, Log: tel.Log, Tracer: tel.Tracer(), Meter: tel.Meter()})
	if err != nil {
		return err
	}
	runner := app.NewRunner(driver, app.RunnerConfig{
		Drivers: cfg.Drivers, Backlog: cfg.Backlog, MaxWait: cfg.DriveWait, Drain: cfg.DrainTimeout,
	}, tel.Log)
	replicas := app.NewReplicas(app.ReplicasConfig{
		Changes: changes, Feed: postgres.NewFeed(pool), Orders: store, Log: tel.Log, Refresh: cfg.refresh,
	})
	server, err := chassisrpc.NewServer(cfg.Server, tel, rpc.Errors, chassisrpc.Check{Name: "postgres", Fn: store.Ready})
	if err != nil {
		return err
	}
	orders := app.New(app.Config{Ports: ports, Runner: runner, Changes: changes, Draining: server.Draining()})
	orderv1.RegisterOrderServiceServer(server, rpc.NewServer(orders))
	work := jobs.New(jobs.Config{
		Pool: riverPool, Ready: store.Ready, Drives: runner, Sweeper: orders, Log: tel.Log, Tracer: tel.Tracer(),
		Workers: cfg.Workers, SweepInterval: cfg.SweepInterval, Idle: cfg.jobsStall, PollInterval: cfg.jobsPoll, Clock: cfg.Clock,
	})

	// Stopped in the reverse order: no more calls, no more jobs, then the drives.
	g := run.NewGroup(tel.Log)
	g.Add("replicas", replicas.Run)
	g.Add("drives", runner.Run)
	g.Add("jobs", func(ctx context.Context) error {
		if cfg.Migrate {
			if err := postgres.Migrate(ctx, cfg.Postgres, tel.Log); err != nil {
				return err
			}
		}
		return work.Run(ctx)
	})
	g.Add("admin", func(ctx context.Context) error { return admin.Serve(ctx, cfg.Admin, tel) })
	g.Add("server", server.Serve)
	return g.Run(ctx)
}
