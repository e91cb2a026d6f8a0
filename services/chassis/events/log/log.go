// Package log keeps in a service's database what happened: one row for each fact, written
// by the transaction that made it true. Triggers of the service's own migrations call
// souk_event_append. This package reads the log: in the order for publishing, by subject,
// and how far behind a reader is. docs/events.md has the guarantees.
package log

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/retry"
)

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

var schema = pg.Schema{Table: "souk_events_schema", Migrations: migrations}

var (
	// Migrate brings the log to the schema of this version. It comes before the service's own
	// migrations, whose triggers append to it. Replicas may run it at once.
	Migrate = schema.Migrate
	// Migrated returns pg.ErrNotMigrated until the log is at the schema of this version.
	Migrated = schema.Migrated
)

// Log is the log of one service.
type Log struct {
	db     pg.DB
	source string
}

// New returns the log in a migrated database; source names the service.
func New(pool *pgxpool.Pool, source string) *Log {
	return &Log{db: pg.DB{Pool: pool}, source: source}
}

// Cursor is a place in the log: that of the last event that was read. The zero Cursor is
// before the first.
type Cursor struct {
	Tx      uint64
	Subject string
	Version int64
}

// Entry is an event in its place.
type Entry struct {
	events.Event
	Cursor Cursor
}

// read returns what is committed and settled: no transaction that still runs, or begins
// later, can write a row that comes before. Such a one has an id of at least xmin, and a
// row's tx is at least the id of its transaction.
const read = `
SELECT tx, subject, version, type, at, traceparent, data FROM souk_events
WHERE (tx, subject, version) > ($1, $2, $3) AND tx < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY tx, subject, version LIMIT $4`

// Read returns up to limit events after a place, in an order in which no subject's
// versions go backwards, within one answer or from one to the next.
func (l *Log) Read(ctx context.Context, after Cursor, limit int) ([]Entry, error) {
	rows, err := l.db.Query(ctx, read, after.Tx, after.Subject, after.Version, limit)
	if err != nil {
		return nil, fmt.Errorf("read the log of events: %w", err)
	}
	return l.entries(rows)
}

const (
	// settled is before when, and below which transaction, all that committed can be read, as
	// of this statement: it looks before the read that follows it.
	settled = `
SELECT least(now(), (SELECT min(at) FROM souk_events WHERE tx >= pg_snapshot_xmin(pg_current_snapshot()))), pg_snapshot_xmin(pg_current_snapshot())`
	readKind = `
SELECT tx, subject, version, type, at, traceparent, data FROM souk_events
WHERE (tx, subject, version) > ($1, $2, $3) AND tx < pg_snapshot_xmin(pg_current_snapshot()) AND subject >= $5 AND subject < $6
ORDER BY tx, subject, version LIMIT $4`
)

// Page is what Scan returns.
type Page struct {
	Entries []Entry
	// Next is where the next page begins.
	Next Cursor
	// CompleteUntil is before when all that committed is in the page or comes before it, where
	// nothing follows it; else it is zero.
	CompleteUntil time.Time
}

// Scan is Read of the subjects of a kind, or of all for "". Both statements go to one server:
// replicas are behind by different times.
func (l *Log) Scan(ctx context.Context, after Cursor, kind string, limit int) (page Page, err error) {
	var complete time.Time
	var below uint64
	err = pg.Again(ctx, func(ctx context.Context) error {
		page = Page{Next: after}
		b := &pgx.Batch{}
		b.Queue(settled).QueryRow(func(row pgx.Row) error { return row.Scan(&complete, &below) })
		sql, args := read, []any{after.Tx, after.Subject, after.Version, limit}
		if kind != "" {
			sql, args = readKind, append(args, kind+".", kind+"/") // "/" follows "."
		}
		b.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
			page.Entries, err = l.entries(rows)
			return err
		})
		return l.db.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return Page{}, fmt.Errorf("scan the log of events: %w", err)
	}
	if n := len(page.Entries); n > 0 {
		page.Next = page.Entries[n-1].Cursor
	}
	if len(page.Entries) == limit {
		return page, nil
	}
	page.CompleteUntil = complete
	if kind != "" && page.Next.Tx < below {
		// Events of other kinds may follow the last of this one, and they may be many: the next
		// page does not read them again. Nothing comes before this place that was not seen.
		page.Next = Cursor{Tx: below, Subject: kind + ".!"} // "!" is the least byte of an id
	}
	return page, nil
}

const list = `
SELECT tx, subject, version, type, at, traceparent, data FROM souk_events
WHERE subject = $1 AND version > $2 ORDER BY version LIMIT $3`

// List returns up to limit events of a subject after a version, and its newest version.
func (l *Log) List(ctx context.Context, subject string, after int64, limit int) ([]Entry, int64, error) {
	rows, err := l.db.Query(ctx, list, subject, after, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("list events: %w", err)
	}
	entries, err := l.entries(rows)
	if err != nil {
		return nil, 0, err
	}
	var newest int64
	err = l.db.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM souk_events WHERE subject = $1", subject).Scan(&newest)
	if err != nil {
		return nil, 0, fmt.Errorf("read the newest version: %w", err)
	}
	return entries, newest, nil
}

