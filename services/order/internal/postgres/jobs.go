package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres/db"
)

// InsertMissingJobs implements app.Orders.
func (s *Store) InsertMissingJobs(ctx context.Context) (int, error) {
	orders, err := s.q.SweepOrders(ctx, s.pool)
	if err != nil {
		return 0, fmt.Errorf("jobs of orders: %w", err)
	}
	refunds, err := s.q.SweepRefunds(ctx, s.pool)
	if err != nil {
		return int(orders), fmt.Errorf("jobs of refunds: %w", err)
	}
	return int(orders + refunds), nil
}

// Stalled implements app.Orders.
func (s *Store) Stalled(ctx context.Context, idle time.Duration, limit int) ([]app.Stalled, error) {
	orders, err := s.q.IdleOrders(ctx, s.pool, db.IdleOrdersParams{Idle: idle, MaxRows: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("look for stalled orders: %w", err)
	}
	refunds, err := s.q.IdleRefunds(ctx, s.pool, db.IdleRefundsParams{Idle: idle, MaxRows: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("look for stalled refunds: %w", err)
	}
	out := make([]app.Stalled, 0, len(orders)+len(refunds))
	for _, o := range orders {
		out = append(out, app.Stalled{ID: o.ID, TraceParent: o.Traceparent})
	}
	for _, r := range refunds {
		out = append(out, app.Stalled{ID: r.ID, Refund: true, TraceParent: r.Traceparent})
	}
	return out, nil
}

// Open returns what is open by state, for app.MeasureOpen.
func (s *Store) Open(ctx context.Context) (map[domain.State]app.Open, error) {
	rows, err := s.q.OpenOrdersByState(ctx, s.reads)
	if err != nil {
		return nil, fmt.Errorf("count open orders: %w", err)
	}
	out := map[domain.State]app.Open{}
	for _, r := range rows {
		out[domain.State(r.State)] = app.Open{Orders: r.Orders, Oldest: max(0, time.Duration(r.OldestMicroseconds)*time.Microsecond)}
	}
	return out, nil
}
