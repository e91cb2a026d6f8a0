package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/tools/internal/history"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	// keyPrefix starts the idempotency key of everything a replay does; the
	// invoice number follows.
	keyPrefix = "replay-"
	// paymentMethod is Stripe's test card that is always good for its money.
	paymentMethod = "pm_card_visa"
	// settleWait is how long one request waits for an outcome; after it the
	// order is asked for again.
	settleWait = 20 * time.Second
)

// Options of a replay.
type Options struct {
	// Shop is a client with the operator's token.
	Shop *shopclient.Client
	Log  *history.Log
	// Done is what the log held when it was opened.
	Done []history.Record
	// Concurrency is how many customers act at once.
	Concurrency int
	// RetryFor is how long a call is repeated while the shop does not answer.
	RetryFor time.Duration
	// Progress is called after each event; it must not block.
	Progress func(Progress)
}

// Progress is where a replay stands.
type Progress struct {
	Done, Total int
	// Orders and Money (minor units) are what was newly ordered by this run.
	Orders int64
	Money  int64
	// Retries counts calls that had to be repeated.
	Retries int64
}

// Result is what a replay did.
type Result struct {
	Progress
	Elapsed time.Duration
	// Resumed is the number of events that an earlier run had settled.
	Resumed int
	// Problems are events with an outcome that the plan does not have.
	Problems []string
}

type runner struct {
	Options
	carts   map[string]history.Record
	settled map[string]bool

	mu       sync.Mutex
	tokens   map[string]string // by who
	orders   map[string]string // order id by invoice
	problems []string

	done, ordered, money, retries atomic.Int64
	total                         int
}

// Run imports the plan's stock and replays its events. It returns an error
// when it could not go on; what it was answered until then is in the log, and
// another Run with that log goes on from there.
func Run(ctx context.Context, plan *Plan, opts Options) (*Result, error) {
	r := &runner{
		Options: opts,
		carts:   map[string]history.Record{},
		settled: map[string]bool{},
		tokens:  map[string]string{},
		orders:  map[string]string{},
		total:   len(plan.Events),
	}
	stocked := false
	for _, rec := range opts.Done {
		switch rec.Kind {
		case history.KindStock:
			stocked = true
		case history.KindCart:
			r.carts[rec.Key] = rec
			r.tokens[rec.Shopper] = rec.Token
		case history.KindOrder:
			r.settled[rec.Key] = true
			r.orders[rec.Key] = rec.OrderID
		case history.KindRefund:
			r.settled[rec.Key] = true
		}
	}
	if !stocked {
		if err := r.stock(ctx, plan); err != nil {
			return nil, fmt.Errorf("importing the stock: %w", err)
		}
	}
	start := time.Now()
	resumed, err := r.play(ctx, plan.Events)
	res := &Result{Progress: r.progress(), Elapsed: time.Since(start), Resumed: resumed, Problems: r.problems}
	return res, err
}

// play runs the events: those of one customer one after the other, others side
// by side, all in the order of time.
func (r *runner) play(ctx context.Context, events []Event) (resumed int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type task struct {
		event Event
		after <-chan struct{} // the same customer's event before
		done  chan struct{}
	}
	tasks := make(chan task)
	var wg sync.WaitGroup
	for range r.Concurrency {
		wg.Go(func() {
			for t := range tasks {
				if t.after != nil {
					<-t.after // it was handed out earlier, so a worker has it
				}
				if ctx.Err() == nil {
					if err := r.event(ctx, t.event); err != nil {
						cancel(err)
					}
				}
				close(t.done)
			}
		})
	}
	last := map[string]chan struct{}{}
hand:
	for _, e := range events {
		if r.settled[e.key()] {
			resumed++
			r.done.Add(1)
			continue
		}
		t := task{event: e, done: make(chan struct{})}
		if before, ok := last[e.who()]; ok {
			t.after = before
		}
		last[e.who()] = t.done
		select {
		case tasks <- t:
		case <-ctx.Done():
			break hand
		}
	}
	close(tasks)
	wg.Wait()
	return resumed, context.Cause(ctx)
}

// key is the event's idempotency key.
func (e Event) key() string {
	if e.Refund != nil {
		return keyPrefix + e.Refund.Cancellation + "-" + e.Refund.Sale.Invoice
	}
	return keyPrefix + e.Sale.Invoice
}

func (r *runner) event(ctx context.Context, e Event) (err error) {
	if e.Refund != nil {
		err = r.refund(ctx, e.key(), e.Refund)
	} else {
		err = r.sale(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.key(), err)
	}
	r.done.Add(1)
	if r.Progress != nil {
		r.Options.Progress(r.progress())
	}
	return nil
}

func (r *runner) progress() Progress {
	return Progress{Done: int(r.done.Load()), Total: r.total, Orders: r.ordered.Load(), Money: r.money.Load(), Retries: r.retries.Load()}
}

