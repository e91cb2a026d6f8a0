// Package catalog is the catalog service: products, prices, stock and
// reservations.
package catalog

import (
	"context"
	"errors"
	"time"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/cached"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/catalog/internal/rpc"
	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what the service's operator chooses; its variables start with
// SOUK_CATALOG_. A zero field means its default.
type Config struct {
	Server    chassisrpc.ServerConfig
	Postgres  pg.Config         `env:", prefix=POSTGRES_"`
	Redis     cache.RedisConfig `env:", prefix=REDIS_"`
	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
	// Migrate migrates the database before it is used.
	Migrate bool `env:"MIGRATE"`
	// Currency is the one the shop sells in.
	Currency string `env:"CURRENCY, default=GBP"`
	// CursorKey makes the cursors of listings unforgeable; the same for all
	// replicas. Without it a built-in one guards against accidents only.
	CursorKey config.Secret `env:"CURSOR_KEY"`
	// MemoryTTL is how long answers are kept in this process; negative for not at all.
	MemoryTTL time.Duration `env:"MEMORY_TTL, default=1s"`
	// ExpireEvery is how often expired holds are released.
	ExpireEvery time.Duration `env:"EXPIRE_EVERY, default=2s"`
	// LearnEvery is how often sold units are counted into popularity and into
	// what is bought together.
	LearnEvery time.Duration `env:"LEARN_EVERY, default=5s"`
	// Clock is wrong in fault tests.
	Clock clock.Config `env:", prefix=CLOCK_"`
}

func (c *Config) setDefaults() {
	if c.Currency == "" {
		c.Currency = "GBP"
	}
	if c.CursorKey == "" {
		c.CursorKey = "souk catalog cursor"
	}
	if c.MemoryTTL == 0 {
		c.MemoryTTL = time.Second
	}
	if c.ExpireEvery <= 0 {
		c.ExpireEvery = 2 * time.Second
	}
	if c.LearnEvery <= 0 {
		c.LearnEvery = 5 * time.Second
	}
	if c.Redis.Timeout <= 0 {
		c.Redis.Timeout = 30 * time.Millisecond
	}
}

// Run serves until ctx is done, then drains. A database or a Redis that is late
// is waited for; health tells about the database, the shop works without Redis.
func Run(ctx context.Context, cfg Config) (err error) {
	cfg.setDefaults()
	tel, err := telemetry.Start(ctx, "catalog", cfg.Telemetry)
	if err != nil {
		return err
	}
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, tel.Shutdown(stopCtx))
	}()
	pool, err := pg.Open(ctx, cfg.Postgres, tel)
	if err != nil {
		return err
	}
	defer pool.Close()
	store, err := cached.New(postgres.New(pool, cfg.Currency), cfg.MemoryTTL, cfg.Redis, tel)
	if err != nil {
		return err
	}
	defer store.Close()

	server, err := chassisrpc.NewServer(cfg.Server, tel, rpc.Errors,
		chassisrpc.Check{Name: "postgres", Fn: func(ctx context.Context) error { return postgres.Migrated(ctx, pool) }})
	if err != nil {
		return err
	}
	cursors := domain.Cursors{Key: []byte(cfg.CursorKey.Reveal())}
	catalogv1.RegisterCatalogServiceServer(server, rpc.NewServer(app.New(store, cursors, cfg.Currency)))

	migrated := make(chan struct{})
	g := run.NewGroup(tel.Log)
	g.Add("admin", func(ctx context.Context) error { return admin.Serve(ctx, cfg.Admin, tel) })
	g.Add("migrate", func(ctx context.Context) error {
		if cfg.Migrate {
			if err := postgres.Migrate(ctx, cfg.Postgres, tel.Log); err != nil {
				return err
			}
		}
		close(migrated)
		return nil
	})
	background := app.Background{
		Store: store, ExpireEvery: cfg.ExpireEvery, LearnEvery: cfg.LearnEvery, After: migrated, Log: tel.Log,
	}
	g.Add("expire holds", background.ExpireHolds)
	g.Add("learn from sales", background.Learn)
	g.Add("rpc", server.Serve)
	return g.Run(ctx)
}
