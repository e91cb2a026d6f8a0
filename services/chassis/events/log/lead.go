package log

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Reset says why a relay begins at the log's beginning.
type Reset string

// What Lead found.
const (
	// NotReset: the relay goes on from its cursor.
	NotReset Reset = ""
	// FirstRelay: nothing was published yet.
	FirstRelay Reset = "no relay has run in this database"
	// Restored: the ids of transactions in the log and in the cursor are another system's.
	Restored Reset = "the database was restored into another system"
)

// lead takes the lease where it is free, or renews it. The statement's caller leads from
// before the answer arrives until lease_until by the database's clock.
const lead = `
UPDATE souk_events_relay r SET leader = $1, lease_until = clock_timestamp() + $2::bigint * interval '1 microsecond'
WHERE r.leader = $1 OR r.lease_until < clock_timestamp()
RETURNING r.system, (SELECT system_identifier FROM pg_control_system()), r.tx, r.subject, r.version,
    EXISTS (SELECT FROM souk_events e WHERE e.tx >= pg_snapshot_xmax(pg_current_snapshot()))`

// Lead makes a process the leader for a time, or the leader for longer, and returns the
// cursor; false where another one leads. The first answer of a leader may come with the
// reason why the cursor was set to the beginning.
func (l *Log) Lead(ctx context.Context, process string, lease time.Duration) (Cursor, Reset, bool, error) {
	var (
		stored, system int64
		at             Cursor
		foreign        bool
	)
	err := l.db.QueryRow(ctx, lead, process, lease.Microseconds()).Scan(&stored, &system, &at.Tx, &at.Subject, &at.Version, &foreign)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Cursor{}, NotReset, false, nil
	case err != nil:
		return Cursor{}, NotReset, false, fmt.Errorf("take the lease of the relay: %w", err)
	case stored == system && !foreign:
		return at, NotReset, true, nil
	}
	reset := Restored
	if stored == 0 {
		reset = FirstRelay
	}
	if err := l.adopt(ctx); err != nil {
		return Cursor{}, NotReset, false, err
	}
	tag, err := l.db.Exec(ctx, "UPDATE souk_events_relay SET tx = '0', subject = '', version = 0, system = $2 WHERE leader = $1", process, system)
	if err != nil {
		return Cursor{}, NotReset, false, fmt.Errorf("set the cursor of the relay to the beginning: %w", err)
	}
	return Cursor{}, reset, tag.RowsAffected() == 1, nil
}

// adopted is how many rows one statement gives a new place.
const adopted = 2_000

// adopt gives rows with a tx that this system has not reached, so that they would not be
// read, the place of this transaction: after all rows whose tx it has reached, since an
// earlier version of the same subject may be one of those. The lowest go first, so that the
// order of each subject's versions is as before from one batch to the next, too. Lead looks
// for such rows each time: a transaction may have followed one while this ran.
const adopt = `
UPDATE souk_events SET tx = pg_current_xact_id() WHERE (subject, version) IN (
    SELECT subject, version FROM souk_events WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())
    ORDER BY tx, subject, version LIMIT $1 FOR UPDATE)`

func (l *Log) adopt(ctx context.Context) error {
	for {
		tag, err := l.db.Exec(ctx, adopt, adopted)
		if err != nil {
			return fmt.Errorf("adopt the log of events of another system: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
	}
}

// Move sets the leader's cursor from one place to another; false where another process
// leads by now, or the cursor is elsewhere: Lead or an operator has set it to the beginning.
// It waits for no disk and no standby. A server that crashes may forget the last moves, and
// what they were for is published again.
func (l *Log) Move(ctx context.Context, process string, from, to Cursor) (bool, error) {
	tag, err := l.db.Exec(ctx, `
		WITH asynchronous AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
		UPDATE souk_events_relay SET tx = $2, subject = $3, version = $4 FROM asynchronous
		WHERE leader = $1 AND (tx, subject, version) = ($5, $6, $7)`,
		process, to.Tx, to.Subject, to.Version, from.Tx, from.Subject, from.Version)
	if err != nil {
		return false, fmt.Errorf("move the cursor of the relay: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Resign ends the lease of a process, so that another one leads at once.
func (l *Log) Resign(ctx context.Context, process string) error {
	_, err := l.db.Exec(ctx, "UPDATE souk_events_relay SET leader = NULL, lease_until = '-infinity' WHERE leader = $1", process)
	if err != nil {
		return fmt.Errorf("give up the lease of the relay: %w", err)
	}
	return nil
}

// Rewind sets the cursor to the beginning, so that the relay publishes the whole log again. It
// may run meanwhile: it moves the cursor only from where it left it. A broker that is to be
// emptied is emptied first; what the relay publishes between the two is published again.
func Rewind(ctx context.Context, db interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}) error {
	if _, err := db.Exec(ctx, "UPDATE souk_events_relay SET tx = '0', subject = '', version = 0"); err != nil {
		return fmt.Errorf("set the cursor of the relay to the beginning: %w", err)
	}
	return nil
}

// Progress is how far a relay is with its log.
type Progress struct {
	// Newest is when the last event of the log became true, and End its place; zero for a log
	// without events.
	Newest time.Time
	End    Cursor
	// At is the place of the last event that the broker has acknowledged, and Until when
	// that became true. Until is zero before the first, and where the log no longer has the event.
	At    Cursor
	Until time.Time
	// Led is whether a process holds the relay's lease.
	Led bool
	// Lag is what is committed and not published.
	Lag Lag
}

// The cursor is read before the log, so that it is never ahead of what is read of that.
const (
	progressOfRelay = `
SELECT r.tx, r.subject, r.version, r.leader IS NOT NULL AND r.lease_until > clock_timestamp(), e.at
FROM souk_events_relay r LEFT JOIN souk_events e ON e.subject = r.subject AND e.version = r.version`
	endOfLog = "SELECT tx, subject, version, at FROM souk_events ORDER BY tx DESC, subject DESC, version DESC LIMIT 1"
)

// Progress returns how far the relay is.
func (l *Log) Progress(ctx context.Context) (p Progress, err error) {
	var until *time.Time
	if err := l.db.QueryRow(ctx, progressOfRelay).Scan(&p.At.Tx, &p.At.Subject, &p.At.Version, &p.Led, &until); err != nil {
		return p, fmt.Errorf("read how far the relay is: %w", err)
	}
	if until != nil {
		p.Until = *until
	}
	err = l.db.QueryRow(ctx, endOfLog).Scan(&p.End.Tx, &p.End.Subject, &p.End.Version, &p.Newest)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return p, fmt.Errorf("read the end of the log of events: %w", err)
	}
	p.Lag, err = l.Lag(ctx, p.At)
	return p, err
}

// Reached reports whether c is at a place or after it.
func (c Cursor) Reached(place Cursor) bool {
	return cmp.Or(cmp.Compare(c.Tx, place.Tx), cmp.Compare(c.Subject, place.Subject), cmp.Compare(c.Version, place.Version)) >= 0
}
