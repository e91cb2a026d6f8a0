package app

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// AuthorizeCommand asks to hold an order's total.
type AuthorizeCommand struct {
	OrderID     string
	OrderNumber string
	Amount      money.Money
	Method      string
}

// Authorize authorizes an order's total once, however often it is called. The answer
// is AUTHORIZED, DECLINED or what came after. Errors: ErrInvalidAmount,
// ErrPaymentCancelled, ErrPaymentMismatch, ErrOutcomeUnknown, *AmountError for an
// amount that the provider cannot charge, of which nothing is written.
func (s *Payments) Authorize(ctx context.Context, cmd AuthorizeCommand) (domain.Attempt, error) {
	if cmd.Amount.Units <= 0 {
		return domain.Attempt{}, domain.ErrInvalidAmount
	}
	return run(ctx, s, cmd.OrderID, func(ctx context.Context) (domain.Attempt, error) {
		if err := s.refuseAmount(ctx, cmd); err != nil {
			return domain.Attempt{}, err
		}
		a, _, err := s.attempts.Begin(ctx, domain.Attempt{
			// Not a new id: where the database is restored to before this was written, the order asks again
			// under the same keys, and nobody is charged twice.
			OrderID: cmd.OrderID, ID: cmd.OrderID, State: domain.Sent, Amount: cmd.Amount, Method: cmd.Method, OrderNumber: cmd.OrderNumber,
		})
		if err == nil {
			err = a.CheckAuthorize(cmd.Amount, cmd.Method)
		}
		if err != nil {
			return domain.Attempt{}, err
		}
		if a.State != domain.Sent {
			return answer(a, a.Authorization())
		}
		return s.authorize(ctx, a)
	})
}

// refuseAmount says why the provider cannot charge an amount. What was asked
// for before, when the limits may have been others, is answered as it stands.
func (s *Payments) refuseAmount(ctx context.Context, cmd AuthorizeCommand) error {
	limits, refusal := s.Limits(cmd.Amount.Currency)
	if refusal == nil {
		refusal = limits.Check(cmd.Amount)
	}
	if refusal == nil {
		return nil
	}
	_, err := s.attempts.Get(ctx, cmd.OrderID)
	if errors.Is(err, domain.ErrPaymentNotFound) {
		return refusal
	}
	return err
}

// Limits returns what the provider charges of a currency. Errors: *AmountError
// for one that it does not.
func (s *Payments) Limits(currency string) (domain.Limits, error) {
	return s.provider.Limits(currency)
}

// authorize settles an attempt that is SENT.
func (s *Payments) authorize(ctx context.Context, a domain.Attempt) (domain.Attempt, error) {
	hold, err := s.hold(ctx, a, false)
	to, code := domain.Authorized, ""
	refusal, refused := errors.AsType[*domain.Refusal](err)
	switch {
	case refused:
		to, code, hold.PaymentID = domain.Declined, refusal.Code, refusal.PaymentID
	case err != nil:
		return domain.Attempt{}, s.unknown(ctx, "authorize", a.OrderID, err)
	case hold.NeedsAction:
		// The payer could still complete it: it must be gone before we say so.
		if err := s.provider.Void(ctx, a.VoidKey(), hold.PaymentID); err != nil {
			return domain.Attempt{}, s.unknown(ctx, "authorize", a.OrderID, err)
		}
		to, code = domain.Declined, domain.AuthenticationRequired
	}
	if a, err = s.move(ctx, a, to, hold.PaymentID, code); err != nil {
		return domain.Attempt{}, err
	}
	return answer(a, a.Authorization())
}
