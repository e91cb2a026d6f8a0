package pg

import (
	"context"
	"errors"
	"regexp"
	"sync"

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
		metric.WithDescription("How long ago PostgreSQL has last archived a piece of its log, while a complete piece waits or attempts fail; 0 while neither is so. Not there without an archive."))
	if err != nil {
		return err
	}
	var waits waiting
	_, err = meter.RegisterCallback(observed(func(ctx context.Context, o metric.Observer) error {
		var archives, fails bool
		var archived, complete string
		var seconds float64
		// complete is the newest piece that is written to its end: the one before that of now. A
		// standby writes none.
		err := pool.QueryRow(ctx, `
			SELECT current_setting('archive_mode') <> 'off',
				coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
				coalesce(last_archived_wal, ''),
				CASE WHEN pg_is_in_recovery() THEN ''
					ELSE pg_walfile_name(pg_current_wal_lsn() - pg_size_bytes(current_setting('wal_segment_size'))) END,
				extract(epoch FROM greatest(interval '0', now() - coalesce(last_archived_time, stats_reset, last_failed_time, now())))
			FROM pg_stat_archiver`).Scan(&archives, &fails, &archived, &complete, &seconds)
		if err != nil || !archives {
			return err
		}
		if !waits.see(archived, complete) && !fails {
			seconds = 0
		}
		o.ObserveFloat64(behind, seconds)
		return nil
	}), behind)
	return err
}

// waiting tells whether a complete piece of log waits to be archived. An archive command that hangs
// fails never: pg_stat_archiver stands still, and only the log goes on. Pieces that wait are files
// that members of pg_monitor alone may list, which a service is none of.
type waiting struct {
	mu sync.Mutex
	// since is the newest piece that was complete when the archiver was first seen as it is now, where
	// what it archived last does not say how far it is.
	since string
}

// piece is a file of the log, as the archiver names it: timeline, place, and .partial for the last one of
// a timeline that has ended. The files of backups and of timelines tell no place.
var piece = regexp.MustCompile(`^[0-9A-F]{8}([0-9A-F]{16})(\.partial)?$`)

// see reports whether a piece waits, by the last file that was archived and the newest complete piece;
// "" for none.
func (w *waiting) see(archived, complete string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := piece.FindStringSubmatch(complete)
	if at == nil {
		w.since = ""
		return false
	}
	if last := piece.FindStringSubmatch(archived); last != nil {
		w.since = ""
		return at[1] > last[1]
	}
	if w.since == "" {
		w.since = at[1]
	}
	return at[1] > w.since
}
