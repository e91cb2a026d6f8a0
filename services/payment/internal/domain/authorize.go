package domain

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/point"
)

// AuthenticationRequired is the decline code of a payment that would need its
// payer to do something, which a shop that charges behind the scenes can't ask.
const AuthenticationRequired = "authentication_required"

// AuthorizeCommand asks to hold an order's total.
type AuthorizeCommand struct {
	OrderID     string
	OrderNumber string
	Amount      money.Money
	Method      string
}

// Authorize holds an order's total, once, however often it is asked. The answer
// is AUTHORIZED, DECLINED or what came after. Errors: ErrInvalidAmount,
// ErrPaymentCancelled, ErrPaymentMismatch, ErrOutcomeUnknown.
func (s *Service) Authorize(ctx context.Context, cmd AuthorizeCommand) (Attempt, error) {
	if cmd.Amount.Units <= 0 {
		return Attempt{}, ErrInvalidAmount
	}
	return run(ctx, s, cmd.OrderID, func(ctx context.Context) (Attempt, error) {
		a, _, err := s.store.Begin(ctx, Attempt{
			OrderID: cmd.OrderID, ID: s.newID(), State: Sent, Amount: cmd.Amount, Method: cmd.Method, OrderNumber: cmd.OrderNumber,
		})
		switch {
		case err != nil:
			return Attempt{}, err
		case a.Tombstone():
			return Attempt{}, ErrPaymentCancelled
		case a.Amount != cmd.Amount || a.Method != cmd.Method:
			return Attempt{}, ErrPaymentMismatch
		case a.State != Sent:
			return authorized(a)
		}
		if err := s.crash(point.AuthorizeSent); err != nil {
			return Attempt{}, err
		}
		return s.authorize(ctx, a)
	})
}

// authorize settles an attempt that is SENT.
func (s *Service) authorize(ctx context.Context, a Attempt) (Attempt, error) {
	hold, err := s.hold(ctx, a)
	if crashed := s.crash(point.AuthorizeAnswered); crashed != nil {
		return Attempt{}, crashed
	}
	to, code := Authorized, ""
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case refused:
		to, code, hold.PaymentID = Declined, refusal.Code, refusal.PaymentID
	case err != nil:
		return Attempt{}, s.unknown(ctx, "authorize", a.OrderID, err)
	case hold.NeedsAction:
		// The payer could still complete it: it must be gone before we say so.
		if err := s.provider.Void(ctx, a.voidKey(), hold.PaymentID); err != nil {
			return Attempt{}, s.unknown(ctx, "authorize", a.OrderID, err)
		}
		if err := s.crash(point.AuthorizeVoided); err != nil {
			return Attempt{}, err
		}
		to, code = Declined, AuthenticationRequired
	}
	if a, err = s.move(ctx, a, to, hold.PaymentID, code); err != nil {
		return Attempt{}, err
	}
	if err := s.crash(point.AuthorizeWritten); err != nil {
		return Attempt{}, err
	}
	return authorized(a)
}

// authorized is the answer to Authorize for an attempt as it stands.
func authorized(a Attempt) (Attempt, error) {
	switch a.State {
	case VoidSent, Voided:
		return Attempt{}, ErrPaymentCancelled
	case Sent, NeedsReview:
		return Attempt{}, ErrOutcomeUnknown
	default:
		return a, nil
	}
}
