package domain

import (
	"context"
	"errors"
	"fmt"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/point"
)

// Refund gives back part or all of a capture, once per refund id. The answer is
// SUCCEEDED or FAILED. Errors: ErrInvalidAmount, ErrPaymentNotFound,
// ErrPaymentNotCaptured, ErrRefundExceedsCapture, ErrRefundMismatch,
// ErrOutcomeUnknown.
func (s *Service) Refund(ctx context.Context, id, orderID string, amount money.Money) (Refund, error) {
	if amount.Units <= 0 {
		return Refund{}, ErrInvalidAmount
	}
	return run(ctx, s, orderID, func(ctx context.Context) (Refund, error) {
		r, err := s.startRefund(ctx, Refund{ID: id, OrderID: orderID, Amount: amount})
		switch {
		case err != nil:
			return Refund{}, err
		case r.OrderID != orderID || r.Amount != amount:
			return Refund{}, ErrRefundMismatch
		case r.State != RefundSent:
			return r, nil
		}
		if err := s.crash(point.RefundSent); err != nil {
			return Refund{}, err
		}
		return s.refund(ctx, r)
	})
}

// startRefund returns a new refund as SENT, or the one that has the id.
func (s *Service) startRefund(ctx context.Context, r Refund) (Refund, error) {
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
		return Refund{}, err
	case a.Tombstone():
		return Refund{}, ErrPaymentNotFound
	case a.State != Captured:
		return Refund{}, ErrPaymentNotCaptured
	case a.Amount.Currency != r.Amount.Currency:
		return Refund{}, ErrRefundMismatch
	default:
		return Refund{}, ErrRefundExceedsCapture
	}
}

// refund settles a refund that is SENT.
func (s *Service) refund(ctx context.Context, r Refund) (Refund, error) {
	if s.now().Sub(r.CreatedAt) > keyWindow {
		// Asking again could give the money back twice.
		s.log.ErrorContext(ctx, "refund needs review", "order_id", r.OrderID, "refund_id", r.ID, "since", r.CreatedAt)
		return Refund{}, fmt.Errorf("%w: the refund's key has expired", ErrOutcomeUnknown)
	}
	providerID, err := s.provider.Refund(ctx, r.key(), r)
	if crashed := s.crash(point.RefundAnswered); crashed != nil {
		return Refund{}, crashed
	}
	settled := r
	var ok bool
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case refused:
		settled.State, settled.FailureCode = RefundFailed, refusal.Code
		ok, err = s.store.FailRefund(ctx, r.ID, refusal.Code)
	case err != nil:
		return Refund{}, s.unknown(ctx, "refund", r.OrderID, err)
	default:
		settled.State, settled.ProviderID = RefundSucceeded, providerID
		ok, err = s.store.FinishRefund(ctx, r.ID, providerID)
	}
	if err == nil && !ok { // by another process
		settled, _, err = s.store.GetRefund(ctx, r.ID)
	}
	if err != nil {
		return Refund{}, err
	}
	return settled, s.crash(point.RefundWritten)
}
