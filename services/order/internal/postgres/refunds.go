package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres/db"
)

// PlaceRefund implements app.Refunds. One transaction holds the order's row, so that
// concurrent refunds never add up to more than was captured.
func (s *Store) PlaceRefund(ctx context.Context, want domain.Refund) (refund domain.Refund, replayed bool, err error) {
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		row, err := s.q.LockOrder(ctx, tx, want.OrderID)
		if errors.Is(err, pgx.ErrNoRows) {
			return domain.ErrOrderNotFound
		}
		if err != nil {
			return fmt.Errorf("lock order: %w", err)
		}
		earlier, err := s.q.RefundByKey(ctx, tx, db.RefundByKeyParams{OrderID: want.OrderID, IdempotencyKey: want.IdempotencyKey})
		if err == nil {
			if !bytes.Equal(earlier.RequestHash, want.RequestHash) {
				return domain.ErrKeyReused
			}
			replayed = true
			refund, err = s.refund(ctx, tx, earlier)
			return err
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("look up idempotency key: %w", err)
		}
		o, err := toOrder(row)
		if err != nil {
			return err
		}
		one := []domain.Order{o}
		if err := addLines(ctx, s.q, tx, one); err != nil {
			return err
		}
		refund, replayed = want, false
		if refund.Lines, refund.Amount, err = domain.PlanRefund(one[0], want.Lines); err != nil {
			return err
		}
		p := db.PlaceRefundParams{
			ID: refund.ID, OrderID: refund.OrderID, IdempotencyKey: refund.IdempotencyKey, RequestHash: refund.RequestHash,
			Amount: refund.Amount.Units, Currency: refund.Amount.Currency, Restock: refund.Restock, Reason: refund.Reason,
			Traceparent: refund.TraceParent, DriveDelay: s.times.DriveDelay,
		}
		var reason string
		p.ReasonSalt, reason = audit.Commit(refund.Reason)
		for _, l := range refund.Lines {
			p.Skus, p.Quantities = append(p.Skus, l.SKU), append(p.Quantities, l.Quantity)
		}
		refund.State = domain.RefundPending
		if refund.CreatedAt, err = s.q.PlaceRefund(ctx, tx, p); err != nil {
			return fmt.Errorf("place refund: %w", err)
		}
		return recordRefund(ctx, tx, one[0], refund, reason)
	})
	if errors.Is(err, domain.ErrOrderNotFound) {
		err = s.notFound(ctx, want.OrderID, domain.Viewer{All: true})
	}
	if err != nil {
		return domain.Refund{}, false, err
	}
	return refund, replayed, nil
}

// LoadRefund implements app.Refunds.
func (s *Store) LoadRefund(ctx context.Context, refundID string) (domain.Refund, error) {
	row, err := s.q.Refund(ctx, s.pool, refundID)
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Refund{}, fmt.Errorf("refund %s: %w", refundID, domain.ErrOrderNotFound)
	}
	if err != nil {
		return domain.Refund{}, fmt.Errorf("read refund: %w", err)
	}
	return s.refund(ctx, s.pool, row)
}

func (s *Store) refund(ctx context.Context, tx db.DBTX, row db.Refund) (domain.Refund, error) {
	lines, err := s.q.RefundLines(ctx, tx, []string{row.ID})
	if err != nil {
		return domain.Refund{}, fmt.Errorf("read lines of refund: %w", err)
	}
	r := toRefund(row, nil)
	for _, l := range lines {
		r.Lines = append(r.Lines, domain.RefundLine{SKU: l.Sku, Quantity: l.Quantity})
	}
	return r, nil
}

// SettleRefund implements app.Refunds.
func (s *Store) SettleRefund(ctx context.Context, r domain.Refund, state domain.RefundState, failureCode string) error {
	_, err := s.q.SettleRefund(ctx, s.pool, db.SettleRefundParams{
		ID: r.ID, State: string(state), FailureCode: failureCode,
	})
	if err != nil {
		return fmt.Errorf("settle refund: %w", err)
	}
	return nil
}
