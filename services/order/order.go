// Package order is the order service: it owns orders and drives each through the
// checkout protocol to exactly one of PAID or CANCELLED.
package order

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/relay"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/service"
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
	service.Config

	// Events is the broker to which events are relayed.
	Events events.Config `env:", prefix=EVENTS_"`

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
	// Unfair has orders wait in one queue, whichever address they come from: the control
	// of measurements.
	Unfair bool `env:"UNFAIR"`
	// DriveDelay is how far ahead the job of an order is scheduled: the time in
	// which the process that placed it settles it.
	DriveDelay time.Duration `env:"DRIVE_DELAY, default=15s"`
	// Workers is how many jobs run at once.
	Workers int `env:"WORKERS, default=16"`
	// SweepInterval is the time between two looks for orders without a live job
	// or driver.
	SweepInterval time.Duration `env:"SWEEP_INTERVAL, default=20s"`
	// Deadline is how long an order may take to reach CAPTURING.
	Deadline time.Duration `env:"DEADLINE, default=10m"`
	// Hold is how long the catalog keeps the stock of an order that has not been paid.
	// AuthorizeWithin is how long its payment may take to be authorized from then on:
	// shorter, so that a hold outlives every order that can still be confirmed. An order
	// whose authorization is not known by then is cancelled.
	Hold            time.Duration `env:"HOLD, default=90s"`
	AuthorizeWithin time.Duration `env:"AUTHORIZE_WITHIN, default=75s"`
	// StockWait is how long an order waits for units that others hold; negative for not
	// at all.
	StockWait time.Duration `env:"STOCK_WAIT, default=30s"`
	// SubjectKey makes the keyed hashes under which declines are counted by guest, address
	// and payment method; the same for all replicas. The built-in one is published with the source.
	SubjectKey config.Secret `env:"SUBJECT_KEY, default=souk order subjects"`
	// FreeDeclines is how many declined payments delay nothing, UnpaidOrders how many orders
	// may be unsettled at once, and UnpaidUnits how many units of a SKU may be in them besides
	// one order of any size. Negative is no limit.
	FreeDeclinesOfGuest   int `env:"FREE_DECLINES_OF_GUEST, default=3"`
	FreeDeclinesOfAddress int `env:"FREE_DECLINES_OF_ADDRESS, default=30"`
	FreeDeclinesOfMethod  int `env:"FREE_DECLINES_OF_METHOD, default=3"`
	UnpaidOrdersOfGuest   int `env:"UNPAID_ORDERS_OF_GUEST, default=5"`
	UnpaidOrdersOfAddress int `env:"UNPAID_ORDERS_OF_ADDRESS, default=30"`
	UnpaidUnitsOfGuest    int `env:"UNPAID_UNITS_OF_GUEST, default=20"`
	UnpaidUnitsOfAddress  int `env:"UNPAID_UNITS_OF_ADDRESS, default=100"`
	// EraseCancelledAfter is how long after an order was cancelled it is kept who the buyer
	// was: time for questions, and for the payer's bank to show that nothing was taken.
	// ErasePaidAfter is the same of paid orders: 0 keeps it, because laws on accounts and
	// tax ask for it for years, how many depends on the country. Negative is for ever.
	EraseCancelledAfter time.Duration `env:"ERASE_CANCELLED_AFTER, default=720h"`
	ErasePaidAfter      time.Duration `env:"ERASE_PAID_AFTER"`
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
	if cfg.Hold <= cfg.AuthorizeWithin {
		return fmt.Errorf("hold %v must be longer than authorize within %v", cfg.Hold, cfg.AuthorizeWithin)
	}
	for name, n := range map[string]int{"drive backlog": cfg.Backlog, "workers": cfg.Workers} {
		if n < 0 {
			return fmt.Errorf("%s %d: it cannot be negative", name, n)
		}
	}
	for name, d := range map[string]time.Duration{
		"drive delay": cfg.DriveDelay, "drive wait": cfg.DriveWait, "sweep interval": cfg.SweepInterval,
		"deadline": cfg.Deadline, "authorize within": cfg.AuthorizeWithin, "drive drain timeout": cfg.DrainTimeout,
	} {
		if d < 0 {
			return fmt.Errorf("%s %v: it cannot be negative", name, d)
		}
	}
	return nil
}

