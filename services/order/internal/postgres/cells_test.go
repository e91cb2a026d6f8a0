package postgres_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/cell"
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
