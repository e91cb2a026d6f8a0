package crashpoint_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/payment/internal/app"
	"github.com/souk-shop/souk/services/payment/internal/app/crashpoint"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// The stubs do what they are asked, and count what they wrote.

type stubAttempts struct {
	app.Attempts
	writes *int
}

func (s stubAttempts) Begin(_ context.Context, a domain.Attempt) (domain.Attempt, bool, error) {
	*s.writes++
	return a, true, nil
}

func (s stubAttempts) Move(_ context.Context, _ string, _, to domain.State, _, code string) (domain.Attempt, bool, error) {
	*s.writes++
	return domain.Attempt{State: to, Code: code}, true, nil
}

func (s stubAttempts) StartCapture(context.Context, string, money.Money) (domain.Attempt, bool, error) {
	*s.writes++
	return domain.Attempt{State: domain.CaptureSent}, true, nil
}

func (s stubAttempts) FinishCapture(context.Context, string) (domain.Attempt, bool, error) {
	*s.writes++
	return domain.Attempt{State: domain.Captured}, true, nil
}

func (s stubAttempts) StartVoid(context.Context, string) (domain.Attempt, bool, error) {
	*s.writes++
	return domain.Attempt{State: domain.VoidSent}, true, nil
}

func (s stubAttempts) LeaveTombstone(context.Context, string, string) (bool, error) {
	*s.writes++
	return true, nil
}

func (s stubAttempts) EnterOrphanCapture(context.Context, string, string, money.Money) (bool, error) {
	*s.writes++
	return true, nil
}

type stubRefunds struct {
	app.Refunds
	writes *int
}

func (s stubRefunds) StartRefund(_ context.Context, r domain.Refund) (domain.Refund, bool, error) {
	*s.writes++
	return r, true, nil
}

func (s stubRefunds) FinishRefund(context.Context, string, string) (bool, error) {
	*s.writes++
	return true, nil
}

func (s stubRefunds) FailRefund(context.Context, string, string) (bool, error) {
	*s.writes++
	return true, nil
}

type stubEvents struct {
	app.Events
	writes *int
}

func (s stubEvents) KeepEvent(context.Context, domain.Event, string) (domain.EventState, error) {
	*s.writes++
	return domain.EventPending, nil
}

func (s stubEvents) SettleEvent(context.Context, string, domain.EventState) error {
	*s.writes++
	return nil
}

type stubProvider struct {
	app.Provider
	writes *int
}

func (p stubProvider) Authorize(context.Context, app.Authorization) (app.Hold, error) {
	*p.writes++
	return app.Hold{}, nil
}

func (p stubProvider) Capture(context.Context, string, string, money.Money) error {
	*p.writes++
	return nil
}

// TestEveryPointIsReached makes each call of a port that has points and arms one of
// them: the call fails there and nowhere else, before its effect or after it, and no
// point is left that no call reaches.
func TestEveryPointIsReached(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	move := func(to domain.State, code string) func(app.Ports) error {
		return func(p app.Ports) error {
			_, _, err := p.Attempts.Move(ctx, "o", domain.Sent, to, "pi_1", code)
			return err
		}
	}
	authorize := func(replay bool) func(app.Ports) error {
		return func(p app.Ports) error {
			_, err := p.Provider.Authorize(ctx, app.Authorization{Replay: replay})
			return err
		}
	}
	settle := func(p app.Ports) error { return p.Events.SettleEvent(ctx, "evt_1", domain.EventApplied) }
	orphan := func(p app.Ports) error {
		_, err := p.Attempts.EnterOrphanCapture(ctx, "o", "pi_1", money.Money{})
		return err
	}
	finish := func(p app.Ports) error { _, err := p.Refunds.FinishRefund(ctx, "r", "re_1"); return err }
	fail := func(p app.Ports) error { _, err := p.Refunds.FailRefund(ctx, "r", "no"); return err }
	var reached []crash.Point
	for _, c := range []struct {
		point  crash.Point
		call   func(app.Ports) error
		writes int // that have happened at the point
	}{
		{crashpoint.AuthorizeSent, func(p app.Ports) error {
			_, _, err := p.Attempts.Begin(ctx, domain.Attempt{State: domain.Sent})
			return err
		}, 1},
		{crashpoint.AuthorizeAnswered, authorize(false), 1},
		{crashpoint.AuthorizeVoided, move(domain.Declined, domain.AuthenticationRequired), 0},
		{crashpoint.AuthorizeWritten, move(domain.Authorized, ""), 1},
		{crashpoint.AuthorizeWritten, move(domain.Declined, "expired_card"), 1},
		{crashpoint.CaptureSent, func(p app.Ports) error { _, _, err := p.Attempts.StartCapture(ctx, "o", money.Money{}); return err }, 1},
		{crashpoint.CaptureAnswered, func(p app.Ports) error { return p.Provider.Capture(ctx, "k", "pi_1", money.Money{}) }, 1},
		{crashpoint.CaptureWritten, func(p app.Ports) error { _, _, err := p.Attempts.FinishCapture(ctx, "o"); return err }, 1},
		{crashpoint.VoidSent, func(p app.Ports) error { _, _, err := p.Attempts.StartVoid(ctx, "o"); return err }, 1},
		{crashpoint.VoidReplayed, authorize(true), 1},
		{crashpoint.VoidAnswered, move(domain.Voided, ""), 0},
		{crashpoint.VoidWritten, move(domain.Voided, ""), 1},
		{crashpoint.TombstoneWritten, func(p app.Ports) error { _, err := p.Attempts.LeaveTombstone(ctx, "o", "a"); return err }, 1},
		{crashpoint.RefundSent, func(p app.Ports) error { _, _, err := p.Refunds.StartRefund(ctx, domain.Refund{}); return err }, 1},
		{crashpoint.RefundAnswered, finish, 0}, {crashpoint.RefundWritten, finish, 1},
		{crashpoint.RefundAnswered, fail, 0}, {crashpoint.RefundWritten, fail, 1},
		{crashpoint.OrphanRefunded, orphan, 0}, {crashpoint.OrphanWritten, orphan, 1},
		{crashpoint.EventKept, func(p app.Ports) error { _, err := p.Events.KeepEvent(ctx, domain.Event{}, ""); return err }, 1},
		{crashpoint.EventApplied, settle, 0}, {crashpoint.EventSettled, settle, 1},
	} {
		writes := 0
		stubs := app.Ports{
			Attempts: stubAttempts{writes: &writes}, Refunds: stubRefunds{writes: &writes},
			Events: stubEvents{writes: &writes}, Provider: stubProvider{writes: &writes},
		}
		err := c.call(crashpoint.Wrap(stubs, func(p crash.Point) error {
			if p == c.point {
				return crash.ErrCrashed
			}
			return nil
		}))
		if !errors.Is(err, crash.ErrCrashed) || writes != c.writes {
			t.Errorf("%s: %v after %d writes, want a crash after %d", c.point, err, writes, c.writes)
		}
		reached = append(reached, c.point)
		writes = 0
		if err := c.call(crashpoint.Wrap(stubs, crash.Never)); err != nil || writes != 1 {
			t.Errorf("%s is not armed: %v, %d writes", c.point, err, writes)
		}
	}
	for _, p := range crashpoint.All() {
		if !slices.Contains(reached, p) {
			t.Errorf("no call reaches %s", p)
		}
	}
}
