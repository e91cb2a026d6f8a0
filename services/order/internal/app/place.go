package app

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/proto/contact"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// replayWait is how long a repeat waits at least for the first call's answer.
const replayWait = 5 * time.Second

// PlaceOrderRequest is what a customer wants to buy.
type PlaceOrderRequest struct {
	CustomerID string
	// IdempotencyKey is the customer's name for this purchase, and RequestHash
	// tells whether a repeat asks for the same.
	IdempotencyKey string
	RequestHash    []byte

	CartID string
	// CartVersion, unless nil, is the version that the cart has to have.
	CartVersion *int64
	// Consent is what the buyer agreed to.
	Consent       domain.Consent
	PaymentMethod string
	// Client is the address that the order comes from; the zero Addr if it is not known.
	Client  netip.Addr
	Email   string
	Address contact.Address
	// Session is the customer's.
	Session domain.Session
	// Wait is how long the caller waits for the order to be settled.
	Wait time.Duration
}

// Placed is the answer to a PlaceOrderRequest.
type Placed struct {
	// Order as it was placed or, for a call that waited, as it was settled.
	Order domain.Order
	// Replayed: an earlier call had placed it.
	Replayed bool
}

// PlaceOrder accepts an order, starts to drive it and answers: at once with the
// order as placed, or, for a call that waits, with the order as settled if that
// is in time. Which of the two it is, is decided once for a key. Errors:
// *domain.RecipientError, *domain.BuyerLimitError, domain.ErrInvalidText, ErrOverloaded, *KeyError, ErrSessionEnded, those of
// priceCart. A repeat is answered to a session that the order itself has ended: who knows
// the key and everything that was ordered has placed it.
func (a *App) PlaceOrder(ctx context.Context, req PlaceOrderRequest) (Placed, error) {
	if !domain.Text(req.IdempotencyKey) {
		return Placed{}, domain.ErrInvalidText
	}
	var invalid domain.RecipientError
	req.Email, invalid.Email = contact.Email(req.Email)
	req.Address, invalid.Address = req.Address.Check()
	if invalid.Email != "" || invalid.Address != nil {
		return Placed{}, &invalid
	}
	// Before anything is read: a refusal must cost next to nothing. A repeat of an
	// accepted order may be refused, too; its caller asks again.
	buyer := Buyer{CustomerID: req.CustomerID, IdempotencyKey: req.IdempotencyKey, AddressKey: a.limits.AddressKey(req.Client)}
	if a.runner.Full(req.Client) {
		return Placed{}, domain.ErrOverloaded
	}
	buyer.Subjects = a.limits.Subjects(domain.Order{CustomerID: req.CustomerID, AddressKey: buyer.AddressKey, PaymentMethod: req.PaymentMethod})
	standing, err := a.Orders.Standing(ctx, buyer)
	if err != nil {
		return Placed{}, err
	}
	if standing.OrderID != "" {
		return a.replay(ctx, standing.OrderID, req)
	}
	if err := a.limits.Admit(buyer.Subjects, standing); err != nil {
		return Placed{}, a.refused(ctx, err)
	}
	o, err := a.newOrder(ctx, req)
	if err == nil {
		o.AddressKey = buyer.AddressKey
		err = a.refused(ctx, a.limits.AdmitUnits(standing, o.Lines))
	}
	if err != nil {
		// The cart may be what it is because this very key has bought it meanwhile.
		if id, found := a.Orders.FindByKey(ctx, req.CustomerID, req.IdempotencyKey); found == nil {
			return a.replay(ctx, id, req)
		}
		return Placed{}, err
	}
	bucket, err := cell.OfText(o.ID)
	if err != nil {
		return Placed{}, err
	}
	changes, end := a.changes.Subscribe(o.ID)
	defer end()
	err = commit(ctx, func(ctx context.Context) (err error) {
		o, err = a.Orders.Place(ctx, o, req.Wait, domain.Numbers(bucket.String()))
		return err
	})
	if errors.Is(err, domain.ErrKeyTaken) || errors.Is(err, domain.ErrSessionEnded) {
		id, found := a.Orders.FindByKey(ctx, req.CustomerID, req.IdempotencyKey)
		if errors.Is(found, domain.ErrOrderNotFound) {
			return Placed{}, err
		}
		if found != nil {
			return Placed{}, found
		}
		return a.replay(ctx, id, req)
	}
	if err != nil {
		return Placed{}, err
	}
	a.runner.Start(trace.SpanContextFromContext(ctx), o, req.Client)
	if req.Wait == 0 {
		return Placed{Order: o.AsPlaced()}, nil
	}
	settled, done, err := a.await(ctx, changes, until(ctx, req.Wait), domain.Order.Settled)
	if err != nil {
		return Placed{}, err
	}
	if !done {
		return a.decideAnswer(ctx, o, false)
	}
	return Placed{Order: settled.Answer()}, nil
}

