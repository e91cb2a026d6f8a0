// Package postgres keeps the catalog in PostgreSQL.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/domain/words"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/audit"
	eventlog "github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:generate sh -c "cd ../.. && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

// Migrate brings the database to the schema of this build, and what is derived from
// text to its rules.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	// First: triggers of the service's own migrations append to the log of events.
	if err := eventlog.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	if err := pg.Migrate(ctx, cfg, migrations, log); err != nil {
		return err
	}
	if err := answers.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	if err := audit.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	return pg.Maintain(ctx, cfg, log, func(ctx context.Context, pool *pgxpool.Pool) error {
		for total := 0; ; {
			n := 0
			err := pg.InTx(ctx, pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) (err error) {
				n, err = reindex(ctx, db.New(tx))
				return err
			})
			if err != nil {
				return fmt.Errorf("index products: %w", err)
			}
			if total += n; n == 0 {
				if total > 0 {
					log.InfoContext(ctx, "products indexed by the rules of this build", "products", total, "edition", words.Edition)
				}
				return nil
			}
		}
	})
}

// Migrated is nil once the database has the schema of this build.
func Migrated(ctx context.Context, pool *pgxpool.Pool) error {
	if err := pg.Migrated(ctx, pool, migrations); err != nil {
		return err
	}
	if err := eventlog.Migrated(ctx, pool); err != nil {
		return err
	}
	if err := answers.Migrated(ctx, pool); err != nil {
		return err
	}
	return audit.Migrated(ctx, pool)
}

// Store implements app.Store. Its methods may be called concurrently.
type Store struct {
	pool     pg.DB
	q        *db.Queries // through pool
	reads    *db.Queries // of what waits for no lock, through connections of its own
	views    pg.Reads    // of what may be a little old: pages of products
	view     *db.Queries // through views
	turns    *turns
	currency string
	walks    walks
	expired  func(ctx context.Context, holds int64) // has it counted
	changed  func(products domain.Touched)          // is told what groups have changed
	tracer   trace.Tracer
	measures measures
}

var _ app.Store = (*Store)(nil)

// New returns a store on a migrated database. All prices it writes are in
// currency; the domain has checked them.
func New(pool *pgxpool.Pool, currency string) *Store {
	writes := pg.DB{Pool: pool}
	s := &Store{
		pool: writes, q: db.New(writes), currency: currency, tracer: noop.NewTracerProvider().Tracer(""),
		walks: walks{popularity: firstID, shelves: mostPopular}, expired: func(context.Context, int64) {}, changed: func(domain.Touched) {},
	}
	s.measures, _ = newMeasures(noopmetric.NewMeterProvider().Meter(""))
	return s.Group(1, -1).ReadFrom(pg.NewReads(pool, nil))
}

// Group has up to batch commands that wait for the same stock carried out in one
// transaction; each has one of its own when batch is less than 2. While queue commands wait
// for a SKU, reservations of it are refused; a negative queue has no limit.
func (s *Store) Group(batch, queue int) *Store {
	s.turns = newTurns(batch, queue, s.together)
	return s
}

// TellChanged has tell called with the products whose stock a group has changed or, where its
// outcome is unknown, may have changed, before its members return. Their callers do not learn
// it of a member that has gone.
func (s *Store) TellChanged(tell func(products domain.Touched)) *Store {
	s.changed = tell
	return s
}

// Observe has groups traced, and turns measured.
func (s *Store) Observe(tracer trace.Tracer, meter metric.Meter) (err error) {
	s.tracer = tracer
	s.measures, err = newMeasures(meter)
	return err
}

// measures are those of turns at stock.
type measures struct {
	commands metric.Int64Histogram
	wait     metric.Float64Histogram
	refused  metric.Int64Counter
}

func newMeasures(meter metric.Meter) (measures, error) {
	commands, err1 := meter.Int64Histogram("souk.catalog.stock.commands", metric.WithUnit("{command}"), metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128),
		metric.WithDescription("Reservations, confirmations and releases that one transaction carried out: more than one where they waited for the same stock."))
	wait, err2 := meter.Float64Histogram("souk.catalog.stock.wait", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(.0001, .001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10),
		metric.WithDescription("Time that a reservation, confirmation or release waited until it was begun, or its caller had gone."))
	refused, err3 := meter.Int64Counter("souk.catalog.stock.refused", metric.WithUnit("{reservation}"),
		metric.WithDescription("Reservations that were refused because too many others waited for the same stock."))
	return measures{commands, wait, refused}, errors.Join(err1, err2, err3)
}

// CountExpired has count called with how many expired holds were released.
func (s *Store) CountExpired(count func(ctx context.Context, holds int64)) *Store {
	s.expired = count
	return s
}

// ReadFrom has questions answered by another pool of the same database, and pages of
// products by its replica, if there is one. Variants are what prices and stock of orders
// are decided by: no replica answers them.
func (s *Store) ReadFrom(reads pg.Reads) *Store {
	s.reads = db.New(reads.DB)
	s.views, s.view = reads, db.New(reads)
	return s
}
