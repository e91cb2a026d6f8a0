package audit

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"
)

// Kind says which of the shop's promises a difference breaks.
type Kind string

// The kinds of differences.
const (
	// Unsettled: an order or a refund is still under way.
	Unsettled Kind = "unsettled"
	// ClientDiffers: the client got an answer that is not so.
	ClientDiffers Kind = "client"
	// Money: an order and the money taken for it do not agree.
	Money Kind = "money"
	// Held: the provider still holds money for a settled order.
	Held Kind = "held"
	// Unbalanced: payment's ledger does not balance, or not with the provider's journal.
	Unbalanced Kind = "unbalanced"
	// Units: stock is oversold, or not what was sold.
	Units Kind = "units"
	// Model: the read model that is made of events does not have what the services have.
	Model Kind = "model"
	// Misplaced: an order or a payment is not in the cell that its id leads to.
	Misplaced Kind = "cell"
	// Told: a log of events does not have what happened, or has what did not; or an event made
	// no message to others, or more than one.
	Told Kind = "events"
)

// Difference is one thing that two ledgers disagree about.
type Difference struct {
	Kind Kind
	// Subject is what it is about: an order, a SKU, a transaction.
	Subject string
	// What says how they differ, with both figures.
	What string
}

// Report is the outcome of an audit.
type Report struct {
	// Ledgers in the order client (if there is one), orders, ledger, provider, insight (if
	// there is one).
	Ledgers []Ledger
	// Client says whether the first ledger is a client's.
	Client bool
	// Others is the number of orders in SQL that no client's history has.
	Others int
	Stock  Stock
	// Messages are what the notification service told, of the last 50 minutes.
	Messages []Messages
	// Cancelled is the number of orders that ended without money moved.
	Cancelled int64
	// Differences is empty when the ledgers are equal.
	Differences []Difference
}

// Stock sums the catalog's units and compares them with what was sold.
type Stock struct {
	SKUs, Total, Held, Committed, Available int64
	// Sold and Returned are by the orders.
	Sold, Returned int64
}

// Clean reports whether all ledgers agree.
func (r *Report) Clean() bool { return len(r.Differences) == 0 }

// Run waits until the shop is quiet (no order, refund or hold of one still
// moving), at most wait, and compares the ledgers. A shop that does not get quiet
// is reported as a difference, not as an error: an order that never settles is
// a broken promise.
func Run(ctx context.Context, src Sources, wait time.Duration) (*Report, error) {
	orders, err := src.connect(ctx, "order")
	defer orders.close(ctx)
	if err != nil {
		return nil, err
	}
	payments, err := src.connect(ctx, "payment")
	defer payments.close(ctx)
	if err != nil {
		return nil, err
	}
	catalog, err := pgx.Connect(ctx, src.Databases["catalog"])
	if err != nil {
		return nil, fmt.Errorf("catalog database: %w", err)
	}
	defer catalog.Close(context.WithoutCancel(ctx))

	r := &Report{}
	moving, err := waitQuiet(ctx, orders, wait)
	if err != nil {
		return nil, err
	}
	if moving > 0 {
		r.differ(Unsettled, "orders", "%d orders or refunds are not settled after %s", moving, wait)
	}
	if err := r.money(ctx, src, orders, payments); err != nil {
		return nil, err
	}
	if err := r.cells(ctx, orders, payments); err != nil {
		return nil, err
	}
	if dsn := src.Databases["insight"]; dsn != "" {
		if err := r.model(ctx, dsn, orders, payments, wait); err != nil {
			return nil, err
		}
	}
	if err := r.stock(ctx, orders, catalog); err != nil {
		return nil, err
	}
	if err := r.told(ctx, orders, payments, books{catalog}); err != nil {
		return nil, err
	}
	if dsn := src.Databases["notification"]; dsn != "" && src.Broker {
		if err := r.messages(ctx, dsn, slices.Concat(orders, payments, books{catalog}), wait, orders); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Check runs the audit, prints the report and returns an error if the ledgers differ.
func Check(ctx context.Context, src Sources, wait time.Duration, w io.Writer) error {
	report, err := Run(ctx, src, wait)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := report.Print(w); err != nil {
		return err
	}
	if !report.Clean() {
		return fmt.Errorf("the ledgers differ in %d places", len(report.Differences))
	}
	return nil
}

func (r *Report) differ(kind Kind, subject, format string, args ...any) {
	r.Differences = append(r.Differences, Difference{kind, subject, fmt.Sprintf(format, args...)})
}

// waitQuiet returns how many orders and refunds still move when it gives up.
func waitQuiet(ctx context.Context, orders books, wait time.Duration) (moving int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait+10*time.Second)
	defer cancel()
	until := time.Now().Add(wait)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		moving, err := orders.sum(ctx, `
			SELECT (SELECT count(*) FROM orders WHERE state NOT IN ('paid', 'cancelled'))
			     + (SELECT count(*) FROM refunds WHERE state = 'pending')`)
		if err != nil || moving == 0 || time.Now().After(until) {
			return moving, err
		}
		select {
		case <-ctx.Done():
			return moving, ctx.Err()
		case <-tick.C:
		}
	}
}

