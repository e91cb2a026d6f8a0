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
		want := domain.Refund{ID: id, OrderID: orderID, Amount: amount}
		r, err := s.startRefund(ctx, want)
		switch {
		case err != nil:
			return domain.Refund{}, err
		case !r.Repeats(want):
			return domain.Refund{}, domain.ErrRefundMismatch
		case r.State != domain.RefundSent:
			return r, nil
		}
		return s.refund(ctx, r)
	})
}

// startRefund returns a new refund as SENT, or the one that has the id.
func (s *Payments) startRefund(ctx context.Context, r domain.Refund) (domain.Refund, error) {
	started, ok, err := s.refunds.StartRefund(ctx, r)
	if err != nil || ok {
		return started, err
	}
	existing, found, err := s.refunds.GetRefund(ctx, r.ID)
	if err != nil || found {
		return existing, err
	}
	a, err := s.attempts.Get(ctx, r.OrderID)
	if err == nil {
		err = a.CheckRefund(r.Amount)
	}
	return domain.Refund{}, err
}

// refund settles a refund that is SENT.
func (s *Payments) refund(ctx context.Context, r domain.Refund) (domain.Refund, error) {
	if domain.KeyExpired(r.CreatedAt, s.now()) {
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
		ok, err = s.refunds.FailRefund(ctx, r.ID, refusal.Code)
	case err != nil:
		return domain.Refund{}, s.unknown(ctx, "refund", r.OrderID, err)
	default:
		settled.State, settled.ProviderID = domain.RefundSucceeded, providerID
		ok, err = s.refunds.FinishRefund(ctx, r.ID, providerID)
	}
	if err == nil && !ok { // by another process
		settled, _, err = s.refunds.GetRefund(ctx, r.ID)
	}
	if err != nil {
		return domain.Refund{}, err
	}
	return settled, nil
}
