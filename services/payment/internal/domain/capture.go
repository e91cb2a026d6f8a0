package domain

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/point"
)

// Capture takes what was authorized, once, however often it is asked. The
// answer is CAPTURED or CAPTURE_FAILED. Errors: ErrPaymentNotFound,
// ErrPaymentNotAuthorized, ErrAmountMismatch, ErrOutcomeUnknown.
func (s *Service) Capture(ctx context.Context, orderID string, amount money.Money) (Attempt, error) {
	return run(ctx, s, orderID, func(ctx context.Context) (Attempt, error) {
		a, started, err := s.store.StartCapture(ctx, orderID, amount)
		if err == nil && !started {
			a, err = s.store.Get(ctx, orderID)
		}
		switch {
		case err != nil:
			return Attempt{}, err
		case a.Tombstone():
			return Attempt{}, ErrPaymentNotAuthorized
		case a.Amount != amount:
			return Attempt{}, ErrAmountMismatch
		case a.State != CaptureSent:
			return captured(a)
		}
		if err := s.crash(point.CaptureSent); err != nil {
			return Attempt{}, err
		}
		return s.capture(ctx, a)
	})
}

// capture settles an attempt that is CAPTURE_SENT.
func (s *Service) capture(ctx context.Context, a Attempt) (Attempt, error) {
	err := s.provider.Capture(ctx, a.captureKey(), a.ProviderID, a.Amount)
	if crashed := s.crash(point.CaptureAnswered); crashed != nil {
		return Attempt{}, crashed
	}
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case refused:
		a, err = s.move(ctx, a, CaptureFailed, "", refusal.Code)
	case err != nil:
		return Attempt{}, s.unknown(ctx, "capture", a.OrderID, err)
	default:
		var finished bool
		a, finished, err = s.finishCapture(ctx, a)
		if err == nil && finished {
			err = s.crash(point.CaptureWritten)
		}
	}
	if err != nil {
		return Attempt{}, err
	}
	return captured(a)
}

func (s *Service) finishCapture(ctx context.Context, a Attempt) (Attempt, bool, error) {
	done, finished, err := s.store.FinishCapture(ctx, a.OrderID)
	if err != nil || finished {
		return done, finished, err
	}
	a, err = s.store.Get(ctx, a.OrderID)
	return a, false, err
}

// captured is the answer to Capture for an attempt as it stands.
func captured(a Attempt) (Attempt, error) {
	switch a.State {
	case Captured, CaptureFailed:
		return a, nil
	case CaptureSent:
		return Attempt{}, ErrOutcomeUnknown
	default:
		return Attempt{}, ErrPaymentNotAuthorized
	}
}
