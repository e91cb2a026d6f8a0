package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Sync retrieves a payment from the provider and applies it. Errors: those
// of Apply, and ErrOutcomeUnknown when the provider does not tell.
func (s *Payments) Sync(ctx context.Context, paymentID string) (domain.Attempt, error) {
	in, err := s.provider.Retrieve(ctx, paymentID)
	if err != nil {
		return domain.Attempt{}, s.unknown(ctx, "sync", "", err)
	}
	return s.Apply(ctx, in)
}

// AwaitCommand implements Syncer.
func (s *Payments) AwaitCommand(ctx context.Context, orderID string, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	if unlock, err := s.orders.Lock(ctx, orderID); err == nil {
		unlock()
	}
}

// Recorded reports whether the attempt of the order of which an event says that it is about
// its payment records what the event reports.
func (s *Payments) Recorded(ctx context.Context, orderID string, e domain.Event) (bool, error) {
	a, err := s.attempts.Get(ctx, orderID)
	if errors.Is(err, domain.ErrPaymentNotFound) {
		return false, nil
	}
	return e.RecordedBy(a), err
}

// Apply takes note of a payment as the provider has it, from whatever source
// and however often: a payment of an attempt whose outcome is open moves
// the attempt on, never back; a payment that should not be there (of an order
// that was cancelled or declined, or a second one of an order) is voided, or
// refunded if it was captured. It returns the attempt as it is then. Errors:
// ErrPaymentNotFound for a payment that this service did not make, or of an order
// that it never heard of, which is left alone; ErrOutcomeUnknown when it has to be
// synced again.
func (s *Payments) Apply(ctx context.Context, in domain.Intent) (domain.Attempt, error) {
	if in.OrderID == "" || in.AttemptID == "" {
		return domain.Attempt{}, domain.ErrPaymentNotFound
	}
	return run(ctx, s, in.OrderID, func(ctx context.Context) (domain.Attempt, error) {
		return s.apply(ctx, in)
	})
}

func (s *Payments) apply(ctx context.Context, in domain.Intent) (domain.Attempt, error) {
	a, err := s.attempts.Get(ctx, in.OrderID)
	if err != nil {
		return domain.Attempt{}, err
	}
	return s.follow(ctx, a, in, a.Follow(in), decided(in))
}

// follow performs the step that a payment has decided. d is kept of the end of a
// review.
func (s *Payments) follow(ctx context.Context, a domain.Attempt, in domain.Intent, step domain.Step, d domain.Decision) (domain.Attempt, error) {
	switch step.Action {
	case domain.Advance:
		return s.move(ctx, a, step.To, in.ID, step.Code)
	case domain.VoidFirst:
		if err := s.provider.Void(ctx, a.VoidKey(), in.ID); err != nil {
			return domain.Attempt{}, s.unknown(ctx, "sync", a.OrderID, err)
		}
		return s.move(ctx, a, step.To, in.ID, step.Code)
	case domain.EnterCapture:
		return s.finishCapture(ctx, a)
	case domain.FinishVoid:
		a.ProviderID = in.ID
		return s.void(ctx, a)
	case domain.EndReview:
		if err := s.voidOrRefund(ctx, a, in); err != nil {
			return domain.Attempt{}, err
		}
		return s.settle(ctx, a, step.To, in.ID, step.Code, d)
	case domain.Compensate:
		return a, s.voidOrRefund(ctx, a, in)
	case domain.Unclear:
		return domain.Attempt{}, s.unknown(ctx, "sync", a.OrderID, domain.Mismatch(in, a))
	default:
		return a, nil
	}
}

// voidOrRefund ends a payment that should not be there.
func (s *Payments) voidOrRefund(ctx context.Context, a domain.Attempt, in domain.Intent) error {
	remedy := in.Remedy()
	if remedy == domain.NoRemedy {
		return nil
	}
	s.log.WarnContext(ctx, "a payment is there that should not be", "order_id", a.OrderID, "state", a.State,
		"payment", in.ID, "status", in.Status, "amount", in.Amount)
	err := domain.ErrAlreadyCaptured
	if remedy == domain.VoidIt {
		err = s.provider.Void(ctx, in.VoidKey(), in.ID)
	}
	if errors.Is(err, domain.ErrAlreadyCaptured) {
		return s.refundOrphan(ctx, in)
	}
	if err != nil {
		return s.unknown(ctx, "void", a.OrderID, err)
	}
	return s.attempts.RecordVoid(ctx, a.OrderID, in.ID)
}

// refundOrphan refunds, in full, what was captured and should not have been. Both go
// into the ledger, because both are in the provider's balance.
func (s *Payments) refundOrphan(ctx context.Context, in domain.Intent) error {
	if in.Status != domain.IntentCaptured { // as it was known when it was to be voided
		var err error
		if in, err = s.provider.Retrieve(ctx, in.ID); err != nil {
			return s.unknown(ctx, "refund", in.OrderID, err)
		}
		if in.Status != domain.IntentCaptured {
			return s.unknown(ctx, "refund", in.OrderID, fmt.Errorf("payment %s is %s", in.ID, in.Status))
		}
	}
	_, err := s.provider.Refund(ctx, in.RefundKey(), domain.Refund{ID: in.AttemptID, OrderID: in.OrderID, Amount: in.Amount, PaymentID: in.ID})
	if refusal, refused := errors.AsType[*domain.Refusal](err); refused && refusal.Code == alreadyRefunded {
		err = nil // by an operator at the provider
	}
	if err != nil {
		return s.unknown(ctx, "refund", in.OrderID, err)
	}
	entered, err := s.attempts.EnterOrphanCapture(ctx, in.OrderID, in.ID, in.Amount)
	if err != nil {
		return err
	}
	if entered {
		s.log.ErrorContext(ctx, "a capture that should not have been was refunded", "order_id", in.OrderID, "payment", in.ID, "amount", in.Amount)
	}
	return nil
}

// alreadyRefunded is the provider's code for a refund of what is refunded.
const alreadyRefunded = "charge_already_refunded"