func (r *Report) money(ctx context.Context, src Sources, orders, payments books) error {
	ob, err := orderLedger(ctx, orders)
	if err != nil {
		return fmt.Errorf("orders: %w", err)
	}
	lb, err := paymentLedger(ctx, payments)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	pb, held, err := providerLedger(ctx, src.ProviderJournal)
	if err != nil {
		return fmt.Errorf("provider's journal: %w", err)
	}
	if len(src.Histories) > 0 {
		cb, err := clientLedger(src.Histories)
		if err != nil {
			return fmt.Errorf("client's history: %w", err)
		}
		r.Client = true
		r.Ledgers = append(r.Ledgers, cb)
		r.Others = r.compareClient(cb, ob)
	}
	r.Ledgers = append(r.Ledgers, ob, lb, pb)
	r.compareOrders(ob, lb)
	r.compare(Unbalanced, lb, pb)
	r.compareOrders(ob, pb)
	if err := r.unbalanced(ctx, payments); err != nil {
		return err
	}
	return r.stillHeld(ctx, orders, held)
}

// compareOrders compares the orders with a ledger of money. What was captured of an
// order that is not paid, and refunded whole, is no difference: nothing of it
// is left.
func (r *Report) compareOrders(orders, money Ledger) {
	left := Ledger{Name: money.Name, Entries: make(map[string]Entry, len(money.Entries))}
	for id, e := range money.Entries {
		if _, paid := orders.Entries[id]; paid || e.Captured != e.Refunded {
			left.Entries[id] = e
		}
	}
	r.compare(Money, orders, left)
}

// compare adds a difference for each order on which the ledgers disagree.
func (r *Report) compare(kind Kind, a, b Ledger) {
	for _, id := range ids(a, b) {
		x, y := a.Entries[id], b.Entries[id]
		if x.Captured != y.Captured || x.Refunded != y.Refunded || x.Refunds != y.Refunds || x.Captures != y.Captures || x.Currency != y.Currency {
			r.differ(kind, "order "+id, "%s: captured %d in %d, refunded %d in %d %s; %s: captured %d in %d, refunded %d in %d %s",
				a.Name, x.Captured, x.Captures, x.Refunded, x.Refunds, x.Currency,
				b.Name, y.Captured, y.Captures, y.Refunded, y.Refunds, y.Currency)
		}
	}
}

// compareClient compares the orders that the client knows. Other orders are
// of other clients; it returns how many there are.
func (r *Report) compareClient(client, orders Ledger) (others int) {
	own := Ledger{Name: orders.Name, Entries: make(map[string]Entry, len(client.Entries))}
	for id, e := range orders.Entries {
		if _, ok := client.Entries[id]; ok {
			own.Entries[id] = e
		} else {
			others++
		}
	}
	r.compare(ClientDiffers, client, own)
	return others
}

func ids(a, b Ledger) []string {
	out := make([]string, 0, len(a.Entries))
	for id := range a.Entries {
		out = append(out, id)
	}
	for id := range b.Entries {
		if _, ok := a.Entries[id]; !ok {
			out = append(out, id)
		}
	}
	sort.Strings(out)
	return out
}

// unbalanced adds each ledger transaction that does not sum to zero.
func (r *Report) unbalanced(ctx context.Context, payments books) error {
	var id, currency string
	var sum int64
	err := payments.each(ctx, []any{&id, &currency, &sum}, func() {
		r.differ(Unbalanced, "ledger transaction "+id, "sums to %d %s, not to zero", sum, currency)
	}, `
		SELECT transaction_id::text, currency, sum(amount)::bigint FROM ledger_entries
		GROUP BY transaction_id, currency HAVING sum(amount) <> 0 LIMIT 100`)
	if err != nil {
		return fmt.Errorf("ledger balance: %w", err)
	}
	return nil
}

// stillHeld adds each settled order on whose card the provider still holds money.
func (r *Report) stillHeld(ctx context.Context, orders books, held map[string]int64) (err error) {
	if r.Cancelled, err = orders.sum(ctx, `
		SELECT (SELECT count(*) FROM orders WHERE state = 'cancelled') + (SELECT count(*) FROM archived_orders WHERE state = 'cancelled')`); err != nil {
		return fmt.Errorf("cancelled orders: %w", err)
	}
	if len(held) == 0 {
		return nil
	}
	list := make([]string, 0, len(held))
	for id := range held {
		list = append(list, id)
	}
	sort.Strings(list)
	states := map[string]string{}
	var id, state string
	err = orders.each(ctx, []any{&id, &state}, func() { states[id] = state }, `
		SELECT id::text, state FROM orders WHERE id::text = ANY ($1) UNION ALL SELECT id::text, state FROM archived_orders WHERE id::text = ANY ($1)`, list)
	if err != nil {
		return fmt.Errorf("orders with held money: %w", err)
	}
	for _, id := range list {
		r.differ(Held, "order "+id, "is %s, and the provider still holds %d", cmp.Or(states[id], "unknown to the shop"), held[id])
	}
	return nil
}
