// Package consume has each event take effect once, in order. A broker delivers events at
// least once, and may lose them; a consumer notes in its own database, in the transaction of
// the effect, how far it is with each subject. What it knows it drops; where it sees a gap it
// asks the owner, whose log has everything.
package consume

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

var schema = pg.Schema{Table: "souk_consumed_schema", Migrations: migrations}

// page is how many events the owner is asked for at a time.
const page = 100

var (
	// Migrate brings the consumer's table to the schema of this version.
	Migrate = schema.Migrate
	// Migrated returns pg.ErrNotMigrated until the table is at the schema of this version.
	Migrated = schema.Migrated
)

// Owner answers from the log of a source.
type Owner interface {
	// ListEvents returns up to limit events of a subject after a version, in the order of
	// their versions and without gaps. Where the first is not the next version, the owner
	// does not keep those between.
	ListEvents(ctx context.Context, source, subject string, after int64, limit int) ([]events.Event, error)
}

// Dead is told of an event that is passed over, with the reason, in the transaction that
// notes it. An error undoes that, and the event's delivery fails.
type Dead func(ctx context.Context, tx pgx.Tx, e events.Event, reason error) error

// Effect is what an event does, in the transaction tx. It may run again when the transaction
// does, so it changes nothing else. An error undoes it; events.Poison says that no repeat helps.
type Effect func(ctx context.Context, tx pgx.Tx, e events.Event) error

// Consumer makes deliveries into effects.
type Consumer struct {
	// Name is the group's.
	Name string
	// DB is the consumer's own database.
	DB pg.Beginner
	// Owner fills gaps.
	Owner Owner
	// Effect is called once for each event of a subject, in order.
	Effect Effect
	// OnDead is called for each event that is passed over. May be nil: of an event that was
	// delivered the broker has a dead letter, of one that was not there is only Log.
	OnDead Dead
	// Log may be nil.
	Log *slog.Logger
}

// Handle is an events.Handler.
//
// It returns an error, for a repeat, when the owner cannot be asked. When the effect of the
// delivered event fails for good, by events.Poison or at the last delivery, its version is
// passed over and noted, so that those that follow are not held up by a dead letter; its
// replay takes effect out of order.
//
// An event that the broker lost, and the owner has, has no letter. Poison passes it over,
// too: OnDead and Log are told, the delivered event goes on, and the lost one takes effect
// if the broker delivers it after all, as it does once the stream is rebuilt. Any other
// failure of it is one of the delivery, the last one included: the letter's replay, or the
// next event of the subject, fills the gap again. Versions that the owner does not keep any
// more are passed over for good.
func (c *Consumer) Handle(ctx context.Context, d events.Delivery) error {
	missing, err := c.take(ctx, d.Event, d.Last)
	if err != nil || !missing {
		return err
	}
	for {
		at, err := c.position(ctx, d.Source, d.Subject)
		if err != nil || at >= d.Version {
			return err
		}
		before, err := c.Owner.ListEvents(ctx, d.Source, d.Subject, at, page)
		if err != nil {
			return fmt.Errorf("ask %s for events of %s after version %d: %w", d.Source, d.Subject, at, err)
		}
		if len(before) == 0 {
			return fmt.Errorf("%s is delivered, but %s has no version of it after %d", d.ID(), d.Source, at)
		}
		if err := c.forgo(ctx, d.Event, at, min(before[0].Version, d.Version)-1); err != nil {
			return err
		}
		for _, e := range before {
			if e.Version >= d.Version {
				_, err = c.take(ctx, d.Event, d.Last)
				return err
			}
			if missing, err = c.fill(ctx, e); err != nil {
				return fmt.Errorf("before %s, which is delivered: %s: %w", d.ID(), e.ID(), err)
			}
			if missing {
				break // another process went on meanwhile: look again
			}
		}
	}
}

// take is apply for an event that was delivered: a failure for good passes it over.
func (c *Consumer) take(ctx context.Context, e events.Event, last bool) (missing bool, err error) {
	missing, err = c.apply(ctx, e)
	if err == nil || !last && !events.IsPoison(err) {
		return missing, err
	}
	if noted := c.pass(ctx, e, err); noted != nil {
		return false, errors.Join(unmarked{err}, noted)
	}
	return false, err
}

