// Package ownershiptest tests what services say of their databases in cells.
package ownershiptest

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/ownership"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// Cell makes a service's fresh database the one of a cell.
func Cell(t testing.TB, migrate func(context.Context, pg.Config, *slog.Logger) error, name string, own cell.Set, plan ownership.Plan) pgtest.Database {
	t.Helper()
	db := pgtest.Service(t, migrate)
	if err := ownership.Migrate(t.Context(), db.Config, slog.New(slog.DiscardHandler), name, own, plan); err != nil {
		t.Fatal(err)
	}
	return db
}

// Cells makes two databases of a service those of cells c1 and c2, and returns their pools, of a
// superuser, and their owners' connection strings.
func Cells(t testing.TB, migrate func(context.Context, pg.Config, *slog.Logger) error, plan ownership.Plan) (pools map[string]*pgxpool.Pool, databases map[string]string) {
	t.Helper()
	pools, databases = map[string]*pgxpool.Pool{}, map[string]string{}
	for i, own := range cell.Split(2) {
		name := []string{"c1", "c2"}[i]
		db := Cell(t, migrate, name, own, plan)
		pools[name], databases[name] = db.Superuser(t), db.DSN
	}
	return pools, databases
}

// Complete fails for a table of a service's database of which the plan does not say whether its rows move,
// for conditions that PostgreSQL does not understand, and for foreign keys to rows that stay.
func Complete(t *testing.T, migrate func(context.Context, pg.Config, *slog.Logger) error, plan ownership.Plan) {
	t.Helper()
	ctx := t.Context()
	db := Cell(t, migrate, "c1", cell.All(), plan).Superuser(t)
	texts := func(sql string, args ...any) []string {
		t.Helper()
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			t.Fatalf("%v: %s", err, sql)
		}
		out, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%v: %s", err, sql)
		}
		return out
	}
	unnamed, err := ownership.Unnamed(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range unnamed {
		t.Errorf("table %s: the plan of what moves with a bucket does not say whether its rows do", name)
	}
	for _, key := range texts(`SELECT c.conrelid::regclass || ' to ' || c.confrelid::regclass FROM pg_constraint c
		JOIN souk_cell_tables a ON to_regclass(a.plan ->> 'name') = c.conrelid JOIN souk_cell_tables b ON to_regclass(b.plan ->> 'name') = c.confrelid
		WHERE c.contype = 'f' AND (a.plan ? 'stays' <> (b.plan ? 'stays') OR a.position < b.position)`) {
		t.Errorf("foreign key %s: one table's rows move and the other's do not, or before them", key)
	}
	unit := "'{" + cell.In([16]byte{6: 0x40, 8: 0x80}, 7).String() + "}'::uuid[]"
	for _, condition := range texts(`SELECT (plan ->> 'name') || ' AS t WHERE ' || (plan ->> 'rows') FROM souk_cell_tables WHERE NOT plan ? 'stays'`) {
		texts("EXPLAIN SELECT FROM " + strings.NewReplacer("$units", unit, "$bucket", "7").Replace(condition))
	}
	for _, units := range texts(`SELECT plan ->> 'units' FROM souk_cell_tables WHERE plan ? 'units'`) {
		texts("EXPLAIN SELECT souk_bucket(u) FROM (" + units + ") AS s (u)")
	}
	if plan.Misfit != "" {
		texts(plan.Misfit)
	}
}
