package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/insight/internal/app"
)

// Consumer is the name under which a generation notes the versions that it has.
func Consumer(generation int16) string { return "insight." + strconv.Itoa(int(generation)) }

const selectModel = "SELECT coalesce(serving, -1), coalesce(building, -1), building_since FROM model"

// Model implements app.Models.
func (s *Store) Model(ctx context.Context) (m app.Model, err error) {
	if err = s.reads.QueryRow(ctx, selectModel).Scan(&m.Serving, &m.Building, &m.BuildingSince); err != nil {
		err = fmt.Errorf("read which model answers: %w", err)
	}
	return m, err
}

// Progress implements app.Models.
func (s *Store) Progress(ctx context.Context) ([]app.Progress, error) {
	rows, err := s.reads.Query(ctx, "SELECT generation, source, nullif(complete_until, '-infinity'), events FROM progress ORDER BY generation, source")
	if err != nil {
		return nil, fmt.Errorf("read how far the model is: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p app.Progress, err error) {
		var complete *time.Time
		err = row.Scan(&p.Generation, &p.Source, &complete, &p.Events)
		if complete != nil {
			p.CompleteUntil = *complete
		}
		return p, err
	})
}

// Lease implements app.Models.
func (s *Store) Lease(ctx context.Context, generation int16, source string, reader uuid.UUID, d time.Duration) (cursor string, ok bool, err error) {
	err = s.db.QueryRow(ctx, `
		INSERT INTO progress AS p (generation, source, reader, lease_until) VALUES ($1, $2, $3, now() + $4::bigint * interval '1 microsecond')
		ON CONFLICT (generation, source) DO UPDATE SET reader = excluded.reader, lease_until = excluded.lease_until
		WHERE p.reader = excluded.reader OR p.lease_until < now()
		RETURNING cursor`, generation, source, reader, d.Microseconds()).Scan(&cursor)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read how far the model is: %w", err)
	}
	return cursor, true, nil
}

// Advance implements app.Models.
func (s *Store) Advance(ctx context.Context, generation int16, source string, reader uuid.UUID, d time.Duration, read app.Read) (bool, error) {
	var complete *time.Time
	if !read.CompleteUntil.IsZero() {
		complete = &read.CompleteUntil
	}
	tag, err := s.db.Exec(ctx, `
		UPDATE progress SET cursor = $4, events = events + $5, complete_until = greatest(complete_until, $6),
			lease_until = now() + $7::bigint * interval '1 microsecond'
		WHERE generation = $1 AND source = $2 AND reader = $3 AND cursor = $8`,
		generation, source, reader, read.Cursor, read.Events, complete, d.Microseconds(), read.From)
	if err != nil {
		return false, fmt.Errorf("note how far the model is: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Switch implements app.Models.
func (s *Store) Switch(ctx context.Context, sources []string) (bool, error) {
	tag, err := s.db.Exec(ctx, `
		UPDATE model m SET serving = m.building, serving_since = now(), building = NULL
		WHERE m.building IS NOT NULL AND NOT EXISTS (
			SELECT FROM unnest($1::text[]) AS s (source)
			LEFT JOIN progress b ON b.generation = m.building AND b.source = s.source
			LEFT JOIN progress a ON a.generation = m.serving AND a.source = s.source
			WHERE coalesce(b.complete_until, '-infinity') = '-infinity' OR b.complete_until < a.complete_until)`, sources)
	if err != nil {
		return false, fmt.Errorf("have the model that was made answer: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Begin implements app.Models. That an operator asked is in the audit log, also where a model
// was being made already.
func (s *Store) Begin(ctx context.Context) (since time.Time, err error) {
	if err := s.Clear(ctx, 0); err != nil {
		return time.Time{}, err
	}
	err = pg.InTx(ctx, s.db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		var before, after building
		if err := tx.QueryRow(ctx, "SELECT building FROM model FOR UPDATE").Scan(&before.Building); err != nil {
			return err
		}
		// While nothing answers, a model is being made.
		err := tx.QueryRow(ctx, `
			UPDATE model SET building = coalesce(building, 1 - serving), building_since = CASE WHEN building IS NULL THEN now() ELSE building_since END
			RETURNING building, building_since`).Scan(&after.Building, &since)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Change{Object: "model", Before: before, After: after})
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("begin a model: %w", err)
	}
	return since, nil
}

// building is what an entry of the audit log has: the generation that is being made, or none.
type building struct {
	Building *int16 `json:"building"`
}

// Clear implements app.Models.
func (s *Store) Clear(ctx context.Context, after time.Duration) error {
	for {
		more := false
		err := pg.InTx(ctx, s.db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			more = false
			var idle int16
			// The lock keeps Begin and Switch off what is being emptied.
			err := tx.QueryRow(ctx, `
				SELECT 1 - serving FROM model
				WHERE building IS NULL AND serving_since <= now() - $1::bigint * interval '1 microsecond' FOR UPDATE`, after.Microseconds()).Scan(&idle)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			var begun bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM progress WHERE generation = $1)", idle).Scan(&begun); err != nil || !begun {
				return err
			}
			n, err := consume.Forget(ctx, tx, Consumer(idle), forgetBatch)
			if more = n == forgetBatch; err != nil || more {
				return err
			}
			if _, err := tx.Exec(ctx, "SELECT empty_model($1)", idle); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "DELETE FROM progress WHERE generation = $1", idle)
			return err
		})
		if err != nil {
			return fmt.Errorf("empty the model that does not answer: %w", err)
		}
		if !more {
			return nil
		}
	}
}

// forgetBatch is how many noted versions one transaction deletes.
const forgetBatch = 20_000
