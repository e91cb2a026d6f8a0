// Package insight is the insight service: a read model of orders, payments and refunds for
// operators. It is made of the events of the services that own them, and can be made anew
// from their logs.
package insight

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/broker"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/events/owner"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/domain"
	inbound "github.com/souk-shop/souk/services/insight/internal/events"
	"github.com/souk-shop/souk/services/insight/internal/postgres"
	"github.com/souk-shop/souk/services/insight/internal/rpc"
)

// Config is the configuration of the insight service, from variables SOUK_INSIGHT_...
type Config struct {
	service.Config

	// Events is the broker from which events are taken. Without one the model follows the
	// logs alone.
	Events events.Config `env:", prefix=EVENTS_"`

	Catalog chassisrpc.ClientConfig `env:", prefix=CATALOG_"`
	Order   chassisrpc.ClientConfig `env:", prefix=ORDER_"`
	Payment chassisrpc.ClientConfig `env:", prefix=PAYMENT_"`

	// CheckEvery is how often the logs are read to their ends: answers are true as of
	// then.
	CheckEvery time.Duration `env:"CHECK_EVERY, default=1s"`
}

// Validate refuses what the service cannot run with.
func (cfg *Config) Validate() error {
	if cfg.CheckEvery <= 0 {
		return fmt.Errorf("check every %v: it must be positive", cfg.CheckEvery)
	}
	return cfg.Events.Validate()
}

// Run serves until ctx ends, then stops in good order: events under way are finished.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, &cfg, service.Spec{
		Name: "insight", Migrate: postgres.Migrate, Migrated: postgres.Migrated, Errors: rpc.Errors,
		Build: func(p *service.Parts) error { return build(p, cfg) },
	})
}

func build(p *service.Parts, cfg Config) error {
	conns := map[string]grpc.ClientConnInterface{}
	for name, target := range map[string]chassisrpc.ClientConfig{"catalog": cfg.Catalog, "order": cfg.Order, "payment": cfg.Payment} {
		conn, err := p.Dial(name, target)
		if err != nil {
			return err
		}
		conns[name] = conn
	}
	from, err := broker.Open(cfg.Events, p.Telemetry)
	if err != nil {
		return err
	}
	owners := owner.New(p.Telemetry.Service, conns)
	store := postgres.New(p.Pool, p.Reads)
	apply := applier(p.Pool, owners, p.Log)
	consume.ServeBatches(p, from, consume.Batches{
		Name: p.Telemetry.Service, Sources: []string{"order", "payment"}, Apply: app.Live(store, apply),
	})

	age, err := p.Telemetry.Meter().Float64Gauge("souk.insight.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago the model was complete with a source, as of its last look."))
	if err != nil {
		return err
	}
	follower := app.NewFollower(app.FollowerConfig{
		Logs: logs{owners}, Models: store, Apply: apply, Every: cfg.CheckEvery, Now: p.Now, Log: p.Log,
		Age: func(ctx context.Context, source string, d time.Duration) {
			age.Record(ctx, d.Seconds(), metric.WithAttributes(semconv.EventsSource.String(source)))
		},
	})
	for _, s := range app.Sources {
		p.AddReady("follow "+s.Name, follower.Serve(s))
		p.AddReady("build from "+s.Name, follower.Build(s))
	}
	p.AddReady("empty what was replaced", follower.Sweep)
	insightv1.RegisterInsightServiceServer(p.Server, rpc.NewServer(app.New(store, store)))
	return nil
}

// applier has events take effect in a generation.
func applier(pool *pgxpool.Pool, owners consume.Owner, log *slog.Logger) app.Apply {
	batches := make([]*consume.Batch, 2)
	for g := range batches {
		batches[g] = &consume.Batch{
			Name: postgres.Consumer(int16(g)), DB: pool, Owner: owners, Log: log,
			Effect: func(ctx context.Context, tx pgx.Tx, es []events.Event) error {
				facts, err := inbound.DecodeAll(es)
				if err != nil {
					return err
				}
				return postgres.Apply(ctx, tx, int16(g), domain.Fold(facts))
			},
		}
	}
	return func(ctx context.Context, generation int16, ds []events.Delivery) []error {
		return batches[generation].Apply(ctx, ds)
	}
}

// logs implements app.Logs by the owners.
type logs struct{ owners *owner.Owners }

// page is how many events a page of a log has.
const page = 1000

func (l logs) Scan(ctx context.Context, source, kind, cursor string) (app.Page, error) {
	scanned, err := l.owners.ScanEvents(ctx, source, kind, cursor, page)
	return app.Page{Events: scanned.Events, Next: scanned.Next, CompleteUntil: scanned.CompleteUntil}, err
}
