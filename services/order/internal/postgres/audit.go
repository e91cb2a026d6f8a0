package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// orderRecord is what the audit log says of an order: nothing of who ordered, and to
// where.
type orderRecord struct {
	State domain.State `json:"state"`
}

// refundedRecord is what the audit log says of an order before a refund.
type refundedRecord struct {
	Total    int64  `json:"total"`    // in minor units
	Refunded int64  `json:"refunded"` // in minor units
	Currency string `json:"currency"`
}

// refundRecord is what it says of a refund.
type refundRecord struct {
	refundedRecord
	Refund  string           `json:"refund"`
	Amount  int64            `json:"amount"` // in minor units
	Lines   map[string]int64 `json:"lines"`  // units by SKU
	Restock bool             `json:"restock"`
	Reason  string           `json:"reason_digest,omitempty"` // audit.Commit of it
}

// sessionsRecord is what it says of a customer's sessions.
type sessionsRecord struct {
	Since time.Time `json:"since"` // those that began before have ended
}

// cancelRecorded is Cancel with an entry in the audit log.
func (s *Store) cancelRecorded(ctx context.Context, orderID string) (cancelled bool, err error) {
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		cancelled = false
		row, err := s.q.LockOrder(ctx, tx, orderID)
		if err != nil {
			return fmt.Errorf("lock order: %w", err)
		}
		if _, err := s.q.CancelOrder(ctx, tx, orderID); errors.Is(err, pgx.ErrNoRows) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cancel order: %w", err)
		}
		cancelled = true
		return audit.Append(ctx, tx, audit.Change{
			Object: "order " + orderID, Before: orderRecord{domain.State(row.State)}, After: orderRecord{domain.Cancelling},
		})
	})
	return cancelled && err == nil, err
}

// recordRefund appends to the audit log that a refund of an order was placed, for a reason
// with a digest.
func recordRefund(ctx context.Context, tx pgx.Tx, o domain.Order, r domain.Refund, reason string) error {
	before := refundedRecord{o.Total.Units, o.Refunded.Units, o.Total.Currency}
	after := refundRecord{
		refundedRecord: before, Refund: r.ID, Amount: r.Amount.Units, Lines: make(map[string]int64, len(r.Lines)), Restock: r.Restock, Reason: reason,
	}
	after.Refunded += r.Amount.Units
	for _, l := range r.Lines {
		after.Lines[l.SKU] += l.Quantity
	}
	return audit.Append(ctx, tx, audit.Change{Object: "order " + o.ID, Before: before, After: after})
}
