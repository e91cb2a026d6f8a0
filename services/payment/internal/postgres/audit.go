package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres/db"
)

// paymentRecord is what the audit log says of a payment or a refund.
type paymentRecord struct {
	State    string `json:"state"`
	Provider string `json:"provider_id,omitempty"` // the provider's id of it
	Why      string `json:"why_digest,omitempty"`  // audit.Commit of the reason
}

// windowRecord is what it says of a reconciliation.
type windowRecord struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// recorded makes a write. Where an operator acts, the write and its entry in the audit
// log are one transaction; a write that its guard held back has none.
func (s *Store) recorded(ctx context.Context, write func(context.Context, *db.Queries) (audit.Change, bool, error)) (ok bool, err error) {
	if !audit.Acting(ctx) {
		_, ok, err = write(ctx, s.q)
		return ok, err
	}
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		var change audit.Change
		if change, ok, err = write(ctx, s.q.WithTx(tx)); err != nil || !ok {
			return err
		}
		return audit.Append(ctx, tx, change)
	})
	return ok && err == nil, err
}

// endRefund makes a write that ends a refund, for a reason with a digest; "" for none.
func (s *Store) endRefund(ctx context.Context, id string, to domain.RefundState, why string, write func(context.Context, *db.Queries) (bool, error)) (bool, error) {
	return s.recorded(ctx, func(ctx context.Context, q *db.Queries) (audit.Change, bool, error) {
		ok, err := write(ctx, q)
		return audit.Change{
			Object: "refund " + id, Before: paymentRecord{State: string(domain.RefundSent)}, After: paymentRecord{State: string(to), Why: why},
		}, ok, err
	})
}
