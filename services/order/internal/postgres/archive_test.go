package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres"
)

// archiveOrder is what `souk archive` leaves of an order.
const archiveOrder = `
WITH o AS (SELECT * FROM orders WHERE id = $1), lines AS (DELETE FROM order_lines WHERE order_id = $1),
    history AS (DELETE FROM order_history WHERE order_id = $1), gone AS (DELETE FROM orders WHERE id = $1)
INSERT INTO archived_orders (id, number, customer_id, archive, state, currency, total, refunded, refunds, lines)
SELECT id, number, customer_id, '2025-01', state, currency, total, 0, 0, 2 FROM o`

// TestAnArchivedOrder is said to be archived to those who saw it, and its number is never given again.
func TestAnArchivedOrder(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := paid(t, s)
	if _, err := pool.Exec(t.Context(), archiveOrder, o.ID); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		viewer domain.Viewer
		want   error
	}{
		"its buyer":        {domain.Viewer{Customer: o.CustomerID}, domain.ErrOrderArchived},
		"an operator":      {domain.Viewer{All: true}, domain.ErrOrderArchived},
		"another customer": {domain.Viewer{Customer: uuid.NewString()}, domain.ErrOrderNotFound},
		"nobody":           {domain.Viewer{}, domain.ErrOrderNotFound},
	} {
		_, err := s.Get(t.Context(), o.ID, c.viewer)
		if !errors.Is(err, c.want) || errors.Is(err, domain.ErrOrderArchived) != errors.Is(c.want, domain.ErrOrderArchived) {
			t.Errorf("%s gets %v", name, err)
		}
	}
	want := domain.Refund{ID: uuid.NewString(), OrderID: o.ID, IdempotencyKey: "k", RequestHash: []byte("h"), Reason: "late"}
	if _, _, err := s.PlaceRefund(t.Context(), want); !errors.Is(err, domain.ErrOrderArchived) {
		t.Errorf("a refund: %v", err)
	}
	if _, err := s.Load(t.Context(), o.ID, true); !errors.Is(err, domain.ErrOrderNotFound) {
		t.Errorf("a driver gets %v", err)
	}
	numbers := []string{o.Number, "S-NEXT-0000"}
	again, err := s.Place(t.Context(), newOrder(), time.Second, func() string {
		n := numbers[0]
		numbers = numbers[1:]
		return n
	})
	if err != nil || again.Number != "S-NEXT-0000" {
		t.Errorf("an order got the number %q: %v", again.Number, err)
	}
}

// TestOrdersArePlacedBeforeGrants: migrations are applied before what they made is granted, while
// processes of the version before place orders.
func TestOrdersArePlacedBeforeGrants(t *testing.T) {
	t.Parallel()
	db := pgtest.Service(t, postgres.Migrate)
	pool, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	runtime := pgx.Identifier{pool.Config().ConnConfig.User}.Sanitize()
	if _, err := db.Superuser(t).Exec(t.Context(), "REVOKE ALL ON archived_orders FROM "+runtime); err != nil {
		t.Fatal(err)
	}
	place(t, postgres.New(pool, postgres.Times{Deadline: time.Minute}), newOrder())
}
