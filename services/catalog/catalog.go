// Package catalog is the catalog service: products, prices, stock and
// reservations.
package catalog

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/cached"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/catalog/internal/rpc"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	eventlog "github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/events/relay"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/service"
)

// Config is what the service's operator chooses; its variables start with
// SOUK_CATALOG_. A zero field means its default.
type Config struct {
	service.Config

	// Events is the broker to which events are relayed.
	Events events.Config `env:", prefix=EVENTS_"`

	Redis cache.RedisConfig `env:", prefix=REDIS_"`
	// Payment is asked which prices can be paid.
	Payment chassisrpc.ClientConfig `env:", prefix=PAYMENT_"`
	// Currency is the one the shop sells in.
	Currency string `env:"CURRENCY, default=GBP"`
	// CursorKey makes the cursors of listings unforgeable; the same for all
	// replicas. The built-in one guards against accidents only.
	CursorKey config.Secret `env:"CURSOR_KEY, default=souk catalog cursor"`
	// MemoryTTL is how long answers are kept in this process; negative for not at all.
	MemoryTTL time.Duration `env:"MEMORY_TTL, default=1s"`
	// StockBatch is the most commands that wait for the same stock and are carried out in
	// one transaction; negative for each in one of its own.
	StockBatch int `env:"STOCK_BATCH, default=64"`
	// StockQueue: while so many commands wait for a SKU, reservations of it are refused.
	// Negative has no limit.
	StockQueue int `env:"STOCK_QUEUE, default=1024"`
	// ExpireEvery is how often expired holds are released.
	ExpireEvery time.Duration `env:"EXPIRE_EVERY, default=2s"`
	// LearnEvery is how often a batch of sales is counted into what is bought together, and of
	// products into popularity.
	LearnEvery time.Duration `env:"LEARN_EVERY, default=5s"`
	// PopularityEvery is the shortest time from one count of the units that all products have
	// sold to the next in this process: each changes the products that have sold something.
	PopularityEvery time.Duration `env:"POPULARITY_EVERY, default=1m"`
	// KeepStockEvents is how long the log keeps events of stock that later ones have
	// replaced.
	KeepStockEvents time.Duration `env:"EVENTS_KEEP_STOCK, default=168h"`
}

// Run serves until ctx is done, then drains. The service works without Redis.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, &cfg, service.Spec{
		Name: "catalog", Migrate: postgres.Migrate, Migrated: postgres.Migrated, Errors: rpc.Errors,
		Build: func(p *service.Parts) error {
			expired, err := p.Telemetry.Meter().Int64Counter("souk.catalog.reservations.expired", metric.WithUnit("{reservation}"),
				metric.WithDescription("Reservations whose hold ended before the order was paid, so that others get the units."))
			if err != nil {
				return err
			}
			products := postgres.New(p.Pool, cfg.Currency).ReadFrom(p.Reads).Group(cfg.StockBatch, cfg.StockQueue).CountExpired(
				func(ctx context.Context, holds int64) { expired.Add(ctx, holds) })
			if err := products.Observe(p.Telemetry.Tracer(), p.Telemetry.Meter()); err != nil {
				return err
			}
			store, err := cached.New(products, cfg.MemoryTTL, cfg.Redis, p.Telemetry)
			if err != nil {
				return err
			}
			p.Close(store.Close)
			products.TellChanged(store.Changed)
			payments, err := payments(p, cfg)
			if err != nil {
				return err
			}
			cursors := domain.Cursors{Key: []byte(cfg.CursorKey.Reveal())}
			catalogv1.RegisterCatalogServiceServer(p.Server, rpc.NewServer(app.New(store, cursors, cfg.Currency, payments)))
			if err := answers.Serve(p); err != nil {
				return err
			}
			if err := relay.Serve(p, cfg.Events); err != nil {
				return err
			}
			p.AddReady("forget stock levels", eventlog.New(p.Pool, "catalog").Sweeper("stock", cfg.KeepStockEvents, p.Log))
			background := app.Background{Store: store, ExpireEvery: cfg.ExpireEvery, LearnEvery: cfg.LearnEvery, PopularityEvery: cfg.PopularityEvery, Log: p.Log}
			p.AddReady("expire holds", background.ExpireHolds)
			p.AddReady("learn from sales", background.Learn)
			p.AddReady("follow stock", background.FollowStock)
			p.AddReady("finish imports", background.FinishImports)
			p.AddReady("keep the index", background.KeepIndex)
			return nil
		},
	})
}

// payments is nil without a target, which only a test leaves out: then every price is
// accepted.
func payments(p *service.Parts, cfg Config) (app.Payments, error) {
	if cfg.Payment.Target == "" {
		return nil, nil //nolint:nilnil // the use cases do without
	}
	conn, err := p.Dial("payment", cfg.Payment)
	if err != nil {
		return nil, err
	}
	return rpc.NewPayments(conn), nil
}