// limits are those of buyers.
func (cfg *Config) limits() domain.BuyerLimits {
	return domain.BuyerLimits{
		Key: []byte(cfg.SubjectKey.Reveal()),
		FreeDeclines: map[domain.SubjectKind]int{
			domain.OfGuest: cfg.FreeDeclinesOfGuest, domain.OfAddress: cfg.FreeDeclinesOfAddress, domain.OfMethod: cfg.FreeDeclinesOfMethod,
		},
		Orders: map[domain.SubjectKind]int{domain.OfGuest: cfg.UnpaidOrdersOfGuest, domain.OfAddress: cfg.UnpaidOrdersOfAddress},
		Units:  map[domain.SubjectKind]int64{domain.OfGuest: int64(cfg.UnpaidUnitsOfGuest), domain.OfAddress: int64(cfg.UnpaidUnitsOfAddress)},
	}
}

// promptPoll is River's poll where jobs do all the driving.
const promptPoll = 100 * time.Millisecond

// Run serves until ctx ends, then stops in good order: no new calls, calls and
// drives in flight finish.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, &cfg, service.Spec{
		Name: "order", Cells: &postgres.Cells, Migrate: postgres.Migrate, Jobs: true, Errors: rpc.Errors,
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
	store := postgres.New(p.Pool, postgres.Times{
		Deadline: cfg.Deadline, Hold: cfg.Hold, AuthorizeWithin: cfg.AuthorizeWithin, DriveDelay: cfg.DriveDelay,
	}).ReadFrom(p.Reads)
	ports := crashpoint.Wrap(app.Ports{
		Orders: store, Refunds: store, Sessions: store, Customers: store, Persons: rpc.NewPersons(cart, payment),
		Catalog: rpc.NewCatalog(catalog, cfg.Hold), Carts: rpc.NewCarts(cart), Payments: rpc.NewPayments(payment),
	}, p.Crash)
	changes := app.NewBroadcaster()
	driver, err := app.NewDriver(app.DriverConfig{
		Ports: ports, Changes: changes, Limits: cfg.limits(), StockWait: cfg.StockWait, Log: p.Log, Tracer: p.Telemetry.Tracer(), Meter: p.Telemetry.Meter(),
	})
	if err != nil {
		return err
	}
	if err := app.MeasureOpen(p.Telemetry.Meter(), store.Open, p.Observed); err != nil {
		return err
	}
	runner := app.NewRunner(driver, app.RunnerConfig{
		Drivers: cfg.Drivers, Backlog: cfg.Backlog, MaxWait: cfg.DriveWait, Drain: cfg.DrainTimeout, Unfair: cfg.Unfair,
	}, p.Log)
	replicas := app.NewReplicas(app.ReplicasConfig{
		Changes: changes, Feed: postgres.NewFeed(p.Pool), Orders: store, Log: p.Log, Refresh: cfg.refresh,
	})
	erased, err := p.Telemetry.Meter().Int64Counter("souk.order.erased", metric.WithUnit("{order}"),
		metric.WithDescription("Orders whose buyer was erased, by the cause: request, or the age of cancelled or paid ones."))
	if err != nil {
		return err
	}
	orders := app.New(app.Config{
		Erased: func(ctx context.Context, cause string, n int) {
			erased.Add(ctx, int64(n), metric.WithAttributes(semconv.OrderErasureCause.String(cause)))
		},
		Ports: ports, Runner: runner, Changes: changes, Draining: p.Server.Draining(), Limits: cfg.limits(),
		LimitMet: func(ctx context.Context, limit string) {
			p.Telemetry.Security.Record(ctx, telemetry.LimitExceeded, limit)
		},
	})
	orderv1.RegisterOrderServiceServer(p.Server, rpc.NewServer(orders))
	if err := answers.Serve(p); err != nil {
		return err
	}
	if err := relay.Serve(p, cfg.Events); err != nil {
		return err
	}
	work := jobs.New(jobs.Config{
		Pool: p.JobsPool, Ready: p.Ready, Drives: runner, Sweeper: orders, Erasers: orders, Retention: domain.Retention{Cancelled: cfg.EraseCancelledAfter, Paid: cfg.ErasePaidAfter}, Log: p.Log, Tracer: p.Telemetry.Tracer(),
		Workers: cfg.Workers, SweepInterval: cfg.SweepInterval, Idle: cfg.jobsStall, PollInterval: cfg.jobsPoll, Clock: cfg.Clock,
	})

	// Stopped in the reverse order: no more jobs, then the drives.
	p.Add("replicas", replicas.Run)
	p.Add("drives", runner.Run)
	p.Add("jobs", work.Run)
	return nil
}