func (r *runner) sale(ctx context.Context, e Event) error {
	s, key := e.Sale, e.key()
	cart, err := r.cart(ctx, e)
	if err != nil {
		return fmt.Errorf("cart: %w", err)
	}
	name := "Guest " + s.Invoice
	if s.Customer != "" {
		name = "Customer " + s.Customer
	}
	shop := r.Shop.WithToken(cart.Token)
	var order *shopclient.Order
	err = r.insist(ctx, func(ctx context.Context) (err error) {
		order, err = shop.PlaceOrder(ctx, key, settleWait, shopclient.Checkout{
			CartID:          cart.CartID,
			PaymentMethod:   paymentMethod,
			Email:           s.email(),
			ShippingAddress: address(name, s.Country),
		})
		return err
	})
	if p, ok := errors.AsType[*shopclient.Problem](err); ok && p.Type == "/problems/total-too-small" {
		r.problem("invoice %s: %s is less than a payment's minimum", s.Invoice, s.Total)
		return nil
	}
	if err != nil {
		return fmt.Errorf("order: %w", err)
	}
	for !order.Settled() {
		id := order.ID
		err := r.insist(ctx, func(ctx context.Context) (err error) {
			order, err = shop.Order(ctx, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("order %s: %w", id, err)
		}
		if !order.Settled() && !pause(ctx, 250*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	if err := r.Log.Append(history.Record{
		Kind: history.KindOrder, Key: key, OrderID: order.ID, State: order.State,
		Amount: order.Total.Amount, Currency: order.Total.Currency,
	}); err != nil {
		return err
	}
	switch {
	case order.State != shopclient.StatePaid:
		r.problem("invoice %s: order %s ended %s (%s)", s.Invoice, order.Number, order.State, order.CancelReason)
	case order.Total.Amount != s.Total.Units || order.Total.Currency != s.Total.Currency:
		r.problem("invoice %s: charged %d %s, the invoice says %s", s.Invoice, order.Total.Amount, order.Total.Currency, s.Total)
	}
	r.mu.Lock()
	r.orders[key] = order.ID
	r.mu.Unlock()
	r.ordered.Add(1)
	r.money.Add(order.Total.Amount)
	return nil
}

// cart returns the cart of a sale: the one of an earlier run, or a new one that
// the log knows before anything is ordered from it.
func (r *runner) cart(ctx context.Context, e Event) (history.Record, error) {
	if rec, ok := r.carts[e.key()]; ok {
		return rec, nil
	}
	who := e.who()
	r.mu.Lock()
	token := r.tokens[who]
	r.mu.Unlock()
	lines := make([]shopclient.Line, len(e.Sale.Lines))
	for i, l := range e.Sale.Lines {
		lines[i] = shopclient.Line{SKU: l.SKU, Quantity: l.Quantity}
	}
	var cart *shopclient.Cart
	begin := func() error {
		return r.insist(ctx, func(ctx context.Context) (err error) {
			// A repeat may leave an empty-handed cart behind; nothing is bought from it.
			cart, err = r.Shop.WithToken(token).NewCart(ctx, lines)
			return err
		})
	}
	err := begin()
	if p, ok := errors.AsType[*shopclient.Problem](err); ok && p.Slug() == "too-many-carts" {
		// A customer of seven months orders more often here than a shopper may within an hour.
		token = ""
		err = begin()
	}
	if err != nil {
		return history.Record{}, err
	}
	if token == "" {
		token = cart.Token
		r.mu.Lock()
		r.tokens[who] = token
		r.mu.Unlock()
	}
	rec := history.Record{Kind: history.KindCart, Key: e.key(), Shopper: who, Token: token, CartID: cart.ID}
	return rec, r.Log.Append(rec)
}

func (r *runner) refund(ctx context.Context, key string, f *Refund) error {
	r.mu.Lock()
	orderID := r.orders[keyPrefix+f.Sale.Invoice]
	r.mu.Unlock()
	if orderID == "" {
		r.problem("invoice %s: was not ordered, so nothing of it is refunded", f.Sale.Invoice)
		return nil
	}
	lines := make([]shopclient.Line, len(f.Lines))
	for i, l := range f.Lines {
		lines[i] = shopclient.Line{SKU: l.SKU, Quantity: l.Quantity}
	}
	var refund *shopclient.Refund
	for {
		err := r.insist(ctx, func(ctx context.Context) (err error) {
			refund, err = r.Shop.Refund(ctx, orderID, key, settleWait, shopclient.RefundRequest{
				Lines: lines, Restock: true, Reason: "cancellation " + f.Cancellation,
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("refund of order %s: %w", orderID, err)
		}
		if refund.State != shopclient.RefundPending {
			break
		}
		if !pause(ctx, 250*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	if refund.State != shopclient.RefundSucceeded || refund.Amount.Amount != f.Amount.Units {
		r.problem("cancellation %s: refund is %s over %d, the invoices say %s", f.Cancellation, refund.State, refund.Amount.Amount, f.Amount)
	}
	return r.Log.Append(history.Record{
		Kind: history.KindRefund, Key: key, OrderID: orderID, RefundID: refund.ID, State: refund.State,
		Amount: refund.Amount.Amount, Currency: refund.Amount.Currency,
	})
}

func (r *runner) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// insist repeats a call while its outcome is unknown or the shop asks to come
// back later, for RetryFor at most. Every call is safe to repeat.
func (r *runner) insist(ctx context.Context, call func(context.Context) error) error {
	until := time.Now().Add(r.RetryFor)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, settleWait+10*time.Second)
		err := call(attempt)
		cancel()
		if err == nil || !retriable(err) || time.Now().After(until) {
			return err
		}
		if !pause(ctx, wait) {
			return context.Cause(ctx)
		}
		r.retries.Add(1)
	}
}

// retriable says whether an error leaves the outcome open or asks to try again.
func retriable(err error) bool {
	var problem *shopclient.Problem
	if errors.As(err, &problem) {
		return problem.Type == "/problems/idempotency-key-in-flight" || problem.Status == 429 || problem.Status >= 500
	}
	return true // no answer
}

// pause waits for d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
