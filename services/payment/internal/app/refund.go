package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Refund refunds part or all of a capture, once per refund id. The answer is
// SUCCEEDED or FAILED. Errors: ErrInvalidAmount, ErrPaymentNotFound,
// ErrPaymentNotCaptured, ErrRefundExceedsCapture, ErrRefundMismatch,
// ErrOutcomeUnknown.
func (s *Payments) Refund(ctx context.Context, id, orderID string, amount money.Money) (domain.Refund, error) {
	if amount.Units <= 0 {
		return domain.Refund{}, domain.ErrInvalidAmount
	}
	return run(ctx, s, orderID, func(ctx context.Context) (domain.Refund, error) {
		r, err := s.startRefund(ctx, domain.Refund{ID: id, OrderID: orderID, Amount: amount})
		switch {
		case err != nil:
			return domain.Refund{}, err
		case r.OrderID != orderID || r.Amount != amount:
			return domain.Refund{}, domain.ErrRefundMismatch
		case r.State != domain.RefundSent:
			return r, nil
		}
		return s.refund(ctx, r)
	})
}

// startRefund returns a new refund as SENT, or the one that has the id.
func (s *Payments) startRefund(ctx context.Context, r domain.Refund) (domain.Refund, error) {
	started, ok, err := s.store.StartRefund(ctx, r)
	if err != nil || ok {
		return started, err
	}
	existing, found, err := s.store.GetRefund(ctx, r.ID)
	if err != nil || found {
		return existing, err
	}
	a, err := s.store.Get(ctx, r.OrderID)
	switch {
	case err != nil:
		return domain.Refund{}, err
	case a.Tombstone():
		return domain.Refund{}, domain.ErrPaymentNotFound
	case a.State != domain.Captured:
		return domain.Refund{}, domain.ErrPaymentNotCaptured
	case a.Amount.Currency != r.Amount.Currency:
		return domain.Refund{}, domain.ErrRefundMismatch
	default:
		return domain.Refund{}, domain.ErrRefundExceedsCapture
	}
}

// refund settles a refund that is SENT.
func (s *Payments) refund(ctx context.Context, r domain.Refund) (domain.Refund, error) {
	if s.now().Sub(r.CreatedAt) > domain.KeyWindow {
		// Asking again could refund twice.
		s.log.ErrorContext(ctx, "refund needs review", "order_id", r.OrderID, "refund_id", r.ID, "since", r.CreatedAt)
		return domain.Refund{}, fmt.Errorf("%w: the refund's key has expired", domain.ErrOutcomeUnknown)
	}
	providerID, err := s.provider.Refund(ctx, r.Key(), r)
	settled := r
	var ok bool
	refusal, refused := errors.AsType[*domain.Refusal](err)
	switch {
	case refused:
		settled.State, settled.FailureCode = domain.RefundFailed, refusal.Code
		ok, err = s.store.FailRefund(ctx, r.ID, refusal.Code)
	case err != nil:
		return domain.Refund{}, s.unknown(ctx, "refund", r.OrderID, err)
	default:
		settled.State, settled.ProviderID = domain.RefundSucceeded, providerID
		ok, err = s.store.FinishRefund(ctx, r.ID, providerID)
	}
	if err == nil && !ok { // by another process
		settled, _, err = s.store.GetRefund(ctx, r.ID)
	}
	if err != nil {
		return domain.Refund{}, err
	}
	return settled, nil
}
