package pg

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// MeasurePools has the meter report pools by their names, by the semantic conventions of
// database clients. Callers wait where used is near max, and how long says the counter of
// waits: OpenTelemetry's histogram of waits would need each of them measured, and pgx only
// sums them up.
func MeasurePools(meter metric.Meter, pools map[string]*pgxpool.Pool) error {
	count, err1 := meter.Int64ObservableUpDownCounter("db.client.connection.count", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections to PostgreSQL by pool and state, idle or used."))
	limit, err2 := meter.Int64ObservableUpDownCounter("db.client.connection.max", metric.WithUnit("{connection}"),
		metric.WithDescription("How many connections a pool may have."))
	timeouts, err3 := meter.Int64ObservableCounter("db.client.connection.timeouts", metric.WithUnit("{timeout}"),
		metric.WithDescription("Callers that gave up waiting for a connection of a pool."))
	waited, err4 := meter.Float64ObservableCounter("souk.postgres.pool.wait", metric.WithUnit("s"),
		metric.WithDescription("Time that callers have waited because no connection of a pool was idle."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for name, pool := range pools {
			stat, of := pool.Stat(), attribute.String("db.client.connection.pool.name", name)
			state := func(s string) metric.MeasurementOption {
				return metric.WithAttributes(of, attribute.String("db.client.connection.state", s))
			}
			o.ObserveInt64(count, int64(stat.IdleConns()), state("idle"))
			o.ObserveInt64(count, int64(stat.AcquiredConns()), state("used"))
			o.ObserveInt64(limit, int64(stat.MaxConns()), metric.WithAttributes(of))
			o.ObserveInt64(timeouts, stat.CanceledAcquireCount(), metric.WithAttributes(of))
			o.ObserveFloat64(waited, stat.EmptyAcquireWaitTime().Seconds(), metric.WithAttributes(of))
		}
		return nil
	}, count, limit, timeouts, waited)
	return err
}

// MeasureArchive has the meter report whether the server of a pool archives its write-ahead log.
// Nothing is reported of a server that has no archive. observed makes a callback one that is left
// out while the database is away.
func MeasureArchive(meter metric.Meter, pool *pgxpool.Pool, observed func(metric.Callback) metric.Callback) error {
	behind, err := meter.Float64ObservableGauge("souk.postgres.archive.behind", metric.WithUnit("s"),
		metric.WithDescription("How long ago PostgreSQL has last archived a piece of its log, while attempts fail; 0 while they do not. Not there without an archive."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(observed(func(ctx context.Context, o metric.Observer) error {
		var archives bool
		var seconds float64
		err := pool.QueryRow(ctx, `
			SELECT current_setting('archive_mode') <> 'off',
				CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity')
					THEN extract(epoch FROM greatest(interval '0', now() - coalesce(last_archived_time, stats_reset, last_failed_time)))
					ELSE 0 END
			FROM pg_stat_archiver`).Scan(&archives, &seconds)
		if err == nil && archives {
			o.ObserveFloat64(behind, seconds)
		}
		return err
	}), behind)
	return err
}