func (l *Log) entries(rows pgx.Rows) ([]Entry, error) {
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Entry, error) {
		e := Entry{Event: events.Event{Source: l.source}}
		var data []byte
		err := row.Scan(&e.Cursor.Tx, &e.Subject, &e.Version, &e.Type, &e.Time, &e.Traceparent, &data)
		if err != nil {
			return e, err
		}
		e.Cursor.Subject, e.Cursor.Version = e.Subject, e.Version
		e.Data, err = encode(e.Type, data)
		if err != nil {
			err = fmt.Errorf("event %s: %w", e.ID(), err)
		}
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the log of events: %w", err)
	}
	return entries, nil
}

// maxCounted bounds what is counted for Lag, so that a long lag does not make it dear.
const maxCounted = 100_000

const lag = `
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8 FROM (
    SELECT at FROM souk_events WHERE (tx, subject, version) > ($1, $2, $3) ORDER BY tx, subject, version LIMIT $4
) unread`

// Lag is how much is committed and not read yet.
type Lag struct {
	// Events are counted to 100,000.
	Events int64
	// Age is that of the oldest of them.
	Age time.Duration
}

// Lag returns what is committed after a place, also what transactions that run still keep
// from being read.
func (l *Log) Lag(ctx context.Context, after Cursor) (Lag, error) {
	var found Lag
	var seconds float64
	err := l.db.QueryRow(ctx, lag, after.Tx, after.Subject, after.Version, maxCounted).Scan(&found.Events, &seconds)
	if err != nil {
		return Lag{}, fmt.Errorf("read the lag of the log of events: %w", err)
	}
	found.Age = time.Duration(max(seconds, 0) * float64(time.Second))
	return found, nil
}

// sweep deletes from a subject's first version on, up to the first that is to be kept, so
// that what is left has no gaps: times are not in the order of versions. One transaction at a
// time sweeps; two could leave a gap when one of them fails. It is not in the way of readers:
// it has no id, which would hold them back, before it has found what to delete.
// It looks at some subjects of a kind at a time: all of a large catalog are more than a statement
// may take.
const sweep = `
WITH page AS MATERIALIZED (
    SELECT DISTINCT subject FROM souk_events WHERE subject > $1 AND subject < $2 ORDER BY subject LIMIT $5
), kept AS MATERIALIZED (
    SELECT subject, coalesce(min(version) FILTER (WHERE at >= now() - $3::bigint * interval '1 microsecond'), max(version)) AS first
    FROM souk_events JOIN page USING (subject)
    WHERE (SELECT pg_try_advisory_xact_lock(hashtextextended('souk.events.sweep', 0)))
    GROUP BY subject
), old AS MATERIALIZED (
    SELECT e.subject, e.version FROM kept k JOIN souk_events e ON e.subject = k.subject AND e.version < k.first
    ORDER BY e.subject, e.version LIMIT $4
), deleted AS (
    DELETE FROM souk_events e USING old WHERE (e.subject, e.version) = (old.subject, old.version) RETURNING 1
)
SELECT (SELECT count(*) FROM deleted), coalesce((SELECT max(subject) FROM page HAVING count(*) = $5), '')`

// Sweep deletes up to limit events, of up to so many subjects of a kind after one, that are older
// than keep: the oldest versions of each subject, and never the newest. What is left of a subject
// has no gaps. It is for kinds whose last event says all that is true. after is "" at first; next is
// the one to go on after, "" when no subjects are left. Where limit were deleted, there may be more
// of the same subjects.
func (l *Log) Sweep(ctx context.Context, kind, after string, keep time.Duration, subjects, limit int) (deleted int, next string, err error) {
	err = l.db.QueryRow(ctx, sweep, cmp.Or(after, kind+"."), kind+"/", keep.Microseconds(), limit, subjects).Scan(&deleted, &next) // "/" follows "."
	if err != nil {
		return 0, "", fmt.Errorf("sweep the log of events: %w", err)
	}
	return deleted, next, nil
}

const (
	// sweepEvery is the pause between two sweeps, sweepSubjects how many subjects one statement
	// looks at, and sweepBatch how many events it deletes.
	sweepEvery    = time.Hour
	sweepSubjects = 5_000
	sweepBatch    = 5_000
)

// Sweeper returns what sweeps a kind of subjects until its context is done. Replicas take
// turns.
func (l *Log) Sweeper(kind string, keep time.Duration, out *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		for after := ""; ; {
			n, next, err := l.Sweep(ctx, kind, after, keep, sweepSubjects, sweepBatch)
			if err != nil && ctx.Err() == nil {
				out.WarnContext(ctx, "old events are kept for longer; it is tried again", "kind", kind, "error", err)
			}
			if n == sweepBatch {
				continue // there may be more
			}
			if after = next; after != "" {
				continue
			}
			if retry.Sleep(ctx, sweepEvery) != nil {
				return nil //nolint:nilerr // the process stops, which is no failure
			}
		}
	}
}
