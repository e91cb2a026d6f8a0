package postgres_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/move"
	"github.com/souk-shop/souk/services/chassis/cell/ownership"
	"github.com/souk-shop/souk/services/chassis/cell/ownership/ownershiptest"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/order/internal/postgres"
)

// The plan of what moves with a bucket names each table of the database.
func TestWhatMovesWithABucket(t *testing.T) {
	t.Parallel()
	ownershiptest.Complete(t, postgres.Migrate, postgres.Cells)
}

// An order moves with all that it has, and what is left of an archived one with the cell's name before
// its archive's; back home that is as it was. What stays does not move.
func TestOrdersMove(t *testing.T) {
	t.Parallel()
	pools, databases := ownershiptest.Cells(t, postgres.Migrate, postgres.Cells)
	o := newOrder()
	o.CustomerID, o.ID = cell.In(uuid.New(), 7).String(), cell.In(uuid.Must(uuid.NewV7()), 7).String()
	place(t, postgres.New(pools["c1"], postgres.Times{}), o)
	archived := cell.In(uuid.New(), 7).String()
	if _, err := pools["c1"].Exec(t.Context(), "INSERT INTO archived_orders VALUES ($1, 'S-1', $2, '2026-01', 'paid', 'GBP', 100, 0, 0, 1)", archived, o.CustomerID); err != nil {
		t.Fatal(err)
	}
	if _, err := pools["c1"].Exec(t.Context(), "INSERT INTO declines VALUES (decode(repeat('00', 16), 'hex'), 1, '1 day', now())"); err != nil {
		t.Fatal(err)
	}
	dump := func(in string) string {
		t.Helper()
		var text string
		err := pools[in].QueryRow(t.Context(), `SELECT concat_ws(' ', (SELECT count(*) FROM orders), (SELECT count(*) FROM order_lines), (SELECT count(*) FROM order_history),
			(SELECT count(*) FROM souk_events), (SELECT string_agg(kind || ' ' || state, ',') FROM river_job), (SELECT string_agg(archive, ',') FROM archived_orders), (SELECT count(*) FROM declines))`).Scan(&text)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	lines := len(o.Lines)
	m, err := move.Open(t.Context(), move.Config{Services: []move.Service{{Name: "order", Databases: databases}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	for _, step := range []struct{ to, there, left string }{
		{"c2", fmt.Sprintf("1 %d 1 1 drive_order available c1/2026-01 0", lines), "0 0 0 0 1"},
		{"c1", fmt.Sprintf("1 %d 1 1 drive_order available 2026-01 1", lines), "0 0 0 0 0"},
	} {
		if _, err := m.Move(t.Context(), 7, step.to); err != nil {
			t.Fatal(err)
		}
		other := map[string]string{"c1": "c2", "c2": "c1"}[step.to]
		if there, left := dump(step.to), dump(other); there != step.there || left != step.left {
			t.Errorf("moved to %s: %q there and %q left, want %q and %q", step.to, there, left, step.there, step.left)
		}
		got, err := postgres.New(pools[step.to], postgres.Times{}).Load(t.Context(), o.ID, true)
		if err != nil || len(got.Lines) != lines || got.Total != o.Total {
			t.Errorf("in %s: %+v, %v", step.to, got, err)
		}
	}
}

// A database with orders from before ids led to cells, or of buckets that the cell does not have, is
// no cell's, and neither is that of another cell.
func TestDatabasesThatAreNoCells(t *testing.T) {
	t.Parallel()
	half := cell.Split(2)
	for name, c := range map[string]struct {
		customer, order cell.Bucket
		want            string
	}{
		"its own order":                  {7, 7, ""},
		"an order of before":             {7, 8, "cannot be cut"},
		"a bucket that the cell has not": {900, 900, "in bucket 900"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Service(t, postgres.Migrate)
			s := postgres.New(db.Superuser(t), postgres.Times{})
			o := newOrder()
			o.CustomerID, o.ID = cell.In(uuid.New(), c.customer).String(), cell.In(uuid.Must(uuid.NewV7()), c.order).String()
			place(t, s, o)
			migrate := func(name string) error {
				return ownership.Migrate(t.Context(), db.Config, slog.New(slog.DiscardHandler), name, half[0], postgres.Cells)
			}
			err := migrate("c1")
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := migrate("c1"); err != nil {
				t.Errorf("again: %v", err)
			}
			if err := migrate("c2"); err == nil || !strings.Contains(err.Error(), "it is that of cell c1") {
				t.Errorf("another cell's: %v", err)
			}
		})
	}
}