// fill is apply for an event that was not delivered: poison passes it over, and is no
// failure of the event that was.
func (c *Consumer) fill(ctx context.Context, e events.Event) (missing bool, err error) {
	missing, err = c.apply(ctx, e)
	if !events.IsPoison(err) {
		return missing, err
	}
	if noted := c.pass(ctx, e, err); noted != nil {
		return false, errors.Join(unmarked{err}, noted)
	}
	if c.Log != nil {
		c.Log.ErrorContext(ctx, "an event that the broker did not deliver is passed over",
			"consumer", c.Name, "source", e.Source, "event", e.ID(), "type", e.Type, "error", err)
	}
	return false, nil
}

// pass passes an event over: its effect is undone, the note of it is not.
func (c *Consumer) pass(ctx context.Context, e events.Event, reason error) error {
	return c.inTx(ctx, e, func(ctx context.Context, tx pgx.Tx, at int64, skipped []int64) error {
		if e.Version != at+1 {
			return nil
		}
		if c.OnDead != nil {
			if err := c.OnDead(ctx, tx, e, reason); err != nil {
				return err
			}
		}
		return c.note(ctx, tx, e, e.Version, append(skipped, e.Version))
	})
}

// forgo passes over the versions after one up to another, which their owner does not have.
func (c *Consumer) forgo(ctx context.Context, e events.Event, after, upTo int64) error {
	if upTo == after {
		return nil
	}
	return c.inTx(ctx, e, func(ctx context.Context, tx pgx.Tx, at int64, skipped []int64) error {
		if at != after {
			return nil // another process went on meanwhile
		}
		return c.note(ctx, tx, e, upTo, skipped)
	})
}

// apply has one event take effect if it is the next or was passed over, drops it if it is
// known, or reports that those before it are missing.
func (c *Consumer) apply(ctx context.Context, e events.Event) (missing bool, err error) {
	err = c.inTx(ctx, e, func(ctx context.Context, tx pgx.Tx, at int64, skipped []int64) error {
		missing = e.Version > at+1
		if missing || e.Version <= at && !slices.Contains(skipped, e.Version) {
			return nil
		}
		if err := c.Effect(ctx, tx, e); err != nil {
			return err
		}
		return c.note(ctx, tx, e, max(at, e.Version), slices.DeleteFunc(skipped, func(v int64) bool { return v == e.Version }))
	})
	return missing, err
}

// unmarked hides that an error is poison: the event must come again until it is noted.
type unmarked struct{ error }

// inTx runs fn in a transaction that has locked the subject's row.
func (c *Consumer) inTx(ctx context.Context, e events.Event, fn func(ctx context.Context, tx pgx.Tx, at int64, skipped []int64) error) error {
	return pg.InTx(ctx, c.DB, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO souk_consumed (consumer, source, subject, version) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING",
			c.Name, e.Source, e.Subject); err != nil {
			return fmt.Errorf("note the subject: %w", err)
		}
		var at int64
		var skipped []int64
		if err := tx.QueryRow(ctx, "SELECT version, skipped FROM souk_consumed WHERE consumer = $1 AND source = $2 AND subject = $3 FOR UPDATE",
			c.Name, e.Source, e.Subject).Scan(&at, &skipped); err != nil {
			return fmt.Errorf("read the version: %w", err)
		}
		return fn(ctx, tx, at, skipped)
	})
}

func (c *Consumer) note(ctx context.Context, tx pgx.Tx, e events.Event, version int64, skipped []int64) error {
	if skipped == nil {
		skipped = []int64{}
	}
	_, err := tx.Exec(ctx, "UPDATE souk_consumed SET version = $4, skipped = $5 WHERE consumer = $1 AND source = $2 AND subject = $3",
		c.Name, e.Source, e.Subject, version, skipped)
	if err != nil {
		return fmt.Errorf("note the version: %w", err)
	}
	return nil
}

// position is the newest version of a subject that is done with.
func (c *Consumer) position(ctx context.Context, source, subject string) (at int64, err error) {
	e := events.Event{Source: source, Subject: subject}
	err = c.inTx(ctx, e, func(_ context.Context, _ pgx.Tx, version int64, _ []int64) error { at = version; return nil })
	return at, err
}
