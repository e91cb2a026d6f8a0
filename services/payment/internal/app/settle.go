package app

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// settledAtOnce bounds how many payments are settled at the same time.
const settledAtOnce = 8

// SettleUnknown ends every payment that the provider made from a time on and that no
// attempt is about: the database was restored to an earlier time, and has neither the attempt nor,
// unless it is driven anew, the order. What is held is voided, and what was captured is refunded in
// full and entered in the ledger with its refund. What the provider refuses to refund, as a payment that
// is refunded in part, is left: the reconciliation names it. It may be repeated, and goes on then.
//
// The cells of a shop have one account at the provider, and each ends the payments of its own buckets.
// Where one has moved meanwhile, each of two cells may have left its payments to the other, which is unknown.
//
// A database whose first attempt is from after the time, or that has none, was not restored to it: it may be
// a new one, of which the provider's payments would all be unknown. None is ended then.
// Errors: ErrInvalidWindow, ErrNotRestored, ErrOutcomeUnknown.
func (s *Payments) SettleUnknown(ctx context.Context, from time.Time) error {
	to := s.now()
	if from.IsZero() || !from.Before(to) {
		return domain.ErrInvalidWindow
	}
	first, err := s.ledger.FirstAttempt(ctx)
	if err != nil {
		return err
	}
	if first.After(from) {
		return domain.ErrNotRestored
	}
	own, err := s.owned(ctx)
	if err != nil {
		return err
	}
	var g errgroup.Group // one that fails keeps none from the others
	g.SetLimit(settledAtOnce)
	var failed error
	for in, err := range s.records.Payments(ctx, from.Add(-domain.ClockSkew), to.Add(domain.ClockSkew)) {
		if err != nil {
			failed = s.unknown(ctx, "settle", "", err)
			break
		}
		if in.OrderID != "" && in.AttemptID != "" && in.Remedy() != domain.NoRemedy && isOwn(&own, in.OrderID) {
			g.Go(func() error { return s.settleUnknown(ctx, in) })
		}
	}
	if err := errors.Join(g.Wait(), failed); err != nil {
		return err
	}
	switch now, err := s.owned(ctx); {
	case err != nil:
		return err
	case now != own:
		return s.unknown(ctx, "settle", "", errBucketsMoved)
	}
	return nil
}

var errBucketsMoved = errors.New("buckets have moved to or from this cell meanwhile")

// settleUnknown ends a payment that no attempt is about. An order that payment does not know gets a
// tombstone, so that it cannot be authorized meanwhile.
func (s *Payments) settleUnknown(ctx context.Context, in domain.Intent) error {
	_, err := run(ctx, s, in.OrderID, func(ctx context.Context) (domain.Attempt, error) {
		a, err := s.attempts.Get(ctx, in.OrderID)
		if errors.Is(err, domain.ErrPaymentArchived) {
			return a, nil // the shop has settled it
		}
		if errors.Is(err, domain.ErrPaymentNotFound) {
			if _, err := s.attempts.LeaveTombstone(ctx, in.OrderID, s.newID()); err != nil {
				return a, err
			}
			a, err = s.attempts.Get(ctx, in.OrderID)
		}
		if err != nil || a.Owns(in) {
			return a, err // its command, or a review, settles it
		}
		if in.Status == domain.IntentCaptured {
			entered, err := s.attempts.OrphanEntered(ctx, in.ID)
			if err != nil || entered {
				return a, err
			}
		}
		err = s.voidOrRefund(ctx, a, in)
		if refusal, refused := errors.AsType[*domain.Refusal](err); refused { // for good: a repeat is refused, too
			s.log.ErrorContext(ctx, "a payment of no order cannot be refunded in full", "order_id", in.OrderID, "payment", in.ID, "code", refusal.Code)
			return a, nil
		}
		return a, err
	})
	return err
}
