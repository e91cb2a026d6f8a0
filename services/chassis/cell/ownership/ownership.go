// Package ownership keeps in the database of a cell which buckets are there, and refuses writes
// of others, so that a bucket can go from one cell to another while the shop sells. Migrate makes
// a database a cell's; a Watcher has a process know what is there; package move takes a bucket
// from one cell to another. docs/cells.md says how these fit together.
package ownership

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

// versions is the table of applied migrations.
const versions = "souk_cell_version"

var schema = pg.Schema{Table: versions, Migrations: migrations}

// WrongDatabaseError is the start of a cell's process with a database that is not its cell's.
type WrongDatabaseError struct {
	// Cell is the process's, and Why what the database is.
	Cell, Why string
}

func (e *WrongDatabaseError) Error() string {
	return fmt.Sprintf("the database is not that of cell %s: %s", e.Cell, e.Why)
}

// Migrate makes a service's database the one of a cell, with its buckets at first; what has moved
// since stays as it is. It follows the service's own migrations. It fails with a
// *WrongDatabaseError for the database of another cell, and for one that has what is not of the
// cell's buckets. Replicas may run it at once.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger, name string, own cell.Set, plan Plan) error {
	if err := schema.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	return pg.Maintain(ctx, cfg, log, func(ctx context.Context, pool *pgxpool.Pool) error {
		return pg.InTx(ctx, pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			tables, err := present(ctx, tx, append(plan.Tables, chassis(plan.Jobs)...))
			if err != nil {
				return err
			}
			if err := begin(ctx, tx, name, own, plan, tables); err != nil {
				return err
			}
			return fence(ctx, tx, tables)
		})
	})
}

// present are those of tables that the database has.
func present(ctx context.Context, tx pgx.Tx, tables []Table) ([]Table, error) {
	var out []Table
	for _, t := range tables {
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", t.Name).Scan(&there); err != nil {
			return nil, err
		}
		if there {
			out = append(out, t)
		}
	}
	return out, nil
}

// begin writes down of which cell the database is, or compares.
func begin(ctx context.Context, tx pgx.Tx, name string, own cell.Set, plan Plan, tables []Table) error {
	var is string
	switch err := tx.QueryRow(ctx, "SELECT name FROM souk_cell").Scan(&is); {
	case err == nil && is != name:
		return &WrongDatabaseError{name, "it is that of cell " + is}
	case err == nil || !errors.Is(err, pgx.ErrNoRows):
		return err
	}
	var buckets []int32
	for b := range int32(cell.Buckets) {
		if own.Has(cell.Bucket(b)) {
			buckets = append(buckets, b)
		}
	}
	checks := []string{plan.Misfit}
	for _, t := range tables {
		if t.Units != "" && t.Name != "souk_answers" { // answers of callers from before are in any bucket, and gone after a day
			checks = append(checks, fmt.Sprintf("SELECT '%s ' || u || ' is in bucket ' || souk_bucket(u) FROM (%s) AS s (u) WHERE souk_bucket(u) <> ALL ($1::integer[]) LIMIT 1", t.Name, t.Units))
		}
	}
	for _, sql := range checks {
		if sql == "" {
			continue
		}
		var args []any
		if strings.Contains(sql, "$1") {
			args = []any{buckets}
		}
		var why string
		if err := tx.QueryRow(ctx, sql, args...).Scan(&why); err == nil {
			return &WrongDatabaseError{name, why}
		} else if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
	}
	_, err := tx.Exec(ctx, "INSERT INTO souk_cell (name) VALUES ($1)", name)
	if err == nil {
		_, err = tx.Exec(ctx, "INSERT INTO souk_cell_buckets (bucket, state) SELECT b, 'owned' FROM unnest($1::integer[]) AS b", buckets)
	}
	return err
}

// fence makes the triggers and notes the plan, where they are of another plan. Writers wait for
// it for a moment.
func fence(ctx context.Context, tx pgx.Tx, tables []Table) error {
	text, err := json.Marshal(tables)
	if err != nil {
		return err
	}
	var has string
	if err := tx.QueryRow(ctx, "SELECT plan FROM souk_cell").Scan(&has); err != nil || has == string(text) {
		return err
	}
	b := &pgx.Batch{}
	b.Queue("UPDATE souk_cell SET plan = $1", string(text))
	b.Queue("DELETE FROM souk_cell_tables")
	for i, t := range tables {
		one, err := json.Marshal(t)
		if err != nil {
			return err
		}
		b.Queue("INSERT INTO souk_cell_tables (position, plan) VALUES ($1, $2)", i, one)
		for n, f := range t.Fences {
			for _, sql := range f.statements(t.Name, n) {
				b.Queue(sql)
			}
		}
	}
	return tx.SendBatch(ctx, b).Close()
}

// statements make the trigger of a table's n-th fence.
func (f Fence) statements(table string, n int) []string {
	name := pgx.Identifier{fmt.Sprintf("souk_cell_fence_%s_%d", table, n)}.Sanitize()
	of := func(row string) string { return strings.ReplaceAll(f.Unit, "r.", row+".") }
	when := ""
	if f.When != "" {
		when = " WHEN (" + f.When + ")"
	}
	return []string{
		"CREATE OR REPLACE FUNCTION " + name + "() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN" +
			" IF TG_OP = 'DELETE' THEN PERFORM souk_cell_fence(" + of("OLD") + "); RETURN OLD; END IF;" +
			" PERFORM souk_cell_fence(" + of("NEW") + "); RETURN NEW; END $$",
		"CREATE OR REPLACE TRIGGER " + name + " BEFORE " + f.On + " ON " + pgx.Identifier{table}.Sanitize() +
			" FOR EACH ROW" + when + " EXECUTE FUNCTION " + name + "()",
	}
}

// Ready fails until the database is the cell's: with pg.ErrNotMigrated until Migrate has made it
// that, and with a *WrongDatabaseError for one of another cell.
func Ready(ctx context.Context, db pg.Queryer, name string) error {
	if err := schema.Migrated(ctx, db); err != nil {
		return err
	}
	var is string
	err := db.QueryRow(ctx, "SELECT name FROM souk_cell WHERE plan <> ''").Scan(&is)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return pg.ErrNotMigrated
	case err == nil && is != name:
		return &WrongDatabaseError{name, "it is that of cell " + is}
	}
	return err
}

// Owned are the buckets that are in the database now.
func Owned(ctx context.Context, pool *pgxpool.Pool) (own cell.Set, err error) {
	var buckets []int32
	err = pg.DB{Pool: pool}.QueryRow(ctx, "SELECT coalesce(array_agg(bucket), '{}') FROM souk_cell_buckets WHERE state <> 'away'").Scan(&buckets)
	if err != nil {
		return own, fmt.Errorf("read the cell's buckets: %w", err)
	}
	for _, b := range buckets {
		own.Add(cell.Bucket(b))
	}
	return own, nil
}

// Unnamed are the tables of a cell's database of which its plan does not say whether their rows move.
func Unnamed(ctx context.Context, db pg.Queryer) (names []string, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(array_agg(relname::text ORDER BY relname), '{}') FROM pg_class
		WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
		AND relname NOT IN (SELECT plan ->> 'name' FROM souk_cell_tables)`).Scan(&names)
	return names, err
}
