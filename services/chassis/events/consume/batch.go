package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
)

// BatchEffect is what events do together, in the transaction tx; those of one subject are in
// the order of their versions. The rest is as for Effect.
type BatchEffect func(ctx context.Context, tx pgx.Tx, es []events.Event) error

// Batch is a Consumer that has many events take effect in one transaction.
type Batch struct {
	// Name is the group's.
	Name string
	// DB is the consumer's own database.
	DB pg.Beginner
	// Owner fills gaps.
	Owner Owner
	// Effect is called with the events of several subjects.
	Effect BatchEffect
	// Log is Consumer's.
	Log *slog.Logger

	// repeats is whether the batch before was known: so is the next, then, as while a stream
	// that was made anew is delivered.
	repeats atomic.Bool
}

// Apply has deliveries take effect, and returns the error of each. What follows on what is
// known takes effect together; what does not (a gap, a replay of a dead letter) does as by
// Consumer.Handle. An event whose effect fails is separated from the others, which take
// effect without it, and what is too much for one transaction is divided; a database that is
// away fails all.
func (b *Batch) Apply(ctx context.Context, ds []events.Delivery) []error {
	errs := make([]error, len(ds))
	places := make([]int, len(ds))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(i, j int) int {
		x, y := &ds[i], &ds[j]
		return cmp.Or(cmp.Compare(x.Source, y.Source), cmp.Compare(x.Subject, y.Subject), cmp.Compare(x.Version, y.Version))
	})
	b.apply(ctx, ds, places, errs)
	return errs
}

func (b *Batch) apply(ctx context.Context, ds []events.Delivery, places []int, errs []error) {
	if len(places) == 0 {
		return
	}
	alone, err := b.together(ctx, ds, places)
	if errors.Is(err, errLost) { // its row is there now
		alone, err = b.together(ctx, ds, places)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil || pgerr.IsUnavailable(err) && (len(places) == 1 || !pgerr.IsStatementTimeout(err)): // fewer may be in time
		for _, i := range places {
			errs[i] = err
		}
		return
	case len(places) == 1:
		alone = places
	default:
		half := len(places) / 2
		b.apply(ctx, ds, places[:half], errs)
		b.apply(ctx, ds, places[half:], errs)
		return
	}
	one := Consumer{Name: b.Name, DB: b.DB, Owner: b.Owner, Log: b.Log, Effect: func(ctx context.Context, tx pgx.Tx, e events.Event) error {
		return b.effect(ctx, tx, []events.Event{e})
	}}
	for _, i := range alone {
		errs[i] = one.Handle(ctx, ds[i])
	}
}

// together has the events that follow on what is known take effect, drops what is known,
// and returns the places of the others.
func (b *Batch) together(ctx context.Context, ds []events.Delivery, places []int) (others []int, err error) {
	err = pg.InTx(ctx, b.DB, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		others = nil
		if b.repeats.Load() {
			known, err := b.positions(ctx, tx, ds, places, "")
			if err != nil || !known.lack(ds, places) {
				return err // what is read alone leaves nothing to sync at the end
			}
		}
		known, err := b.positions(ctx, tx, ds, places, "FOR NO KEY UPDATE")
		if err != nil {
			return err
		}
		b.repeats.Store(!known.lack(ds, places))
		var next []events.Event
		var moved, begun moves
		for n, i := range places {
			e := &ds[i].Event
			at := known[key{e.Source, e.Subject}]
			switch {
			case e.Version == at.now+1:
				at.now = e.Version
				next = append(next, *e)
			case e.Version > at.now, slices.Contains(at.skipped, e.Version):
				others = append(others, i)
			}
			more := n+1 < len(places) && ds[places[n+1]].Subject == e.Subject && ds[places[n+1]].Source == e.Source
			switch {
			case more || at.now == at.was:
			case at.known:
				moved.add(e, at.now)
			default:
				begun.add(e, at.now)
			}
		}
		if len(next) == 0 {
			return nil
		}
		// First, so that a process that does the same meanwhile waits here, and loses.
		if err := b.note(ctx, tx, &moved, &begun); err != nil {
			return err
		}
		return b.effect(ctx, tx, next)
	})
	return others, err
}

// effect is Effect, with a panic as an error: it is of one event, and not of all that are taken
// with it.
func (b *Batch) effect(ctx context.Context, tx pgx.Tx, es []events.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return b.Effect(ctx, tx, es)
}

type key struct{ source, subject string }

// position is how far a subject is: before the batch, and with it.
type position struct {
	known    bool
	was, now int64
	skipped  []int64
}

// positions are how far subjects are.
type positions map[key]*position

