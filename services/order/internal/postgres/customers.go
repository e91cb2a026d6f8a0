package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres/db"
)

const (
	// maxOpenOrders is how many orders an erasure names that is refused.
	maxOpenOrders = 50
	// eraseDelay is the time that the call has in which the erasure was asked for; after it
	// the job looks.
	eraseDelay = 30 * time.Second
)

// customerRecord is what the audit log says of an export or an erasure: how many orders
// were concerned. Who the customer is, it does not know.
type customerRecord struct {
	Orders int64 `json:"orders"`
}

// FindCustomers implements app.Customers.
func (s *Store) FindCustomers(ctx context.Context, email string) ([]domain.FoundCustomer, error) {
	rows, err := s.q.FindCustomers(ctx, s.views, email)
	if err != nil {
		return nil, fmt.Errorf("find customers: %w", err)
	}
	found := make([]domain.FoundCustomer, len(rows))
	for i, r := range rows {
		found[i] = domain.FoundCustomer{ID: r.CustomerID, Orders: r.Orders, LastPlacedAt: r.LastPlacedAt}
	}
	return found, nil
}

// CustomerRecord implements app.Customers.
func (s *Store) CustomerRecord(ctx context.Context, customerID string, guestKey []byte) (domain.CustomerRecord, error) {
	row, err := s.q.CustomerRecord(ctx, s.pool, db.CustomerRecordParams{CustomerID: customerID, GuestKey: guestKey})
	if err != nil {
		return domain.CustomerRecord{}, fmt.Errorf("read customer: %w", err)
	}
	return domain.CustomerRecord{
		Known: row.Known, SessionsSince: orZero(row.SessionsSince), Declined: row.Declined,
		Erasure: domain.Erasure{RequestedAt: orZero(row.RequestedAt), FinishedAt: orZero(row.FinishedAt)},
	}, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// OrdersOf implements app.Customers.
func (s *Store) OrdersOf(ctx context.Context, customerID string, after app.Position, limit int) (page []domain.Order, more bool, err error) {
	page, more, err = s.List(ctx, domain.Viewer{Customer: customerID}, app.Filter{}, after, limit)
	if err != nil {
		return nil, false, err
	}
	ids, places := make([]string, len(page)), map[string]int{}
	for i := range page {
		ids[i], places[page[i].ID] = page[i].ID, i
	}
	history, err := s.q.History(ctx, s.views, ids)
	if err != nil {
		return nil, false, fmt.Errorf("read history: %w", err)
	}
	for _, h := range history {
		o := &page[places[h.OrderID]]
		o.History = append(o.History, domain.Change{State: domain.State(h.State), Version: h.Version, At: h.At})
	}
	return page, more, nil
}

// NoteExport implements app.Customers.
func (s *Store) NoteExport(ctx context.Context, customerID string) error {
	return pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		var held customerRecord
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM orders WHERE customer_id = $1", customerID).Scan(&held.Orders); err != nil {
			return fmt.Errorf("count orders of customer: %w", err)
		}
		return audit.Append(ctx, tx, audit.Change{Object: "customer " + customerID, After: held})
	})
}

// BeginErasure implements app.Customers.
func (s *Store) BeginErasure(ctx context.Context, customerID string) (domain.Erasure, error) {
	var begun domain.Erasure
	err := pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		open, err := s.q.OpenOrders(ctx, tx, db.OpenOrdersParams{CustomerID: customerID, MaxRows: maxOpenOrders})
		if err != nil {
			return fmt.Errorf("look for open orders: %w", err)
		}
		if len(open) > 0 {
			return &domain.OpenOrdersError{Numbers: open}
		}
		row, err := s.q.BeginErasure(ctx, tx, db.BeginErasureParams{CustomerID: customerID, Delay: eraseDelay})
		if err != nil {
			return fmt.Errorf("begin erasure: %w", err)
		}
		begun = domain.Erasure{RequestedAt: row.RequestedAt}
		return audit.Append(ctx, tx, audit.Change{Object: "customer " + customerID, Before: customerRecord{row.Orders}, After: customerRecord{}})
	})
	return begun, err
}

// Erasable implements app.Customers.
func (s *Store) Erasable(ctx context.Context, customerID, after string, limit int) ([]string, error) {
	if after == "" {
		after = uuid.Nil.String()
	}
	ids, err := s.q.ErasableOrders(ctx, s.pool, db.ErasableOrdersParams{CustomerID: customerID, AfterID: after, MaxRows: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("look for orders to erase: %w", err)
	}
	return ids, nil
}

// OldOrders implements app.Customers.
func (s *Store) OldOrders(ctx context.Context, cancelled bool, age time.Duration, after app.Position, limit int) ([]app.Position, error) {
	if after.ID == "" {
		after.ID = uuid.Nil.String()
	}
	p := db.OldCancelledOrdersParams{Age: age, AfterAt: after.PlacedAt, AfterID: after.ID, MaxRows: int32(limit)}
	var old []app.Position
	var err error
	if cancelled {
		var rows []db.OldCancelledOrdersRow
		rows, err = s.q.OldCancelledOrders(ctx, s.pool, p)
		for _, r := range rows {
			old = append(old, app.Position{PlacedAt: r.PlacedAt, ID: r.ID})
		}
	} else {
		var rows []db.OldPaidOrdersRow
		rows, err = s.q.OldPaidOrders(ctx, s.pool, db.OldPaidOrdersParams(p))
		for _, r := range rows {
			old = append(old, app.Position{PlacedAt: r.PlacedAt, ID: r.ID})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look for old orders: %w", err)
	}
	return old, nil
}

// EraseOrders implements app.Customers.
func (s *Store) EraseOrders(ctx context.Context, orderIDs []string) (int, error) {
	n, err := s.q.EraseOrders(ctx, s.pool, orderIDs)
	if err != nil {
		return 0, fmt.Errorf("erase orders: %w", err)
	}
	return int(n), nil
}

// FinishErasure implements app.Customers.
func (s *Store) FinishErasure(ctx context.Context, customerID string, guestKey []byte) (bool, error) {
	if err := answers.Erase(ctx, s.pool, customerID); err != nil {
		return false, err
	}
	n, err := s.q.FinishErasure(ctx, s.pool, db.FinishErasureParams{CustomerID: customerID, GuestKey: guestKey})
	if err != nil {
		return false, fmt.Errorf("finish erasure: %w", err)
	}
	return n > 0, nil
}
