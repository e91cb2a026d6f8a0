// Package order is the order service: it owns orders and drives each through the
// checkout protocol to exactly one of PAID or CANCELLED.
package order

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/crash"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/app/crashpoint"
	"github.com/souk-shop/souk/services/order/internal/jobs"
	"github.com/souk-shop/souk/services/order/internal/postgres"
	"github.com/souk-shop/souk/services/order/internal/rpc"
)

// Config is the configuration of the order service, from variables SOUK_ORDER_...
type Config struct {
	service.Config

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
	// Deadline is how long an order may take to reach CAPTURING. Hold is how long
	// the catalog keeps its stock: longer, so that a hold outlives every order that
	// can still be confirmed.
	Deadline time.Duration `env:"DEADLINE, default=10m"`
	Hold     time.Duration `env:"HOLD, default=15m"`
	// DrainTimeout bounds the wait for drives in flight when the service stops.
	DrainTimeout time.Duration `env:"DRIVE_DRAIN_TIMEOUT, default=10s"`

	hook      crash.Hook    // tests simulate crashes with it
	jobsPoll  time.Duration // tests shorten River's poll
	jobsStall time.Duration // tests shorten when a driver is taken for dead
	refresh   time.Duration // tests change how often waiting calls look for what no notification reported
}

// CrashPoints are what Config.CrashAt can name.
func CrashPoints() []string { return crash.Names(crashpoint.All()) }

// Validate refuses what the service cannot run with.
func (cfg *Config) Validate() error {
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
// drives in flight finish.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, &cfg, service.Spec{
		Name: "order", Migrate: postgres.Migrate, Jobs: true, Errors: rpc.Errors,
		CrashPoints: crashpoint.All(), Crash: cfg.hook,
		Migrated: func(ctx context.Context, pool *pgxpool.Pool) error {
			return postgres.New(pool, postgres.Times{}).Ready(ctx)
		},
		Build: func(p *service.Parts) error { return build(p, cfg) },
	})
}

func build(p *service.Parts, cfg Config) error {
	cfg.jobsStall = cmp.Or(cfg.jobsStall, cfg.DriveDelay+5*time.Second)
	if cfg.Drivers < 0 {
		cfg.DriveDelay = 0
		cfg.jobsPoll = cmp.Or(cfg.jobsPoll, promptPoll)
	}
	catalog, err := p.Dial("catalog", cfg.Catalog)
	if err != nil {
		return err
	}
	cart, err := p.Dial("cart", cfg.Cart)
	if err != nil {
		return err
	}
	payment, err := p.Dial("payment", cfg.Payment)
	if err != nil {
		return err
	}
	store := postgres.New(p.Pool, postgres.Times{Deadline: cfg.Deadline, DriveDelay: cfg.DriveDelay}).ReadFrom(p.ReadPool)
	ports := crashpoint.Wrap(app.Ports{
		Orders: store, Refunds: store,
		Catalog: rpc.NewCatalog(catalog, cfg.Hold), Carts: rpc.NewCarts(cart), Payments: rpc.NewPayments(payment),
	}, p.Crash)
	changes := app.NewBroadcaster()
	driver, err := app.NewDriver(app.DriverConfig{
		Ports: ports, Changes: changes, Log: p.Log, Tracer: p.Telemetry.Tracer(), Meter: p.Telemetry.Meter(),
	})
	if err != nil {
		return err
	}
	runner := app.NewRunner(driver, app.RunnerConfig{
		Drivers: cfg.Drivers, Backlog: cfg.Backlog, MaxWait: cfg.DriveWait, Drain: cfg.DrainTimeout,
	}, p.Log)
	replicas := app.NewReplicas(app.ReplicasConfig{
		Changes: changes, Feed: postgres.NewFeed(p.Pool), Orders: store, Log: p.Log, Refresh: cfg.refresh,
	})
	orders := app.New(app.Config{Ports: ports, Runner: runner, Changes: changes, Draining: p.Server.Draining()})
	orderv1.RegisterOrderServiceServer(p.Server, rpc.NewServer(orders))
	if err := answers.Serve(p); err != nil {
		return err
	}
	work := jobs.New(jobs.Config{
		Pool: p.JobsPool, Ready: p.Ready, Drives: runner, Sweeper: orders, Log: p.Log, Tracer: p.Telemetry.Tracer(),
		Workers: cfg.Workers, SweepInterval: cfg.SweepInterval, Idle: cfg.jobsStall, PollInterval: cfg.jobsPoll, Clock: cfg.Clock,
	})

	// Stopped in the reverse order: no more jobs, then the drives.
	p.Add("replicas", replicas.Run)
	p.Add("drives", runner.Run)
	p.Add("jobs", work.Run)
	return nil
}
