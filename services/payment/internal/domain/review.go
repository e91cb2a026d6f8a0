package domain

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// absentAfter is the age at which the provider's list proves that there is no
	// payment of an attempt: the last call was sent within keyWindow, the key was
	// forgotten after a day, and no call is under way for an hour.
	absentAfter = 25 * time.Hour
	// clocks is how far the provider's clock may be from ours.
	clocks = time.Hour
	// reviewPage is how many attempts are reviewed with one list.
	reviewPage = 500
)

// reviewer is who decides when no person does.
const reviewer = "reconciliation"

// codeAbsent is the code of what a review proved absent.
const codeAbsent = "absent"

// Decision is why something under review was settled as it was.
type Decision struct {
	// By is "reconciliation" or a person's name.
	By, Why string
}

// Reviewed is what a review came to.
type Reviewed struct {
	// Settled attempts and refunds have an outcome now; Open ones have none yet.
	Settled, Open int
}

// Review settles what is past its key's window, by what the provider holds: a
// payment that is found moves its attempt on, and what is held or taken is given
// back, for no order waits so long; one that is not found is settled when the
// provider's complete list, taken when no call can be under way any more, proves
// that there is none. What can't be settled stays open. A review may be repeated
// and broken off at any time.
func (s *Service) Review(ctx context.Context) (Reviewed, error) {
	var sum Reviewed
	before := s.now().Add(-keyWindow)
	for after := ""; ; {
		page, err := s.store.Open(ctx, before, after, reviewPage)
		if err != nil || len(page) == 0 {
			if err == nil {
				err = s.reviewRefunds(ctx, before, &sum)
			}
			return sum, err
		}
		if err := s.reviewAttempts(ctx, page, &sum); err != nil {
			return sum, err
		}
		after = page[len(page)-1].OrderID
	}
}

func (s *Service) reviewAttempts(ctx context.Context, page []Attempt, sum *Reviewed) error {
	missing := map[string]Attempt{} // by id: old enough to be proven absent
	from := s.now()
	for _, a := range page {
		h, err := s.search(ctx, a)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			s.log.WarnContext(ctx, "review goes on later", "order_id", a.OrderID, "error", err)
			sum.Open++
		case h.found:
			s.reviewFound(ctx, h.Intent, sum)
		case s.now().Sub(a.CreatedAt) < absentAfter:
			sum.Open++
		default:
			missing[a.ID] = a
			if a.CreatedAt.Before(from) {
				from = a.CreatedAt
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	from, to, listed := from.Add(-clocks), s.now().Add(clocks), 0
	for in, err := range s.provider.Payments(ctx, from, to) {
		if err != nil { // not complete: it proves nothing
			s.log.WarnContext(ctx, "review goes on later", "error", err)
			sum.Open += len(missing)
			return nil
		}
		listed++
		if _, ok := missing[in.AttemptID]; ok {
			delete(missing, in.AttemptID)
			s.reviewFound(ctx, in, sum)
		}
	}
	why := fmt.Sprintf("none of the %d payments that the provider lists from %s to %s is of this attempt",
		listed, from.UTC().Format(time.RFC3339), s.now().UTC().Format(time.RFC3339))
	for _, a := range missing {
		if _, err := s.settle(ctx, a, Voided, "", codeAbsent, Decision{reviewer, why}); err != nil {
			return err
		}
		sum.Settled++
	}
	return nil
}

// hit is what a search has found.
type hit struct {
	Intent
	found bool
}

// search looks for the payment of an attempt, in the order's lane: no command of
// this process is under way then. An attempt that was left SENT or VOID_SENT is
// NEEDS_REVIEW from then on.
func (s *Service) search(ctx context.Context, a Attempt) (hit, error) {
	return run(ctx, s, a.OrderID, func(ctx context.Context) (hit, error) {
		if a.ProviderID != "" {
			in, err := s.provider.Look(ctx, a.ProviderID)
			return hit{in, err == nil}, err
		}
		if a.State != NeedsReview {
			if _, err := s.review(ctx, a); err != nil {
				return hit{}, err
			}
		}
		in, found, err := s.provider.Find(ctx, a.ID)
		return hit{in, found}, err
	})
}

// review makes an attempt NEEDS_REVIEW.
func (s *Service) review(ctx context.Context, a Attempt) (Attempt, error) {
	s.log.ErrorContext(ctx, "payment needs review", "order_id", a.OrderID, "attempt_id", a.ID, "since", a.CreatedAt)
	return s.move(ctx, a, NeedsReview, "", "")
}

func (s *Service) reviewFound(ctx context.Context, in Intent, sum *Reviewed) {
	a, err := s.Observe(ctx, in)
	switch {
	case err == nil && a.State != CaptureSent && a.State != NeedsReview:
		sum.Settled++
		return
	case err != nil:
		s.log.WarnContext(ctx, "review goes on later", "order_id", in.OrderID, "payment", in.ID, "error", err)
	}
	sum.Open++
}

// decided is what a payment at the provider decides by itself.
func decided(in Intent) Decision {
	return Decision{reviewer, fmt.Sprintf("the provider's payment %s was %s with %s", in.ID, in.Standing, in.Amount)}
}

// observeReview settles an attempt that is NEEDS_REVIEW by its payment.
func (s *Service) observeReview(ctx context.Context, a Attempt, in Intent, d Decision) (Attempt, error) {
	if in.Standing == Unclear {
		return Attempt{}, s.unknown(ctx, "observe", a.OrderID, in.mismatch(a))
	}
	if in.Standing == Refused {
		return s.settle(ctx, a, Declined, in.ID, in.Code, d)
	}
	if err := s.dispose(ctx, a, in); err != nil {
		return Attempt{}, err
	}
	return s.settle(ctx, a, Voided, in.ID, "", d)
}

// settle ends NEEDS_REVIEW. If the attempt is elsewhere by now, it is returned as
// it is.
func (s *Service) settle(ctx context.Context, a Attempt, to State, providerID, code string, d Decision) (Attempt, error) {
	settled, ok, err := s.store.Settle(ctx, a.OrderID, to, providerID, code, d)
	if err != nil {
		return Attempt{}, err
	}
	if !ok {
		return s.store.Get(ctx, a.OrderID)
	}
	s.log.InfoContext(ctx, "payment is reviewed", "order_id", a.OrderID, "state", to, "by", d.By, "why", d.Why)
	return settled, nil
}

// reviewRefunds settles refunds that are past their key's window.
func (s *Service) reviewRefunds(ctx context.Context, before time.Time, sum *Reviewed) error {
	for after := ""; ; {
		page, err := s.store.OpenRefunds(ctx, before, after, reviewPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			settled, err := run(ctx, s, r.OrderID, func(ctx context.Context) (bool, error) { return s.reviewRefund(ctx, r) })
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				s.log.WarnContext(ctx, "review goes on later", "order_id", r.OrderID, "refund_id", r.ID, "error", err)
			}
			if settled {
				sum.Settled++
			} else {
				sum.Open++
			}
		}
		after = page[len(page)-1].ID
	}
}

func (s *Service) reviewRefund(ctx context.Context, r Refund) (settled bool, err error) {
	found, err := s.findRefund(ctx, r)
	if err != nil || found || s.now().Sub(r.CreatedAt) < absentAfter {
		return found, err
	}
	_, err = s.store.SettleRefund(ctx, r.ID, codeAbsent, Decision{reviewer, "none of the refunds that the provider lists of payment " + r.PaymentID + " is this one"})
	return err == nil, err
}

// findRefund looks for a refund at the provider and, if it is there, settles it
// as it was made or refused.
func (s *Service) findRefund(ctx context.Context, r Refund) (found bool, err error) {
	id, found, err := s.provider.FindRefund(ctx, r)
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		_, err = s.store.FailRefund(ctx, r.ID, refusal.Code)
		return err == nil, err
	}
	if err == nil && found {
		_, err = s.store.FinishRefund(ctx, r.ID, id)
	}
	return found, err
}