// refused records an order that a buyer's limit refuses.
func (a *App) refused(ctx context.Context, err error) error {
	if limit, ok := errors.AsType[*domain.BuyerLimitError](err); ok && a.limitMet != nil {
		a.limitMet(ctx, limit.Limit)
	}
	return err
}

// newOrder makes a new order from the customer's cart and the catalog's prices.
// Nothing is written. Errors: those of priceCart, *domain.PriceChangedError,
// domain.ErrInvalidAgreement, those of domain.Limits.
func (a *App) newOrder(ctx context.Context, req PlaceOrderRequest) (domain.Order, error) {
	quote, version, err := a.priceCart(ctx, req.CartID, req.CustomerID, req.CartVersion)
	if err != nil {
		return domain.Order{}, err
	}
	if err := req.Consent.Check(quote, version); err != nil {
		return domain.Order{}, err
	}
	// While payment is unavailable orders are accepted all the same: the step that
	// authorizes finds out.
	if limits, known := a.Payments.Limits(ctx, quote.Total.Currency); known {
		if err := limits.Check(quote.Total); err != nil {
			return domain.Order{}, err
		}
	}
	id, err := cell.NewIDWith(req.CustomerID)
	if err != nil {
		return domain.Order{}, err
	}
	o := domain.Order{
		ID: id, CustomerID: req.CustomerID,
		IdempotencyKey: req.IdempotencyKey, RequestHash: req.RequestHash,
		Lines: quote.Lines, Total: quote.Total, Email: req.Email, Address: req.Address,
		CartID: req.CartID, CartVersion: version, PaymentMethod: req.PaymentMethod,
		TraceParent: telemetry.TraceParent(ctx), Session: req.Session,
	}
	if req.Consent.Agreement != "" {
		o.AgreementDigest = quote.Digest()
	}
	return o, nil
}

// replay answers a repeat with what its first call was, or will be, answered.
// Errors: domain.ErrKeyReused, ErrKeyInFlight.
func (a *App) replay(ctx context.Context, orderID string, req PlaceOrderRequest) (Placed, error) {
	changes, end := a.changes.Subscribe(orderID)
	defer end()
	o, err := a.Orders.Get(ctx, orderID, domain.Viewer{Customer: req.CustomerID})
	if err != nil {
		return Placed{}, err
	}
	if !bytes.Equal(o.RequestHash, req.RequestHash) {
		return Placed{}, &domain.KeyError{Err: domain.ErrKeyReused, OrderID: o.ID, SessionSince: o.SessionSince}
	}
	if o.Answered() {
		return Placed{Order: o.Answer(), Replayed: true}, nil
	}
	// The first call still waits, and its answer is this one's.
	answered, done, err := a.await(ctx, changes, until(ctx, max(req.Wait, replayWait)), domain.Order.Answered)
	if err != nil {
		return Placed{}, err
	}
	if done {
		return Placed{Order: answered.Answer(), Replayed: true}, nil
	}
	due, err := a.Orders.AnswerDue(ctx, orderID)
	if err != nil {
		return Placed{}, err
	}
	if !due {
		return Placed{}, &domain.KeyError{Err: domain.ErrKeyInFlight, OrderID: o.ID, SessionSince: o.SessionSince}
	}
	// The first call is gone: this one decides for both.
	return a.decideAnswer(ctx, o, true)
}

// decideAnswer settles the answer of a key for which waiting is over.
func (a *App) decideAnswer(ctx context.Context, o domain.Order, replayed bool) (Placed, error) {
	pending, err := a.Orders.AnswerPending(ctx, o.ID)
	if err != nil {
		return Placed{}, err
	}
	if pending {
		o.AnsweredPending = true
		a.changes.Publish(o) // for repeats that wait
		return Placed{Order: o.AsPlaced(), Replayed: replayed}, nil
	}
	if o, err = a.Orders.Get(ctx, o.ID, domain.Viewer{All: true}); err != nil {
		return Placed{}, err
	}
	return Placed{Order: o.Answer(), Replayed: replayed}, nil
}

// await returns the first published version of an order that is what the caller
// waits for; false when there is none in time.
func (a *App) await(ctx context.Context, changes <-chan domain.Order, end time.Time, awaited func(domain.Order) bool) (domain.Order, bool, error) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return domain.Order{}, false, ctx.Err()
		case <-timer.C:
			return domain.Order{}, false, nil
		case <-a.draining:
			return domain.Order{}, false, nil
		case o := <-changes:
			if awaited(o) {
				return o, true, nil
			}
		}
	}
}
