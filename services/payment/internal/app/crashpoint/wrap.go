package crashpoint

import (
	"context"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/payment/internal/app"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Wrap returns ports that call hook at each crash point. A hook that returns an
// error stands for the death of the process: the caller gets it instead of what the
// call returned.
func Wrap(p app.Ports, hook crash.Hook) app.Ports {
	p.Attempts = attempts{p.Attempts, hook}
	p.Refunds = refunds{p.Refunds, hook}
	p.Events = events{p.Events, hook}
	p.Provider = provider{p.Provider, hook}
	return p
}

// The points around a move of an attempt: before it is written, and after.
var (
	beforeMove = map[domain.State]crash.Point{domain.Voided: VoidAnswered}
	afterMove  = map[domain.State]crash.Point{
		domain.Authorized: AuthorizeWritten,
		domain.Declined:   AuthorizeWritten,
		domain.Voided:     VoidWritten,
	}
)

type attempts struct {
	app.Attempts
	hook crash.Hook
}

func (s attempts) Begin(ctx context.Context, a domain.Attempt) (domain.Attempt, bool, error) {
	begun, ok, err := s.Attempts.Begin(ctx, a)
	return begun, ok, crash.After(s.hook, AuthorizeSent, err == nil && begun.State == domain.Sent, err)
}

func (s attempts) Move(ctx context.Context, orderID string, from, to domain.State, providerID, code string) (domain.Attempt, bool, error) {
	before := beforeMove[to]
	if to == domain.Declined && code == domain.AuthenticationRequired {
		before = AuthorizeVoided
	}
	if err := crash.After(s.hook, before, true, nil); err != nil {
		return domain.Attempt{}, false, err
	}
	a, ok, err := s.Attempts.Move(ctx, orderID, from, to, providerID, code)
	return a, ok, crash.After(s.hook, afterMove[to], ok && err == nil, err)
}

func (s attempts) StartCapture(ctx context.Context, orderID string, amount money.Money) (domain.Attempt, bool, error) {
	a, ok, err := s.Attempts.StartCapture(ctx, orderID, amount)
	return a, ok, crash.After(s.hook, CaptureSent, ok && err == nil, err)
}

func (s attempts) FinishCapture(ctx context.Context, orderID string) (domain.Attempt, bool, error) {
	a, ok, err := s.Attempts.FinishCapture(ctx, orderID)
	return a, ok, crash.After(s.hook, CaptureWritten, ok && err == nil, err)
}

func (s attempts) StartVoid(ctx context.Context, orderID string) (domain.Attempt, bool, error) {
	a, ok, err := s.Attempts.StartVoid(ctx, orderID)
	return a, ok, crash.After(s.hook, VoidSent, ok && err == nil, err)
}

func (s attempts) LeaveTombstone(ctx context.Context, orderID, attemptID string) (bool, error) {
	ok, err := s.Attempts.LeaveTombstone(ctx, orderID, attemptID)
	return ok, crash.After(s.hook, TombstoneWritten, ok && err == nil, err)
}

func (s attempts) EnterOrphanCapture(ctx context.Context, orderID, paymentID string, amount money.Money) (bool, error) {
	if err := s.hook(OrphanRefunded); err != nil {
		return false, err
	}
	ok, err := s.Attempts.EnterOrphanCapture(ctx, orderID, paymentID, amount)
	return ok, crash.After(s.hook, OrphanWritten, err == nil, err)
}

type refunds struct {
	app.Refunds
	hook crash.Hook
}

func (s refunds) StartRefund(ctx context.Context, r domain.Refund) (domain.Refund, bool, error) {
	started, ok, err := s.Refunds.StartRefund(ctx, r)
	return started, ok, crash.After(s.hook, RefundSent, ok && err == nil, err)
}

func (s refunds) FinishRefund(ctx context.Context, id, providerID string) (bool, error) {
	if err := s.hook(RefundAnswered); err != nil {
		return false, err
	}
	ok, err := s.Refunds.FinishRefund(ctx, id, providerID)
	return ok, crash.After(s.hook, RefundWritten, ok && err == nil, err)
}

func (s refunds) FailRefund(ctx context.Context, id, code string) (bool, error) {
	if err := s.hook(RefundAnswered); err != nil {
		return false, err
	}
	ok, err := s.Refunds.FailRefund(ctx, id, code)
	return ok, crash.After(s.hook, RefundWritten, ok && err == nil, err)
}

type events struct {
	app.Events
	hook crash.Hook
}

func (s events) KeepEvent(ctx context.Context, e domain.Event, traceparent string) (domain.EventState, error) {
	kept, err := s.Events.KeepEvent(ctx, e, traceparent)
	return kept, crash.After(s.hook, EventKept, err == nil, err)
}

func (s events) SettleEvent(ctx context.Context, id string, to domain.EventState) error {
	if err := s.hook(EventApplied); err != nil {
		return err
	}
	err := s.Events.SettleEvent(ctx, id, to)
	return crash.After(s.hook, EventSettled, err == nil, err)
}

type provider struct {
	app.Provider
	hook crash.Hook
}

func (p provider) Authorize(ctx context.Context, req app.Authorization) (app.Hold, error) {
	hold, err := p.Provider.Authorize(ctx, req)
	point := AuthorizeAnswered
	if req.Replay {
		point = VoidReplayed
	}
	return hold, crash.After(p.hook, point, true, err)
}

func (p provider) Capture(ctx context.Context, key, paymentID string, amount money.Money) error {
	return crash.After(p.hook, CaptureAnswered, true, p.Provider.Capture(ctx, key, paymentID, amount))
}