// Resolve settles a payment under review by a person's word: that there is no
// payment at the provider, or, with its id, which one it is, which is looked at
// then. A repeat returns what there is. Errors: ErrPaymentNotFound,
// ErrPaymentMismatch for a payment of another attempt, ErrNotUnderReview,
// ErrOutcomeUnknown.
func (s *Service) Resolve(ctx context.Context, orderID, paymentID string, d Decision) (Attempt, error) {
	return run(ctx, s, orderID, func(ctx context.Context) (Attempt, error) {
		a, err := s.store.Get(ctx, orderID)
		switch {
		case err != nil:
			return Attempt{}, err
		case a.State == Voided || a.State == Declined:
			return a, nil
		case a.State != NeedsReview:
			return Attempt{}, ErrNotUnderReview
		case paymentID == "":
			return s.settle(ctx, a, Voided, "", codeAbsent, d)
		}
		in, err := s.provider.Look(ctx, paymentID)
		if err != nil {
			return Attempt{}, s.unknown(ctx, "resolve", orderID, err)
		}
		if in.AttemptID != a.ID {
			return Attempt{}, ErrPaymentMismatch
		}
		return s.observeReview(ctx, a, in, d)
	})
}

// ResolveRefund settles a refund that is past its key's window by a person's
// word: that the provider did not make it or, with its id, that it did. The
// provider is asked first: what it knows of the refund counts. Errors:
// ErrPaymentNotFound, ErrPaymentMismatch when the refund with that id is not this
// one, ErrNotUnderReview, ErrOutcomeUnknown.
func (s *Service) ResolveRefund(ctx context.Context, id, orderID, refundID string, d Decision) (Refund, error) {
	return run(ctx, s, orderID, func(ctx context.Context) (Refund, error) {
		r, found, err := s.store.GetRefund(ctx, id)
		switch {
		case err != nil:
			return Refund{}, err
		case !found || r.OrderID != orderID:
			return Refund{}, ErrPaymentNotFound
		case r.State != RefundSent:
			return r, nil
		case s.now().Sub(r.CreatedAt) <= keyWindow:
			return Refund{}, ErrNotUnderReview
		}
		found, err = s.findRefund(ctx, r)
		switch {
		case err != nil:
			return Refund{}, s.unknown(ctx, "resolve", orderID, err)
		case !found && refundID != "":
			return Refund{}, ErrPaymentMismatch
		case !found:
			if _, err := s.store.SettleRefund(ctx, id, codeAbsent, d); err != nil {
				return Refund{}, err
			}
		}
		r, _, err = s.store.GetRefund(ctx, id)
		return r, err
	})
}
