package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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

// caughtUp is whether the model m that is being made is as far with each source as the one that
// answers.
const caughtUp = `m.building IS NOT NULL AND NOT EXISTS (
			SELECT FROM unnest($1::text[]) AS s (source)
			LEFT JOIN progress b ON b.generation = m.building AND b.source = s.source
			LEFT JOIN progress a ON a.generation = m.serving AND a.source = s.source
			WHERE coalesce(b.complete_until, '-infinity') = '-infinity' OR b.complete_until < a.complete_until)`

// Switch implements app.Models. What is archived is taken over before: an order of which not all
// events were in the logs when they were read is among the archived ones by then.
func (s *Store) Switch(ctx context.Context, sources []string) (bool, error) {
	var serving, building int16
	err := s.db.QueryRow(ctx, `SELECT coalesce(m.serving, -1), m.building FROM model m WHERE `+caughtUp, sources).Scan(&serving, &building)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err == nil && serving >= 0 {
		err = s.takeOver(ctx, serving, building)
	}
	if err != nil {
		return false, fmt.Errorf("have the model that was made answer: %w", err)
	}
	tag, err := s.db.Exec(ctx, `
		UPDATE model m SET serving = m.building, serving_since = now(), building = NULL
		WHERE m.building = $2 AND `+caughtUp, sources, building)
	if err != nil {
		return false, fmt.Errorf("have the model that was made answer: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// archivedBatch is how many archived orders one transaction takes over.
const archivedBatch = 1000

// archivedTable is a table with rows of archived orders.
type archivedTable struct {
	name, order string // and its column of the order
	key, rest   []string
}

// archivedTables by the kind of events that they are made of.
var archivedTables = map[string][]archivedTable{
	"order": {
		{"orders", "id", []string{"id"}, []string{
			"number", "customer_id", "country", "state", "cancel_reason", "currency", "total", "refunded", "version", "placed_at",
			"reserved_at", "authorized_at", "confirmed_at", "paid_at", "given_up_at", "cancelled_at",
		}},
		{"order_lines", "order_id", []string{"order_id", "sku"}, []string{"name", "quantity", "unit_price", "total", "refunded_quantity"}},
		{"refunds", "order_id", []string{"id"}, []string{"order_id", "state", "currency", "amount", "restock", "failure_code", "requested_at", "settled_at"}},
		{"refund_lines", "order_id", []string{"refund_id", "sku"}, []string{"order_id", "quantity"}},
	},
	"payment": {
		{"payments", "order_id", []string{"order_id"}, []string{"state", "currency", "captured", "captures", "refunded", "refunds", "changed_at"}},
	},
}

// takeOver is SQL: the rows of the orders $3 in generation $1 are those in generation $2, too.
func (t archivedTable) takeOver() string {
	set := make([]string, len(t.rest))
	for i, column := range t.rest {
		set[i] = column + " = excluded." + column
	}
	key := strings.Join(t.key, ", ")
	columns := key + ", " + strings.Join(t.rest, ", ")
	return fmt.Sprintf(`INSERT INTO %[1]s (generation, %[2]s) SELECT $2, %[2]s FROM %[1]s WHERE generation = $1 AND %[3]s = ANY ($3::uuid[])
		ON CONFLICT (generation, %[4]s) DO UPDATE SET %[5]s`, t.name, columns, t.order, key, strings.Join(set, ", "))
}

// takeOver copies archived orders from the generation that answers to one that has read fewer of
// their events, or none: what it had not read when they were archived is in no log. The versions
// that are noted go with them.
func (s *Store) takeOver(ctx context.Context, from, to int16) error {
	for _, kind := range slices.Sorted(maps.Keys(archivedTables)) {
		for after := uuid.Nil; ; {
			var ids []uuid.UUID
			// Of one moment: versions that are noted are those of the rows.
			err := pg.InTx(ctx, s.db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(ctx context.Context, tx pgx.Tx) (err error) {
				ids, err = takeOverBatch(ctx, tx, kind, from, to, after)
				return err
			})
			if err != nil {
				return fmt.Errorf("take over archived orders: %w", err)
			}
			if len(ids) == 0 {
				break
			}
			after = ids[len(ids)-1]
		}
	}
	return nil
}

// takeOverBatch takes over the orders after one, and returns those that it looked at.
func takeOverBatch(ctx context.Context, tx pgx.Tx, kind string, from, to int16, after uuid.UUID) (ids []uuid.UUID, err error) {
	rows, err := tx.Query(ctx, "SELECT order_id FROM archived_orders WHERE order_id > $1 ORDER BY order_id LIMIT $2", after, archivedBatch)
	if err != nil {
		return nil, err
	}
	if ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil || len(ids) == 0 {
		return nil, err
	}
	rows, err = tx.Query(ctx, `
		INSERT INTO souk_consumed AS b (consumer, source, subject, version, skipped)
		SELECT $2, c.source, c.subject, c.version, c.skipped
		FROM unnest($4::uuid[]) AS o (id) JOIN souk_consumed c ON c.consumer = $1 AND c.source = $3 AND c.subject = $3 || '.' || o.id
		ON CONFLICT (consumer, source, subject) DO UPDATE SET version = excluded.version, skipped = excluded.skipped WHERE b.version < excluded.version
		RETURNING split_part(subject, '.', 2)::uuid`, Consumer(from), Consumer(to), kind, ids)
	if err != nil {
		return nil, err
	}
	behind, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil || len(behind) == 0 {
		return ids, err
	}
	for _, t := range archivedTables[kind] {
		if _, err := tx.Exec(ctx, t.takeOver(), from, to, behind); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return ids, nil
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
