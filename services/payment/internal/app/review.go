package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

const (
	// reviewPage is how many attempts are reviewed with one list.
	reviewPage = 500
)

// reviewer is who decides when no person does.
const reviewer = "reconciliation"

// Review settles what is past its key's window, by what the provider holds: a
// payment that is found moves its attempt on, and what is authorized is voided, what is
// captured refunded, because no order waits that long; one that is not found is settled when the
// provider's complete list, taken when no call can be under way any more, proves
// that there is none. What can't be settled stays open. A review may be repeated
// and broken off at any time.
func (s *Payments) Review(ctx context.Context) (domain.Reviewed, error) {
	var sum domain.Reviewed
	before := s.now().Add(-domain.KeyWindow)
	for after := ""; ; {
		page, err := s.reviews.Open(ctx, before, after, reviewPage)
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

func (s *Payments) reviewAttempts(ctx context.Context, page []domain.Attempt, sum *domain.Reviewed) error {
	missing := map[string]domain.Attempt{} // by id: old enough to be proven absent
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
		case !domain.AbsenceProven(a.CreatedAt, s.now()):
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
	from, to, listed := from.Add(-domain.ClockSkew), s.now().Add(domain.ClockSkew), 0
	for in, err := range s.records.Payments(ctx, from, to) {
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
		if _, err := s.settle(ctx, a, domain.Voided, "", domain.CodeAbsent, domain.Decision{By: reviewer, Why: why}); err != nil {
			return err
		}
		sum.Settled++
	}
	return nil
}

// hit is what a search has found.
type hit struct {
	domain.Intent
	found bool
}

// search looks for the payment of an attempt while it holds the order's lock: no
// command of this process is under way then. An attempt that was left SENT or VOID_SENT is
// NEEDS_REVIEW from then on.
func (s *Payments) search(ctx context.Context, a domain.Attempt) (hit, error) {
	return run(ctx, s, a.OrderID, func(ctx context.Context) (hit, error) {
		if a.ProviderID != "" {
			in, err := s.provider.Retrieve(ctx, a.ProviderID)
			return hit{in, err == nil}, err
		}
		if a.State != domain.NeedsReview {
			if _, err := s.review(ctx, a); err != nil {
				return hit{}, err
			}
		}
		in, found, err := s.records.Find(ctx, a.ID)
		return hit{in, found}, err
	})
}

// review makes an attempt NEEDS_REVIEW.
func (s *Payments) review(ctx context.Context, a domain.Attempt) (domain.Attempt, error) {
	s.log.ErrorContext(ctx, "payment needs review", "order_id", a.OrderID, "attempt_id", a.ID, "since", a.CreatedAt)
	return s.move(ctx, a, domain.NeedsReview, "", "")
}

func (s *Payments) reviewFound(ctx context.Context, in domain.Intent, sum *domain.Reviewed) {
	a, err := s.Apply(ctx, in)
	switch {
	case err == nil && !a.Open():
		sum.Settled++
		return
	case err != nil:
		s.log.WarnContext(ctx, "review goes on later", "order_id", in.OrderID, "payment", in.ID, "error", err)
	}
	sum.Open++
}

// decided is what a payment at the provider decides by itself.
func decided(in domain.Intent) domain.Decision {
	return domain.Decision{By: reviewer, Why: fmt.Sprintf("the provider's payment %s was %s with %s", in.ID, in.Status, in.Amount)}
}

// settle ends NEEDS_REVIEW. If the attempt is elsewhere by now, it is returned as
// it is.
func (s *Payments) settle(ctx context.Context, a domain.Attempt, to domain.State, providerID, code string, d domain.Decision) (domain.Attempt, error) {
	settled, ok, err := s.reviews.Settle(ctx, a.OrderID, to, providerID, code, d)
	if err != nil {
		return domain.Attempt{}, err
	}
	if !ok {
		return s.attempts.Get(ctx, a.OrderID)
	}
	s.log.InfoContext(ctx, "payment is reviewed", "order_id", a.OrderID, "state", to, "by", d.By, "why", d.Why)
	return settled, nil
}

// reviewRefunds settles refunds that are past their key's window.
func (s *Payments) reviewRefunds(ctx context.Context, before time.Time, sum *domain.Reviewed) error {
	for after := ""; ; {
		page, err := s.reviews.OpenRefunds(ctx, before, after, reviewPage)
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

func (s *Payments) reviewRefund(ctx context.Context, r domain.Refund) (settled bool, err error) {
	found, err := s.findRefund(ctx, r)
	if err != nil || found || !domain.AbsenceProven(r.CreatedAt, s.now()) {
		return found, err
	}
	_, err = s.reviews.SettleRefund(ctx, r.ID, domain.CodeAbsent, domain.Decision{By: reviewer, Why: "none of the refunds that the provider lists of payment " + r.PaymentID + " is this one"})
	return err == nil, err
}

// findRefund looks for a refund at the provider and, if it is there, settles it
// as it was made or refused.
func (s *Payments) findRefund(ctx context.Context, r domain.Refund) (found bool, err error) {
	id, found, err := s.records.FindRefund(ctx, r)
	if refusal, refused := errors.AsType[*domain.Refusal](err); refused {
		_, err = s.refunds.FailRefund(ctx, r.ID, refusal.Code)
		return err == nil, err
	}
	if err == nil && found {
		_, err = s.refunds.FinishRefund(ctx, r.ID, id)
	}
	return found, err
}

// Resolve settles a payment under review by a person's word: that there is no
// payment at the provider, or, with its id, which one it is, which is then
// retrieved. A repeat returns what there is. Errors: ErrPaymentNotFound,
// ErrPaymentMismatch for a payment of another attempt, ErrNotUnderReview,
// ErrOutcomeUnknown.
func (s *Payments) Resolve(ctx context.Context, orderID, paymentID string, d domain.Decision) (domain.Attempt, error) {
	return run(ctx, s, orderID, func(ctx context.Context) (domain.Attempt, error) {
		a, err := s.attempts.Get(ctx, orderID)
		if err != nil {
			return domain.Attempt{}, err
		}
		if done, err := a.CheckReview(); done || err != nil {
			return answer(a, err)
		}
		if paymentID == "" {
			return s.settle(ctx, a, domain.Voided, "", domain.CodeAbsent, d)
		}
		in, err := s.provider.Retrieve(ctx, paymentID)
		if err != nil {
			return domain.Attempt{}, s.unknown(ctx, "resolve", orderID, err)
		}
		if in.AttemptID != a.ID {
			return domain.Attempt{}, domain.ErrPaymentMismatch
		}
		return s.follow(ctx, a, in, in.EndsReview(), d)
	})
}

// ResolveRefund settles a refund that is past its key's window by a person's
// word: that the provider did not make it or, with its id, that it did. The
// provider is asked first: what it knows of the refund counts. Errors:
// ErrPaymentNotFound, ErrPaymentMismatch when the refund with that id is not this
// one, ErrNotUnderReview, ErrOutcomeUnknown.
func (s *Payments) ResolveRefund(ctx context.Context, id, orderID, refundID string, d domain.Decision) (domain.Refund, error) {
	return run(ctx, s, orderID, func(ctx context.Context) (domain.Refund, error) {
		r, found, err := s.refunds.GetRefund(ctx, id)
		switch {
		case err != nil:
			return domain.Refund{}, err
		case !found || r.OrderID != orderID:
			return domain.Refund{}, domain.ErrPaymentNotFound
		case r.State != domain.RefundSent:
			return r, nil
		case !domain.KeyExpired(r.CreatedAt, s.now()):
			return domain.Refund{}, domain.ErrNotUnderReview
		}
		found, err = s.findRefund(ctx, r)
		switch {
		case err != nil:
			return domain.Refund{}, s.unknown(ctx, "resolve", orderID, err)
		case !found && refundID != "":
			return domain.Refund{}, domain.ErrPaymentMismatch
		case !found:
			if _, err := s.reviews.SettleRefund(ctx, id, domain.CodeAbsent, d); err != nil {
				return domain.Refund{}, err
			}
		}
		r, _, err = s.refunds.GetRefund(ctx, id)
		return r, err
	})
}
