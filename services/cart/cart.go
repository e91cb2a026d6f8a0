// Package cart is the cart service: it keeps what shoppers mean to buy.
package cart

import (
	"context"
	"errors"
	"time"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	"github.com/souk-shop/souk/services/cart/internal/app"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"github.com/souk-shop/souk/services/cart/internal/rpc"
	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/pg"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what the service's operator chooses; its variables start with
// SOUK_CART_.
type Config struct {
	Server    chassisrpc.ServerConfig
	Postgres  pg.Config `env:", prefix=POSTGRES_"`
	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
	// Migrate migrates the database before serving.
	Migrate bool `env:"MIGRATE"`
	// GuestTTL is for how long a cart that nobody looks at is kept, an hour at
	// least. Until there are customers with accounts, every cart is a guest's.
	GuestTTL time.Duration `env:"GUEST_TTL, default=720h"`
	// SweepEvery is how often carts past that are deleted.
	SweepEvery time.Duration `env:"SWEEP_EVERY, default=1h"`
	// Clock is wrong in fault tests.
	Clock clock.Config `env:", prefix=CLOCK_"`
}

func (c *Config) validate() error {
	if c.GuestTTL < time.Hour {
		return errors.New("GUEST_TTL is shorter than an hour")
	}
	if c.SweepEvery <= 0 {
		return errors.New("SWEEP_EVERY is not positive")
	}
	return nil
}

// Run serves until ctx is done, then drains. A database that is late is waited
// for; the health service tells.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.validate(); err != nil {
		return err
	}
	tel, err := telemetry.Start(ctx, "cart", cfg.Telemetry)
	if err != nil {
		return err
	}
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, tel.Shutdown(stopCtx))
	}()
	if cfg.Migrate {
		if err := postgres.Migrate(ctx, cfg.Postgres, tel.Log); err != nil {
			return err
		}
	}
	pool, err := pg.Open(ctx, cfg.Postgres, tel)
	if err != nil {
		return err
	}
	defer pool.Close()
	store := postgres.NewStore(pool)

	server, err := chassisrpc.NewServer(cfg.Server, tel, rpc.Errors,
		chassisrpc.Check{Name: "postgres", Fn: func(ctx context.Context) error { return postgres.Migrated(ctx, pool) }})
	if err != nil {
		return err
	}
	cartv1.RegisterCartServiceServer(server, rpc.NewServer(app.New(store, cfg.Clock.Now, tel.Log)))

	g := run.NewGroup(tel.Log)
	g.Add("admin", func(ctx context.Context) error { return admin.Serve(ctx, cfg.Admin, tel) })
	sweeper := app.Sweeper{Carts: store, TTL: cfg.GuestTTL, Every: cfg.SweepEvery, Now: cfg.Clock.Now, Log: tel.Log}
	g.Add("sweeper", sweeper.Run)
	g.Add("rpc", server.Serve)
	return g.Run(ctx)
}
