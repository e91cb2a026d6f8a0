package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/localshop"
)

// evidence is what the databases and the provider's journal hold once the shop
// is at rest.
type evidence struct {
	report       *audit.Report
	orders       map[string]orderRow         // by id
	refunds      map[string]refundRow        // by idempotency key
	reservations map[string]string           // state by order
	attempts     map[string]string           // state by order
	carts        map[string]map[string]int64 // units by cart and SKU
	stock        map[string]stockRow         // by SKU
	events       map[string]string           // states of the provider's events that payment kept, by id
	webhooks     webhooks
	told         told
	elsewhere    elsewhere
}

// orderRow is an order in SQL.
type orderRow struct {
	key, state, currency string
	total                int64
	// ends is how often its history says that it came to an end.
	ends int64
}

// refundRow is a refund in SQL, and how often its units were put back.
type refundRow struct {
	id, order, state string
	amount           int64
	restocks         int64
}

// webhooks is what the provider's journal says of the events that it has to
// deliver.
type webhooks struct {
	owed      int           // deliveries, of whatever event
	delivered map[hook]bool // answered with success
	withheld  map[hook]bool // by a fault, for good
	givenUp   map[hook]bool // after three days
}

// ended is how many of the deliveries that were owed came to an end.
func (w webhooks) ended() int { return len(w.delivered) + len(w.withheld) + len(w.givenUp) }

// hook is one event for one endpoint.
type hook struct {
	Event    string
	Endpoint int
}

// stockRow is a SKU in SQL, in units.
type stockRow struct{ total, held, committed int64 }

// moving counts what is still under way, by what it is.
type moving struct {
	Orders, Refunds, Payments, Webhooks int64
	// Undelivered are webhooks that the provider has yet to deliver.
	Undelivered int64
	// EventsUndelivered were committed and are not delivered yet.
	EventsUndelivered int64
}

func (m moving) none() bool { return m == moving{} }

func (m moving) String() string {
	return fmt.Sprintf("%d orders, %d refunds, %d payments, %d webhooks, %d webhooks that are not delivered, %d events that are not delivered",
		m.Orders, m.Refunds, m.Payments, m.Webhooks, m.Undelivered, m.EventsUndelivered)
}

// rest waits until nothing is under way in the shop, at most wait, and returns what
// still does. A part that does not answer counts as moving.
func rest(ctx context.Context, e *Environment, wait time.Duration) (left moving, err error) {
	resting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	left = moving{Orders: -1, Refunds: -1, Payments: -1, Webhooks: -1, Undelivered: -1, EventsUndelivered: -1} // no answer yet
	for {
		now, err := stillMoving(resting, e)
		switch {
		case err == nil && now.none():
			return now, nil
		case err == nil:
			left = now
		}
		if retry.Sleep(resting, 100*time.Millisecond) != nil {
			return left, ctx.Err()
		}
	}
}

func stillMoving(ctx context.Context, e *Environment) (m moving, err error) {
	shop := e.Shop
	if m.Undelivered, err = e.Provider.Flush(ctx); err != nil {
		return m, err
	}
	var open moving
	err = queryOf(ctx, shop, "order", `
		SELECT (SELECT count(*) FROM orders WHERE open), (SELECT count(*) FROM refunds WHERE state = 'pending')`,
		[]any{&open.Orders, &open.Refunds}, func() { m.Orders, m.Refunds = m.Orders+open.Orders, m.Refunds+open.Refunds })
	if err != nil {
		return m, err
	}
	err = queryOf(ctx, shop, "payment", `
		SELECT (SELECT count(*) FROM attempts WHERE state IN ('sent', 'authorized', 'capture_sent', 'void_sent'))
		     + (SELECT count(*) FROM refunds WHERE state = 'sent'),
		       (SELECT count(*) FROM webhook_events WHERE state = 'pending')`,
		[]any{&open.Payments, &open.Webhooks}, func() { m.Payments, m.Webhooks = m.Payments+open.Payments, m.Webhooks+open.Webhooks })
	if err != nil || !m.none() {
		return m, err // what moves has more to tell
	}
	m.EventsUndelivered, _, err = eventBacklog(ctx, e)
	return m, err
}

// query runs a query on a connection of its own and calls each for every row,
// scanned into dest.
func query(ctx context.Context, dsn, sql string, dest []any, each func()) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, dest, func() error { each(); return nil })
	return err
}

// queryOf is query on each database of a service.
func queryOf(ctx context.Context, shop *localshop.Shop, service, sql string, dest []any, each func()) error {
	for _, dsn := range shop.DSNsOf(service) {
		if err := query(ctx, dsn, sql, dest, each); err != nil {
			return err
		}
	}
	return nil
}

