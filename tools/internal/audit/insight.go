package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// modelWait is how long at least the read model may take to be as far as the shop, which a
// healthy one is within a second.
const modelWait = 30 * time.Second

// orderFacts are what the order service has of each order, and the read model, too.
const orderFacts = `
SELECT o.id::text, concat_ws(' ', o.number, o.customer_id, o.shipping_address ->> 'country', o.state, o.cancel_reason,
    o.total, o.currency, 'version', o.version, 'placed', extract(epoch FROM o.placed_at),
    'lines', (SELECT string_agg(concat_ws(':', l.sku, l.name, l.quantity, l.unit_price, l.total, l.refunded_quantity), ',' ORDER BY l.sku COLLATE "C")
        FROM order_lines l WHERE l.order_id = o.id),
    'refunds', (SELECT string_agg(concat_ws(':', r.id, r.state, r.amount, r.currency, r.restock, r.failure_code), ',' ORDER BY r.id) FROM refunds r WHERE r.order_id = o.id))
FROM orders o`

const modelFacts = `
SELECT o.id::text, concat_ws(' ', o.number, o.customer_id, o.country, o.state, o.cancel_reason,
    o.total, o.currency, 'version', o.version, 'placed', extract(epoch FROM o.placed_at),
    'lines', (SELECT string_agg(concat_ws(':', l.sku, l.name, l.quantity, l.unit_price, l.total, l.refunded_quantity), ',' ORDER BY l.sku COLLATE "C")
        FROM order_lines l WHERE l.generation = o.generation AND l.order_id = o.id),
    'refunds', (SELECT string_agg(concat_ws(':', r.id, r.state, r.amount, r.currency, r.restock, r.failure_code), ',' ORDER BY r.id)
        FROM refunds r WHERE r.generation = o.generation AND r.order_id = o.id))
FROM orders o JOIN model m ON m.serving = o.generation`

// modelLedger is the money of the orders in the read model, as the order service's events say.
const modelLedger = `
SELECT o.id::text, 1, o.total, o.currency, coalesce(r.amount, 0), coalesce(r.n, 0), coalesce(l.n, 0)
FROM orders o JOIN model m ON m.serving = o.generation
LEFT JOIN (SELECT generation, order_id, count(*) AS n FROM order_lines GROUP BY 1, 2) l ON l.generation = o.generation AND l.order_id = o.id
LEFT JOIN (
    SELECT generation, order_id, sum(amount)::bigint AS amount, count(*) AS n FROM refunds WHERE state = 'succeeded' GROUP BY 1, 2
) r ON r.generation = o.generation AND r.order_id = o.id
WHERE o.state = 'paid'`

// modelPayments is the same as payment's events say.
const modelPayments = `
SELECT p.order_id::text, p.captures, p.captured, p.currency, p.refunded, p.refunds, 0
FROM payments p JOIN model m ON m.serving = p.generation WHERE p.captures > 0`

// toldPayments is payment's ledger without what is no event: captures of orders that were
// given up (stray_capture), and their refunds.
const toldPayments = `
SELECT order_id::text, count(*) FILTER (WHERE kind = 'capture'), coalesce(sum(amount) FILTER (WHERE kind = 'capture'), 0)::bigint, currency,
    coalesce(-sum(amount) FILTER (WHERE kind = 'refund'), 0)::bigint, count(*) FILTER (WHERE kind = 'refund'), 0
FROM (` + entries + `) e WHERE kind IN ('capture', 'refund') GROUP BY order_id, currency`

// model waits until the read model has all that the ledgers have, and compares it with them:
// each order with its lines and refunds, and what payment took and gave back.
func (r *Report) model(ctx context.Context, dsn string, orders, payments books, wait time.Duration) error {
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("insight database: %w", err)
	}
	defer db.Close(context.WithoutCancel(ctx))
	behind, err := waitComplete(ctx, db, orders, payments, max(wait, modelWait))
	if err != nil {
		return err
	}
	if behind != "" {
		r.differ(Model, "insight", "%s", behind)
		return nil
	}
	var entered, taken Ledger
	ledger, err := ledgerOf(ctx, books{db}, "insight (events)", modelLedger)
	if err != nil {
		return err
	}
	r.compare(Model, r.ledger("orders (SQL)"), ledger)
	r.Ledgers = append(r.Ledgers, ledger)
	for _, money := range []struct {
		db   books
		name string
		sql  string
		into *Ledger
	}{{payments, "payment (what is told)", toldPayments, &entered}, {books{db}, "insight (events of payment)", modelPayments, &taken}} {
		if *money.into, err = ledgerOf(ctx, money.db, money.name, money.sql); err != nil {
			return err
		}
	}
	r.compare(Model, entered, taken)

	want, err := facts(ctx, orders, orderFacts)
	if err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	got, err := facts(ctx, books{db}, modelFacts)
	if err != nil {
		return fmt.Errorf("orders of insight: %w", err)
	}
	archived, err := orders.texts(ctx, "SELECT id::text FROM archived_orders")
	if err != nil {
		return fmt.Errorf("archived orders: %w", err)
	}
	for id, w := range want {
		if g := got[id]; g != w {
			r.differ(Model, "order "+id, "is %q; insight has %q", w, g)
		}
	}
	for id, g := range got {
		if _, ok := want[id]; !ok && !archived[id] { // of an archived one the money was compared
			r.differ(Model, "order "+id, "is not there; insight has %q", g)
		}
	}
	return nil
}

// ledger returns the ledger of a name.
func (r *Report) ledger(name string) Ledger {
	for _, b := range r.Ledgers {
		if b.Name == name {
			return b
		}
	}
	return Ledger{Name: name}
}

// waitComplete returns "" when the model has what was committed before the call, or says
// what it lacks when it gives up.
func waitComplete(ctx context.Context, db *pgx.Conn, orders, payments books, wait time.Duration) (string, error) {
	var until, now time.Time
	err := append(slices.Clone(orders), payments...).each(ctx, []any{&now}, func() {
		if now.After(until) {
			until = now
		}
	}, "SELECT clock_timestamp()")
	if err != nil {
		return "", fmt.Errorf("orders and payments: %w", err)
	}
	deadline := time.Now().Add(wait)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var sources int64
		var complete time.Time
		err := db.QueryRow(ctx, `
			SELECT count(nullif(p.complete_until, '-infinity')), coalesce(min(nullif(p.complete_until, '-infinity')), 'epoch')
			FROM model m JOIN progress p ON p.generation = m.serving AND p.source IN ('order', 'payment')`).Scan(&sources, &complete)
		switch {
		case err != nil:
			return "", fmt.Errorf("insight: %w", err)
		case sources == 2 && complete.After(until):
			return "", nil
		case time.Now().After(deadline):
			return fmt.Sprintf("the read model is complete until %s, not %s, after %s", complete.Format(time.RFC3339), until.Format(time.RFC3339), wait), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
	}
}

// ledgerOf reads a ledger.
func ledgerOf(ctx context.Context, db books, name, sql string) (Ledger, error) {
	b := Ledger{Name: name, Entries: map[string]Entry{}}
	var id string
	var e Entry
	err := db.each(ctx, []any{&id, &e.Captures, &e.Captured, &e.Currency, &e.Refunded, &e.Refunds, &e.Lines}, func() { b.Entries[id] = e }, sql)
	if err != nil {
		return b, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// facts reads what there is of each order, in one text.
func facts(ctx context.Context, db books, sql string) (map[string]string, error) {
	out := map[string]string{}
	var id, what string
	err := db.each(ctx, []any{&id, &what}, func() { out[id] = what }, sql)
	return out, err
}
