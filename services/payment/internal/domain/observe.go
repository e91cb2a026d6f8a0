package domain

import (
	"context"
	"errors"
	"fmt"

	"github.com/souk-shop/souk/services/payment/internal/point"
)

// Look asks the provider for one of its payments and observes it. Errors: those
// of Observe, and ErrOutcomeUnknown when the provider does not tell.
func (s *Service) Look(ctx context.Context, paymentID string) (Attempt, error) {
	in, err := s.provider.Look(ctx, paymentID)
	if err != nil {
		return Attempt{}, s.unknown(ctx, "look", "", err)
	}
	return s.Observe(ctx, in)
}

// Final reports whether a payment is an order's and captured: a command has seen
// that, and no event can move it any more.
func (s *Service) Final(ctx context.Context, orderID, paymentID string) (bool, error) {
	a, err := s.store.Get(ctx, orderID)
	if errors.Is(err, ErrPaymentNotFound) {
		return false, nil
	}
	return a.State == Captured && a.ProviderID == paymentID, err
}

// Observe takes note of a payment as the provider has it, whoever heard of it
// first and however often: a payment of an attempt whose outcome is open moves
// the attempt on, never back; a payment that should not be there (of an order
// that was cancelled or declined, or a second one of an order) is voided, or
// given back if it was taken. It returns the attempt as it is then. Errors:
// ErrPaymentNotFound for a payment that this service did not make, or of an order
// that it never heard of, which is left alone; ErrOutcomeUnknown when it has to be
// observed again.
func (s *Service) Observe(ctx context.Context, in Intent) (Attempt, error) {
	if in.OrderID == "" || in.AttemptID == "" {
		return Attempt{}, ErrPaymentNotFound
	}
	return run(ctx, s, in.OrderID, func(ctx context.Context) (Attempt, error) {
		return s.observe(ctx, in)
	})
}

func (s *Service) observe(ctx context.Context, in Intent) (Attempt, error) {
	a, err := s.store.Get(ctx, in.OrderID)
	if err != nil {
		return Attempt{}, err
	}
	// A payment is the attempt's by the id that was written down, or before that by
	// its label, which anybody can change at the provider.
	if a.ProviderID != in.ID && (a.ProviderID != "" || in.AttemptID != a.ID) {
		return a, s.dispose(ctx, a, in)
	}
	switch a.State {
	case Sent:
		return s.observeSent(ctx, a, in)
	case CaptureSent:
		return s.observeCapture(ctx, a, in)
	case VoidSent:
		a.ProviderID = in.ID
		return s.void(ctx, a)
	case NeedsReview:
		return s.observeReview(ctx, a, in, decided(in))
	case Declined, Voided:
		return a, s.dispose(ctx, a, in)
	default: // what is authorized, captured or could not be is settled by a command
		return a, nil
	}
}

// observeSent settles an attempt that is SENT, as the answer that was lost would.
func (s *Service) observeSent(ctx context.Context, a Attempt, in Intent) (Attempt, error) {
	switch {
	case in.Standing == Refused:
		return s.move(ctx, a, Declined, in.ID, in.Code)
	case in.Standing == Released:
		return s.move(ctx, a, Declined, in.ID, string(Released))
	case in.Standing == Waiting:
		if err := s.provider.Void(ctx, a.voidKey(), in.ID); err != nil {
			return Attempt{}, s.unknown(ctx, "observe", a.OrderID, err)
		}
		return s.move(ctx, a, Declined, in.ID, AuthenticationRequired)
	case (in.Standing == Held || in.Standing == Taken) && in.Amount == a.Amount:
		return s.move(ctx, a, Authorized, in.ID, "")
	}
	return Attempt{}, s.unknown(ctx, "observe", a.OrderID, in.mismatch(a))
}

// observeCapture settles an attempt that is CAPTURE_SENT. What is still held may
// be taken yet.
func (s *Service) observeCapture(ctx context.Context, a Attempt, in Intent) (Attempt, error) {
	switch {
	case in.Standing == Held:
		return a, nil
	case in.Standing == Released:
		return s.move(ctx, a, CaptureFailed, "", string(Released))
	case in.Standing == Taken && in.Amount == a.Amount:
		a, _, err := s.finishCapture(ctx, a)
		return a, err
	}
	return Attempt{}, s.unknown(ctx, "observe", a.OrderID, in.mismatch(a))
}

// dispose ends a payment that should not be there.
func (s *Service) dispose(ctx context.Context, a Attempt, in Intent) error {
	if !in.active() {
		return nil
	}
	s.log.WarnContext(ctx, "a payment is there that should not be", "order_id", a.OrderID, "state", a.State,
		"payment", in.ID, "standing", in.Standing, "amount", in.Amount)
	err := ErrTaken
	if in.Standing != Taken {
		err = s.provider.Void(ctx, in.voidKey(), in.ID)
	}
	if errors.Is(err, ErrTaken) {
		return s.giveBack(ctx, in)
	}
	if err != nil {
		return s.unknown(ctx, "dispose", a.OrderID, err)
	}
	return nil
}

// giveBack refunds, in full, what was taken and should not have been. Both go
// into the ledger, for both are in the provider's books.
func (s *Service) giveBack(ctx context.Context, in Intent) error {
	if in.Standing != Taken { // as it was known when it was to be voided
		var err error
		if in, err = s.provider.Look(ctx, in.ID); err != nil {
			return s.unknown(ctx, "give back", in.OrderID, err)
		}
		if in.Standing != Taken {
			return s.unknown(ctx, "give back", in.OrderID, fmt.Errorf("payment %s is %s", in.ID, in.Standing))
		}
	}
	_, err := s.provider.Refund(ctx, in.refundKey(), Refund{ID: in.AttemptID, OrderID: in.OrderID, Amount: in.Amount, PaymentID: in.ID})
	if refusal, refused := errors.AsType[*Refusal](err); refused && refusal.Code == alreadyRefunded {
		err = nil // by somebody at the provider
	}
	if err != nil {
		return s.unknown(ctx, "give back", in.OrderID, err)
	}
	if err := s.crash(point.StrayRefunded); err != nil {
		return err
	}
	entered, err := s.store.EnterStray(ctx, in.OrderID, in.ID, in.Amount)
	if err != nil {
		return err
	}
	if entered {
		s.log.ErrorContext(ctx, "a capture that should not have been was refunded", "order_id", in.OrderID, "payment", in.ID, "amount", in.Amount)
	}
	return s.crash(point.StrayWritten)
}

// alreadyRefunded is the provider's code for a refund of what is refunded.
const alreadyRefunded = "charge_already_refunded"

// mismatch says why an intent does not move an attempt.
func (in Intent) mismatch(a Attempt) error {
	return fmt.Errorf("payment %s is %s with %s, the attempt is %s with %s", in.ID, in.Standing, in.Amount, a.State, a.Amount)
}