// gather reads everything that the databases and the journal hold.
func gather(ctx context.Context, shop *localshop.Shop, w *witness, o *outside) (*evidence, error) {
	e := &evidence{
		orders: map[string]orderRow{}, refunds: map[string]refundRow{}, reservations: map[string]string{},
		attempts: map[string]string{}, carts: map[string]map[string]int64{}, stock: map[string]stockRow{},
		events:   map[string]string{},
		webhooks: webhooks{delivered: map[hook]bool{}, withheld: map[hook]bool{}, givenUp: map[hook]bool{}},
	}
	var err error
	e.report, err = audit.Run(ctx, audit.Sources{Databases: shop.DSNs(), Broker: true, ProviderJournal: shop.Journal}, 0)
	if err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *localshop.Shop) error{e.readJournal, e.readOrders, e.readPayments, e.readCatalog, e.readCarts} {
		if err := read(ctx, shop); err != nil {
			return nil, err
		}
	}
	if err := e.readEvents(ctx, shop, w); err != nil {
		return nil, err
	}
	return e, e.readOutside(ctx, shop, o)
}

func (e *evidence) readOrders(ctx context.Context, shop *localshop.Shop) error {
	var id string
	var o orderRow
	err := queryOf(ctx, shop, "order", `
		SELECT id::text, idempotency_key, state, total, currency,
			(SELECT count(*) FROM order_history h WHERE h.order_id = o.id AND h.state IN ('paid', 'cancelled'))
		FROM orders o`, []any{&id, &o.key, &o.state, &o.total, &o.currency, &o.ends}, func() { e.orders[id] = o })
	if err != nil {
		return err
	}
	var key string
	var r refundRow
	return queryOf(ctx, shop, "order", `SELECT idempotency_key, id::text, order_id::text, state, amount FROM refunds`,
		[]any{&key, &r.id, &r.order, &r.state, &r.amount}, func() { e.refunds[key] = r })
}

func (e *evidence) readPayments(ctx context.Context, shop *localshop.Shop) error {
	var id, state string
	err := queryOf(ctx, shop, "payment", `SELECT order_id::text, state FROM attempts`,
		[]any{&id, &state}, func() { e.attempts[id] = state })
	if err != nil {
		return err
	}
	return queryOf(ctx, shop, "payment", `SELECT id, state FROM webhook_events`, []any{&id, &state}, func() {
		if was := e.events[id]; was == "" || was == "ignored" { // cells whose order it is not about ignore an event
			e.events[id] = state
		}
	})
}

// readJournal finds what the provider owed and delivered. The journal is
// read before the databases: what is delivered meanwhile is not unreached.
func (e *evidence) readJournal(ctx context.Context, shop *localshop.Shop) error {
	f, err := audit.OpenJournal(ctx, shop.Journal)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := json.NewDecoder(f)
	for {
		var line struct {
			Event    string
			Webhooks int
			Webhook  hook
			Fault    struct {
				Kind     string
				Webhook  string
				Endpoint int
			}
		}
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the last line may be under way
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", shop.Journal, err)
		}
		e.webhooks.owed += line.Webhooks
		switch {
		case line.Event == "webhook.delivered":
			e.webhooks.delivered[line.Webhook] = true
		case line.Event == "webhook.given_up":
			e.webhooks.givenUp[line.Webhook] = true
		case line.Fault.Kind == "webhook_never":
			e.webhooks.withheld[hook{line.Fault.Webhook, line.Fault.Endpoint}] = true
		}
	}
}

func (e *evidence) readCatalog(ctx context.Context, shop *localshop.Shop) error {
	var id, state string
	err := query(ctx, shop.DSN("catalog"), `SELECT order_id::text, state FROM reservations`,
		[]any{&id, &state}, func() { e.reservations[id] = state })
	if err != nil {
		return err
	}
	var sku string
	var s stockRow
	err = query(ctx, shop.DSN("catalog"), `SELECT sku, total, held, committed FROM stock`,
		[]any{&sku, &s.total, &s.held, &s.committed}, func() { e.stock[sku] = s })
	if err != nil {
		return err
	}
	restocks := map[string]int64{}
	err = query(ctx, shop.DSN("catalog"), `SELECT restock_id::text FROM restocks`, []any{&id}, func() { restocks[id]++ })
	for key, r := range e.refunds {
		r.restocks = restocks[r.id]
		e.refunds[key] = r
	}
	return err
}

func (e *evidence) readCarts(ctx context.Context, shop *localshop.Shop) error {
	var id string
	var sku *string
	var units *int64
	return queryOf(ctx, shop, "cart", `SELECT c.id::text, l.sku, l.quantity FROM carts c LEFT JOIN cart_lines l ON l.cart_id = c.id`,
		[]any{&id, &sku, &units}, func() {
			if e.carts[id] == nil {
				e.carts[id] = map[string]int64{}
			}
			if sku != nil {
				e.carts[id][*sku] = *units
			}
		})
}
