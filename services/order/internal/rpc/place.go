package rpc

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/point"
)

// PlaceOrder accepts an order, starts to drive it and answers: at once with the
// order as placed, or, for a call that waits, with the order as settled if that
// comes in time. Which of the two it is, is decided once for a key.
func (s *Server) PlaceOrder(ctx context.Context, req *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	to := req.GetShippingAddress()
	if !domain.Text(req.GetIdempotencyKey(), req.GetEmail(), to.GetName(), to.GetLine1(), to.GetLine2(), to.GetCity(), to.GetPostalCode()) {
		return nil, domain.ErrInvalidText
	}
	// Before anything is read: what is refused must cost next to nothing. A repeat
	// of an accepted order may be refused, too; it is asked again.
	if s.drives.Full() {
		return nil, domain.ErrOverloaded
	}
	id, err := s.store.FindByKey(ctx, req.GetCustomerId(), req.GetIdempotencyKey())
	if err == nil {
		return s.replay(ctx, id, req)
	}
	if !errors.Is(err, domain.ErrOrderNotFound) {
		return nil, err
	}
	o, err := s.compose(ctx, req)
	if err != nil {
		// The cart may be what it is because this very key has bought it meanwhile.
		if id, found := s.store.FindByKey(ctx, req.GetCustomerId(), req.GetIdempotencyKey()); found == nil {
			return s.replay(ctx, id, req)
		}
		return nil, err
	}
	wait := req.GetWait().AsDuration()
	changes, end := s.changes.Subscribe(o.ID)
	defer end()
	err = commit(ctx, func(ctx context.Context) (err error) {
		o, err = s.store.Place(ctx, o, wait, domain.NewNumber)
		return err
	})
	if errors.Is(err, domain.ErrKeyTaken) {
		id, err := s.store.FindByKey(ctx, req.GetCustomerId(), req.GetIdempotencyKey())
		if err != nil {
			return nil, err
		}
		return s.replay(ctx, id, req)
	}
	if err != nil {
		return nil, err
	}
	if err := s.crash(point.Placed); err != nil {
		return nil, err
	}
	s.drives.Start(trace.SpanContextFromContext(ctx), o)
	if wait == 0 {
		return placed(o.AsPlaced(), false), nil
	}
	settled, done, err := s.await(ctx, o.ID, changes, until(ctx, wait), pollInterval, false)
	if err != nil {
		return nil, err
	}
	if !done {
		return s.decide(ctx, o, false)
	}
	return placed(answer(settled), false), nil
}