// lack reports whether one of the deliveries is not known, or was passed over.
func (known positions) lack(ds []events.Delivery, places []int) bool {
	return slices.ContainsFunc(places, func(i int) bool {
		at := known[key{ds[i].Source, ds[i].Subject}]
		return ds[i].Version > at.was || slices.Contains(at.skipped, ds[i].Version)
	})
}

// positions returns how far each subject is. how locks those that are known, in one order.
func (b *Batch) positions(ctx context.Context, tx pgx.Tx, ds []events.Delivery, places []int, how string) (positions, error) {
	found := make(positions, len(places))
	var m moves
	for _, i := range places {
		k := key{ds[i].Source, ds[i].Subject}
		if found[k] == nil {
			found[k] = &position{}
			m.sources, m.subjects = append(m.sources, k.source), append(m.subjects, k.subject)
		}
	}
	return found, b.read(ctx, tx, &m, found, how)
}

// read reads how far subjects are, in the order of their keys.
func (b *Batch) read(ctx context.Context, tx pgx.Tx, of *moves, into positions, how string) error {
	// One look-up in the index for each key, whatever the planner knows of the table: without
	// statistics, as in the first minutes, it reads all subjects of the consumer for a join.
	rows, err := tx.Query(ctx, `
		SELECT c.source, c.subject, c.version, c.skipped
		FROM (SELECT source, subject FROM unnest($2::text[], $3::text[]) AS k (source, subject) ORDER BY source COLLATE "C", subject COLLATE "C") AS k
		CROSS JOIN LATERAL (
			SELECT source, subject, version, skipped FROM souk_consumed
			WHERE consumer = $1 AND source = k.source AND subject = k.subject OFFSET 0 `+how+`) AS c`, b.Name, of.sources, of.subjects)
	if err != nil {
		return fmt.Errorf("read the versions: %w", err)
	}
	var k key
	var version int64
	var skipped []int64
	_, err = pgx.ForEachRow(rows, []any{&k.source, &k.subject, &version, &skipped}, func() error {
		*into[k] = position{known: true, was: version, now: version, skipped: slices.Clone(skipped)}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the versions: %w", err)
	}
	return nil
}

// moves are subjects that go on, in columns.
type moves struct {
	sources, subjects []string
	now               []int64
}

func (m *moves) add(e *events.Event, version int64) {
	m.sources, m.subjects, m.now = append(m.sources, e.Source), append(m.subjects, e.Subject), append(m.now, version)
}

// errLost is a subject whose first events another process has taken meanwhile.
var errLost = errors.New("another process has taken events of the subject")

// note writes how far the subjects are, in one round trip: of those that are known, which are
// locked, and of new ones. It writes by key, whatever the planner knows of the table.
func (b *Batch) note(ctx context.Context, tx pgx.Tx, known, fresh *moves) error {
	made, both := int64(0), &pgx.Batch{}
	b.write(both, fresh, "DO NOTHING", func(n int64) { made = n })
	b.write(both, known, "DO UPDATE SET version = EXCLUDED.version", func(int64) {})
	if err := tx.SendBatch(ctx, both).Close(); err != nil {
		return fmt.Errorf("note the versions: %w", err)
	}
	if made != int64(len(fresh.subjects)) {
		return errLost
	}
	return nil
}

// write queues what writes how far subjects are. written is told how many rows that were.
func (b *Batch) write(to *pgx.Batch, m *moves, onConflict string, written func(int64)) {
	if len(m.subjects) == 0 {
		return
	}
	to.Queue(`
		INSERT INTO souk_consumed (consumer, source, subject, version)
		SELECT $1, m.source, m.subject, m.now FROM unnest($2::text[], $3::text[], $4::bigint[]) AS m (source, subject, now)
		ON CONFLICT (consumer, source, subject) `+onConflict, b.Name, m.sources, m.subjects, m.now).
		Exec(func(tag pgconn.CommandTag) error { written(tag.RowsAffected()); return nil })
}

// Forget deletes up to limit of the versions that a consumer has noted, and returns how many
// there were: what it made of the events is gone, or goes in the same transaction.
func Forget(ctx context.Context, tx pgx.Tx, name string, limit int) (int, error) {
	tag, err := tx.Exec(ctx, `
		DELETE FROM souk_consumed WHERE consumer = $1 AND (source, subject) IN (
			SELECT source, subject FROM souk_consumed WHERE consumer = $1 LIMIT $2)`, name, limit)
	if err != nil {
		return 0, fmt.Errorf("forget what %s has consumed: %w", name, err)
	}
	return int(tag.RowsAffected()), nil
}
