package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Cancel makes sure that nothing of an order is held and nothing ever will be.
// The answer is DECLINED or VOIDED, or a tombstone for an order that payment
// never heard of. Errors: ErrPaymentCaptured, ErrOutcomeUnknown.
func (s *Payments) Cancel(ctx context.Context, orderID string) (domain.Attempt, error) {
	return run(ctx, s, orderID, func(ctx context.Context) (domain.Attempt, error) {
		a, err := s.startVoid(ctx, orderID)
		if err != nil || a.State != domain.VoidSent {
			return a, err
		}
		return s.void(ctx, a)
	})
}

// startVoid returns the attempt as VOID_SENT, or the final answer.
func (s *Payments) startVoid(ctx context.Context, orderID string) (domain.Attempt, error) {
	// Another process can move the attempt between the two statements; the state
	// machine has no cycle, so this ends.
	for range len(domain.States()) {
		a, started, err := s.attempts.StartVoid(ctx, orderID)
		if err != nil || started {
			return a, err
		}
		a, err = s.attempts.Get(ctx, orderID)
		if errors.Is(err, domain.ErrPaymentArchived) {
			return domain.Attempt{}, err
		}
		if errors.Is(err, domain.ErrPaymentNotFound) {
			id := s.newID()
			left, err := s.attempts.LeaveTombstone(ctx, orderID, id)
			if err != nil {
				return domain.Attempt{}, err
			}
			if left {
				return domain.Attempt{OrderID: orderID, ID: id, State: domain.Voided}, nil
			}
			continue
		}
		if err != nil {
			return domain.Attempt{}, err
		}
		if done, err := a.CheckVoid(); done || err != nil {
			return answer(a, err)
		}
	}
	return domain.Attempt{}, fmt.Errorf("payment of order %s keeps moving", orderID)
}

// void settles an attempt that is VOID_SENT. If it is not known whether
// something is held, it repeats the authorization under its key: the answer is
// that of the first call, or nothing can come of a call that is still under way.
func (s *Payments) void(ctx context.Context, a domain.Attempt) (domain.Attempt, error) {
	held := Hold{PaymentID: a.ProviderID}
	code := ""
	if held.PaymentID == "" {
		var err error
		held, err = s.hold(ctx, a, true)
		refusal, refused := errors.AsType[*domain.Refusal](err)
		switch {
		case refused: // nothing was held
			code = refusal.Code
		case err != nil:
			return domain.Attempt{}, s.unknown(ctx, "cancel", a.OrderID, err)
		}
	}
	if held.PaymentID != "" {
		err := s.provider.Void(ctx, a.VoidKey(), held.PaymentID)
		if errors.Is(err, domain.ErrAlreadyCaptured) { // outside this service: it asked for no capture
			err = s.refundOrphan(ctx, domain.Intent{ID: held.PaymentID, OrderID: a.OrderID, AttemptID: a.ID})
			code = string(domain.IntentCaptured)
		}
		if err != nil {
			return domain.Attempt{}, s.unknown(ctx, "cancel", a.OrderID, err)
		}
	}
	a, err := s.move(ctx, a, domain.Voided, held.PaymentID, code)
	if err != nil {
		return domain.Attempt{}, err
	}
	if a.State != domain.Voided {
		return domain.Attempt{}, domain.ErrOutcomeUnknown
	}
	return a, nil
}