// compose makes the order from the cart and the catalog's prices. Nothing is written.
func (s *Server) compose(ctx context.Context, req *orderv1.PlaceOrderRequest) (domain.Order, error) {
	cart, version, err := s.carts.Get(ctx, req.GetCartId(), req.GetCustomerId())
	if err != nil {
		return domain.Order{}, err
	}
	if req.CartVersion != nil && req.GetCartVersion() != version {
		return domain.Order{}, &domain.CartConflictError{Version: version}
	}
	if len(cart) == 0 {
		return domain.Order{}, domain.ErrCartEmpty
	}
	skus := make([]string, len(cart))
	for i, l := range cart {
		skus[i] = l.SKU
	}
	variants, err := s.prices.Variants(ctx, skus)
	if err != nil {
		return domain.Order{}, err
	}
	lines, total, err := domain.Price(cart, variants)
	if err != nil {
		return domain.Order{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return domain.Order{}, err
	}
	return domain.Order{
		ID: id.String(), CustomerID: req.GetCustomerId(),
		IdempotencyKey: req.GetIdempotencyKey(), RequestHash: req.GetRequestHash(),
		Lines: lines, Total: total, Email: req.GetEmail(), Address: address(req.GetShippingAddress()),
		CartID: req.GetCartId(), CartVersion: version, PaymentMethod: req.GetPaymentMethod(),
		TraceParent: jobs.TraceParent(ctx),
	}, nil
}

// commit runs a write that is to be driven from here. Once it has begun it is
// carried through, whether or not its caller still listens: a call that ended
// while the database commits would leave what it wrote to a job that is due much
// later.
func commit(ctx context.Context, write func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return write(ctx)
}

// replay answers a repeat with what its first call was, or will be, answered.
// Errors: domain.ErrKeyReused, ErrKeyInFlight.
func (s *Server) replay(ctx context.Context, orderID string, req *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	changes, end := s.changes.Subscribe(orderID)
	defer end()
	o, err := s.store.Get(ctx, orderID, req.GetCustomerId())
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(o.RequestHash, req.GetRequestHash()) {
		return nil, domain.ErrKeyReused
	}
	if o.AnsweredPending || o.State.Terminal() {
		return placed(answer(o), true), nil
	}
	// The first call still waits, and its answer is this one's.
	wait := max(req.GetWait().AsDuration(), replayWait)
	decided, done, err := s.await(ctx, orderID, changes, until(ctx, wait), replayPoll, true)
	if err != nil {
		return nil, err
	}
	if done {
		return placed(answer(decided), true), nil
	}
	head, err := s.store.Head(ctx, orderID)
	if err != nil {
		return nil, err
	}
	if !head.AnswerDue {
		return nil, domain.ErrKeyInFlight
	}
	// The first call is gone: this one decides for both.
	return s.decide(ctx, o, true)
}

// decide settles the answer of a key for which waiting is over.
func (s *Server) decide(ctx context.Context, o domain.Order, replayed bool) (*orderv1.PlaceOrderResponse, error) {
	pending, err := s.store.AnswerPending(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	if pending {
		o.AnsweredPending = true
		s.changes.Publish(o) // for repeats that wait
		return placed(o.AsPlaced(), replayed), nil
	}
	if o, err = s.store.Get(ctx, o.ID, ""); err != nil {
		return nil, err
	}
	return placed(answer(o), replayed), nil
}

// answer returns what a key is answered with once it is decided: the order has
// AnsweredPending or is terminal.
func answer(o domain.Order) domain.Order {
	if o.AnsweredPending {
		return o.AsPlaced()
	}
	return o.AsSettled()
}

func placed(o domain.Order, replayed bool) *orderv1.PlaceOrderResponse {
	return &orderv1.PlaceOrderResponse{Order: orderProto(o), Replayed: replayed}
}

const (
	// commitTimeout bounds a write that no longer ends with its call.
	commitTimeout = 5 * time.Second
	// pollInterval is how often whoever waits looks at the database, for changes
	// made by another process.
	pollInterval = time.Second
	// replayWait is how long a repeat waits at least for the first call's answer,
	// and replayPoll how often it looks.
	replayWait = 5 * time.Second
	replayPoll = 250 * time.Millisecond
	// answerMargin is what is left of a call's deadline for deciding and sending
	// its answer.
	answerMargin = 150 * time.Millisecond
)

// until returns when a call stops waiting: after wait, but before its deadline.
func until(ctx context.Context, wait time.Duration) time.Time {
	end := time.Now().Add(wait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-answerMargin).Before(end) {
		end = deadline.Add(-answerMargin)
	}
	return end
}

// await returns the order once it is settled, or, with answered, once its answer
// is decided; false when neither happens in time.
func (s *Server) await(ctx context.Context, orderID string, changes <-chan domain.Order, end time.Time, every time.Duration, answered bool) (domain.Order, bool, error) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	poll := time.NewTicker(every)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return domain.Order{}, false, ctx.Err()
		case <-timer.C:
			return domain.Order{}, false, nil
		case <-s.stop:
			return domain.Order{}, false, nil
		case o := <-changes:
			if o.State.Terminal() || (answered && o.AnsweredPending) {
				return o, true, nil
			}
		case <-poll.C:
			head, err := s.store.Head(ctx, orderID)
			if err != nil {
				return domain.Order{}, false, err
			}
			if head.State.Terminal() || (answered && head.AnsweredPending) {
				o, err := s.store.Get(ctx, orderID, "")
				return o, err == nil, err
			}
		}
	}
}
