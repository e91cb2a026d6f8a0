package app

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Capture captures what was authorized once, however often it is called. The
// answer is CAPTURED or CAPTURE_FAILED. Errors: ErrPaymentNotFound,
// ErrPaymentNotAuthorized, ErrAmountMismatch, ErrOutcomeUnknown.
func (s *Payments) Capture(ctx context.Context, orderID string, amount money.Money) (domain.Attempt, error) {
	return run(ctx, s, orderID, func(ctx context.Context) (domain.Attempt, error) {
		a, started, err := s.attempts.StartCapture(ctx, orderID, amount)
		if err == nil && !started {
			a, err = s.attempts.Get(ctx, orderID)
		}
		if err == nil {
			err = a.CheckCapture(amount)
		}
		if err != nil {
			return domain.Attempt{}, err
		}
		if a.State != domain.CaptureSent {
			return answer(a, a.Capture())
		}
		return s.capture(ctx, a)
	})
}

// capture settles an attempt that is CAPTURE_SENT.
func (s *Payments) capture(ctx context.Context, a domain.Attempt) (domain.Attempt, error) {
	err := s.provider.Capture(ctx, a.CaptureKey(), a.ProviderID, a.Amount)
	refusal, refused := errors.AsType[*domain.Refusal](err)
	switch {
	case refused:
		a, err = s.move(ctx, a, domain.CaptureFailed, "", refusal.Code)
	case err != nil:
		return domain.Attempt{}, s.unknown(ctx, "capture", a.OrderID, err)
	default:
		a, err = s.finishCapture(ctx, a)
	}
	if err != nil {
		return domain.Attempt{}, err
	}
	return answer(a, a.Capture())
}

func (s *Payments) finishCapture(ctx context.Context, a domain.Attempt) (domain.Attempt, error) {
	done, finished, err := s.attempts.FinishCapture(ctx, a.OrderID)
	if err != nil || finished {
		return done, err
	}
	return s.attempts.Get(ctx, a.OrderID)
}
