package crashpoint

import (
	"context"
	"errors"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Wrap returns ports that call hook at each crash point: after a write that
// happened, and after an answer that is definite. The caller gets the hook's error
// instead of what the call returned, as if it had not lived to see it.
func Wrap(p app.Ports, hook crash.Hook) app.Ports {
	return app.Ports{
		Orders:   orders{p.Orders, hook},
		Refunds:  refunds{p.Refunds, hook},
		Catalog:  catalog{p.Catalog, hook},
		Carts:    carts{p.Carts, hook},
		Payments: payments{p.Payments, hook},
		Sessions: p.Sessions, Customers: p.Customers, Persons: p.Persons,
	}
}

// written is the point after each state was written.
var written = map[domain.State]crash.Point{
	domain.Authorizing: AuthorizingWritten,
	domain.Confirming:  ConfirmingWritten,
	domain.Capturing:   CapturingWritten,
	domain.Paid:        PaidWritten,
	domain.Cancelling:  CancellingWritten,
	domain.Cancelled:   CancelledWritten,
}

type orders struct {
	app.Orders
	hook crash.Hook
}

func (s orders) Place(ctx context.Context, o domain.Order, wait time.Duration, newNumber func() string) (domain.Order, error) {
	placed, err := s.Orders.Place(ctx, o, wait, newNumber)
	return placed, crash.After(s.hook, Placed, err == nil, err)
}

func (s orders) Advance(ctx context.Context, o domain.Order, t domain.Transition, note domain.Note) (domain.Order, bool, error) {
	next, ok, err := s.Orders.Advance(ctx, o, t, note)
	return next, ok, crash.After(s.hook, written[t.To], ok, err)
}

func (s orders) Cancel(ctx context.Context, orderID string) (bool, error) {
	ok, err := s.Orders.Cancel(ctx, orderID)
	return ok, crash.After(s.hook, CancellingWritten, ok, err)
}

type refunds struct {
	app.Refunds
	hook crash.Hook
}

func (s refunds) PlaceRefund(ctx context.Context, want domain.Refund) (domain.Refund, bool, error) {
	r, replayed, err := s.Refunds.PlaceRefund(ctx, want)
	return r, replayed, crash.After(s.hook, RefundPlaced, err == nil && !replayed, err)
}

func (s refunds) SettleRefund(ctx context.Context, r domain.Refund, state domain.RefundState, failureCode string) error {
	err := s.Refunds.SettleRefund(ctx, r, state, failureCode)
	return crash.After(s.hook, RefundWritten, err == nil, err)
}

type catalog struct {
	app.Catalog
	hook crash.Hook
}

func (c catalog) Reserve(ctx context.Context, orderID string, lines []domain.CartLine) (time.Duration, error) {
	left, err := c.Catalog.Reserve(ctx, orderID, lines)
	return left, answered(c.hook, ReserveAnswered, err)
}

func (c catalog) Confirm(ctx context.Context, orderID string) error {
	return answered(c.hook, ConfirmAnswered, c.Catalog.Confirm(ctx, orderID))
}

func (c catalog) Release(ctx context.Context, orderID string) error {
	return answered(c.hook, ReleaseAnswered, c.Catalog.Release(ctx, orderID))
}

func (c catalog) Restock(ctx context.Context, refundID, orderID string, lines []domain.RefundLine) error {
	return answered(c.hook, RestockAnswered, c.Catalog.Restock(ctx, refundID, orderID, lines))
}

type carts struct {
	app.Carts
	hook crash.Hook
}

func (c carts) RemoveOrdered(ctx context.Context, o domain.Order) error {
	return answered(c.hook, CartCleared, c.Carts.RemoveOrdered(ctx, o))
}

type payments struct {
	app.Payments
	hook crash.Hook
}

func (p payments) Authorize(ctx context.Context, o domain.Order) (app.Authorization, error) {
	a, err := p.Payments.Authorize(ctx, o)
	return a, answered(p.hook, AuthorizeAnswered, err)
}

func (p payments) Capture(ctx context.Context, orderID string, amount money.Money) (app.Outcome, error) {
	outcome, err := p.Payments.Capture(ctx, orderID, amount)
	return outcome, answered(p.hook, CaptureAnswered, err)
}

func (p payments) Cancel(ctx context.Context, orderID string) error {
	return answered(p.hook, VoidAnswered, p.Payments.Cancel(ctx, orderID))
}

func (p payments) Refund(ctx context.Context, refundID, orderID string, amount money.Money) (app.Outcome, error) {
	outcome, err := p.Payments.Refund(ctx, refundID, orderID, amount)
	return outcome, answered(p.hook, RefundAnswered, err)
}

// definite are the errors of the ports from which the driver goes on.
var definite = []error{
	domain.ErrReservationLost, domain.ErrRestockRefused,
	domain.ErrPaymentVoided, domain.ErrPaymentMismatch, domain.ErrCaptureRefused, domain.ErrRefundRefused,
}

// answered is crash.After for a call of a neighbor, which is over when its answer is
// definite.
func answered(hook crash.Hook, p crash.Point, err error) error {
	var short *domain.ShortStockError
	over := err == nil || errors.As(err, &short)
	for _, e := range definite {
		over = over || errors.Is(err, e)
	}
	return crash.After(hook, p, over, err)
}
