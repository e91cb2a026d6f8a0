package postgres_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres"
)

// statements counts what is sent to the database.
type statements struct{ atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.Add(1)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestHistoriesAreReadAtOnce: a page of a customer's orders takes as many statements as one
// order does, and each has its own history.
func TestHistoriesAreReadAtOnce(t *testing.T) {
	t.Parallel()
	cfg, err := pgxpool.ParseConfig(pgtest.Service(t, postgres.Migrate).Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	var sent statements
	cfg.ConnConfig.Tracer = &sent
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := postgres.New(pool, postgres.Times{Deadline: 10 * time.Minute, AuthorizeWithin: 75 * time.Second, DriveDelay: 15 * time.Second})
	customer := uuid.NewString()
	events := []domain.Event{domain.StockReserved, domain.PaymentAuthorized, domain.StockConfirmed, domain.MoneyCaptured}
	for i := range 5 { // the newest is the furthest
		o := newOrder()
		o.CustomerID = customer
		path(t, s, place(t, s, o), events[:i]...)
	}
	read := func(limit int) (page []domain.Order, took int64) {
		before := sent.Load()
		page, _, err := s.OrdersOf(t.Context(), customer, app.Newest(), limit)
		if err != nil || len(page) != limit {
			t.Fatalf("%d of %d orders, %v", len(page), limit, err)
		}
		return page, sent.Load() - before
	}
	_, two := read(2)
	page, five := read(5)
	if five != two {
		t.Errorf("2 orders take %d statements, 5 take %d", two, five)
	}
	for i, o := range page {
		if len(o.History) != 5-i {
			t.Errorf("order %d has a history of %d", i, len(o.History))
		}
		for j, c := range o.History {
			if c.Version != int64(j)+1 {
				t.Errorf("order %d: change %d is of version %d", i, j, c.Version)
			}
		}
	}
	if page, more, err := s.OrdersOf(t.Context(), uuid.NewString(), app.Newest(), 5); len(page) != 0 || more || err != nil {
		t.Errorf("nobody's: %v, %v, %v", page, more, err)
	}
}
