package domain

import (
	"context"
	"errors"
	"fmt"

	"github.com/souk-shop/souk/services/payment/internal/point"
)

// Cancel makes sure that nothing of an order is held and nothing ever will be.
// The answer is DECLINED or VOIDED, or a tombstone for an order that payment
// never heard of. Errors: ErrPaymentCaptured, ErrOutcomeUnknown.
func (s *Service) Cancel(ctx context.Context, orderID string) (Attempt, error) {
	return run(ctx, s, orderID, func(ctx context.Context) (Attempt, error) {
		a, err := s.startVoid(ctx, orderID)
		if err != nil || a.State != VoidSent {
			return a, err
		}
		if err := s.crash(point.VoidSent); err != nil {
			return Attempt{}, err
		}
		return s.void(ctx, a)
	})
}

// startVoid returns the attempt as VOID_SENT, or the final answer.
func (s *Service) startVoid(ctx context.Context, orderID string) (Attempt, error) {
	// Another process can move the attempt between two looks at it; the state
	// machine has no circle, so that this ends.
	for range len(States()) {
		a, started, err := s.store.StartVoid(ctx, orderID)
		if err != nil || started {
			return a, err
		}
		a, err = s.store.Get(ctx, orderID)
		if errors.Is(err, ErrPaymentNotFound) {
			id := s.newID()
			buried, err := s.store.Bury(ctx, orderID, id)
			if err != nil {
				return Attempt{}, err
			}
			if buried {
				return Attempt{OrderID: orderID, ID: id, State: Voided}, s.crash(point.TombstoneWritten)
			}
			continue
		}
		if err != nil {
			return Attempt{}, err
		}
		switch a.State {
		case VoidSent, Voided, Declined:
			return a, nil
		case Captured:
			return Attempt{}, ErrPaymentCaptured
		case CaptureSent, NeedsReview:
			// Whether there is something to give back is not known.
			return Attempt{}, ErrOutcomeUnknown
		}
	}
	return Attempt{}, fmt.Errorf("payment of order %s keeps moving", orderID)
}

// void settles an attempt that is VOID_SENT. If it is not known whether
// something is held, it repeats the authorization under its key: the answer is
// that of the first call, or nothing can come of a call that is still under way.
func (s *Service) void(ctx context.Context, a Attempt) (Attempt, error) {
	held := Hold{PaymentID: a.ProviderID}
	code := ""
	if held.PaymentID == "" {
		var err error
		held, err = s.hold(ctx, a)
		if crashed := s.crash(point.VoidReplayed); crashed != nil {
			return Attempt{}, crashed
		}
		refusal, refused := errors.AsType[*Refusal](err)
		switch {
		case refused: // nothing was held
			code = refusal.Code
		case err != nil:
			return Attempt{}, s.unknown(ctx, "cancel", a.OrderID, err)
		}
	}
	if held.PaymentID != "" {
		err := s.provider.Void(ctx, a.voidKey(), held.PaymentID)
		if errors.Is(err, ErrTaken) { // by somebody else: no capture was asked for
			err = s.giveBack(ctx, Intent{ID: held.PaymentID, OrderID: a.OrderID, AttemptID: a.ID})
			code = string(Taken)
		}
		if err != nil {
			return Attempt{}, s.unknown(ctx, "cancel", a.OrderID, err)
		}
	}
	if err := s.crash(point.VoidAnswered); err != nil {
		return Attempt{}, err
	}
	a, err := s.move(ctx, a, Voided, held.PaymentID, code)
	if err != nil {
		return Attempt{}, err
	}
	if a.State != Voided {
		return Attempt{}, ErrOutcomeUnknown
	}
	return a, s.crash(point.VoidWritten)
}
