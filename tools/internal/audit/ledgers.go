// Package audit compares five ledgers of the same orders: the client's (what it
// was answered), the orders', payment's (double-entry), the provider's (its
// journal) and the read model's (made of events); and the stock with what was sold. It reads each from its
// own source and trusts none of them.
package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/souk-shop/souk/tools/internal/history"
	"github.com/souk-shop/souk/tools/stripesim"
)

// Entry is what one ledger says of one order, in minor units of Currency.
type Entry struct {
	// Captures is how many captures make up Captured; one, if all is well.
	Captures int64
	Captured int64
	Refunds  int64
	Refunded int64
	Currency string
	// Lines is the number of order lines; only the orders' ledger knows it.
	Lines int64
}

// Ledger is one witness: entries by order id, for orders with money captured.
type Ledger struct {
	Name    string
	Entries map[string]Entry
}

// Sources is where the ledgers are.
type Sources struct {
	// Databases has connection strings that may read, by service: order, payment
	// and catalog, and insight where there is a read model. A service that runs in cells has one
	// of each: order_c1, order_c2.
	Databases map[string]string
	// Broker says that the services have a broker of events, so that the notification service,
	// if its database is among them, tells what happens.
	Broker bool
	// ProviderJournal is the path or the URL of the simulator's journal.
	ProviderJournal string
	// Histories are the paths of the clients' histories; may be empty.
	Histories []string
}

// clientLedger is what the client was answered: orders it saw PAID, and refunds it
// saw SUCCEEDED.
func clientLedger(paths []string) (Ledger, error) {
	b := Ledger{Name: "client (answers)", Entries: map[string]Entry{}}
	seen := map[string]bool{} // keys may repeat after a crash between answer and record
	for _, path := range paths {
		records, err := history.Read(path)
		if err != nil {
			return b, err
		}
		for _, r := range records {
			id := path + string(r.Kind) + r.Key
			if seen[id] || (r.Kind != history.KindOrder && r.Kind != history.KindRefund) {
				continue
			}
			seen[id] = true
			e := b.Entries[r.OrderID]
			switch {
			case r.Kind == history.KindOrder && r.State == "PAID":
				e.Captured += r.Amount
				e.Captures++
			case r.Kind == history.KindRefund && r.State == "SUCCEEDED":
				e.Refunded += r.Amount
				e.Refunds++
			default:
				continue
			}
			e.Currency = r.Currency
			b.Entries[r.OrderID] = e
		}
	}
	return b, nil
}

// orderLedger is the orders in SQL, and what is left there of those that are archived.
func orderLedger(ctx context.Context, db books) (Ledger, error) {
	b := Ledger{Name: "orders (SQL)", Entries: map[string]Entry{}}
	var id string
	var e Entry
	err := db.each(ctx, []any{&id, &e.Captures, &e.Captured, &e.Currency, &e.Refunded, &e.Refunds, &e.Lines}, func() { b.Entries[id] = e }, `
		SELECT o.id::text, 1, o.total, o.currency, coalesce(r.amount, 0), coalesce(r.n, 0), l.n
		FROM orders o
		JOIN (SELECT order_id, count(*) AS n FROM order_lines GROUP BY order_id) l ON l.order_id = o.id
		LEFT JOIN (
			SELECT order_id, sum(amount)::bigint AS amount, count(*) AS n
			FROM refunds WHERE state = 'succeeded' GROUP BY order_id
		) r ON r.order_id = o.id
		WHERE o.state = 'paid'
		UNION ALL
		SELECT id::text, 1, total, currency, refunded, refunds, lines FROM archived_orders WHERE state = 'paid'`)
	return b, err
}

// entries is what the ledger has against the provider's account, and what is left of it where it is
// archived.
const entries = `
	SELECT transaction_id, order_id, kind, amount, currency FROM ledger_entries WHERE account = 'provider_clearing'
	UNION ALL
	SELECT transaction_id, order_id, kind, amount, currency FROM archived_entries`

// paymentLedger is payment's double-entry ledger: captures and refunds as they
// stand against the provider's account.
func paymentLedger(ctx context.Context, db books) (Ledger, error) {
	b := Ledger{Name: "payment (SQL)", Entries: map[string]Entry{}}
	var id string
	var e Entry
	var twice []string
	err := db.each(ctx, []any{&id, &e.Currency, &e.Captured, &e.Refunded, &e.Captures, &e.Refunds}, func() {
		if _, found := b.Entries[id]; found {
			twice = append(twice, id)
		}
		b.Entries[id] = e
	}, `
		SELECT order_id::text, currency,
			coalesce(sum(amount) FILTER (WHERE kind LIKE '%capture'), 0)::bigint,
			coalesce(-sum(amount) FILTER (WHERE kind LIKE '%refund'), 0)::bigint,
			count(DISTINCT transaction_id) FILTER (WHERE kind LIKE '%capture'),
			count(DISTINCT transaction_id) FILTER (WHERE kind LIKE '%refund')
		FROM (`+entries+`) e GROUP BY order_id, currency`)
	if err == nil && twice != nil {
		err = fmt.Errorf("order %s is in the ledger in two currencies, or in two cells", twice[0])
	}
	return b, err
}

// OpenJournal opens the simulator's journal: a file, or what a URL answers.
func OpenJournal(ctx context.Context, where string) (io.ReadCloser, error) {
	if !strings.HasPrefix(where, "http://") {
		return os.Open(filepath.Clean(where))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s: %s", where, res.Status), res.Body.Close())
	}
	return res.Body, nil
}

// journalEvent is a line of the simulator's journal, as far as an audit reads it.
type journalEvent struct {
	Event         string            `json:"event"`
	ID            string            `json:"id"`
	PaymentIntent string            `json:"payment_intent"`
	Amount        int64             `json:"amount"`
	Currency      string            `json:"currency"`
	Metadata      map[string]string `json:"metadata"`
}

// providerLedger is the simulator's journal. Besides the ledger it returns what
// the provider still holds: authorized amounts by order id.
func providerLedger(ctx context.Context, journal string) (Ledger, map[string]int64, error) {
	b := Ledger{Name: "provider's journal", Entries: map[string]Entry{}}
	held := map[string]hold{} // by payment
	f, err := OpenJournal(ctx, journal)
	if err != nil {
		return b, nil, err
	}
	defer f.Close()
	orderOf := map[string]string{} // payment intent to order
	br := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // a line without its end is not in the journal yet
			return b, perOrder(held), nil
		}
		if err != nil {
			return b, nil, err
		}
		var ev journalEvent
		if err := json.Unmarshal(line, &ev); err != nil {
			return b, nil, fmt.Errorf("%s: line %d: %w", journal, n, err)
		}
		if ev.Currency != "" {
			ev.Amount, err = stripesim.MinorUnits(ev.Amount, ev.Currency)
		}
		if err == nil {
			err = b.apply(ev, orderOf, held)
		}
		if err != nil {
			return b, nil, fmt.Errorf("%s: line %d: %w", journal, n, err)
		}
	}
}

// hold is what a payment holds of an order's payer.
type hold struct {
	order  string
	amount int64
}

func perOrder(held map[string]hold) map[string]int64 {
	out := map[string]int64{}
	for _, h := range held {
		out[h.order] += h.amount
	}
	return out
}

// apply enters one event of the provider's journal.
func (b *Ledger) apply(ev journalEvent, orderOf map[string]string, held map[string]hold) error {
	order := ev.Metadata["order_id"]
	if order == "" {
		order = orderOf[ev.PaymentIntent]
	}
	switch ev.Event {
	case "payment_intent.authorized":
		if order == "" {
			return fmt.Errorf("payment %s names no order", ev.ID)
		}
		orderOf[ev.ID] = order
		held[ev.ID] = hold{order, ev.Amount}
	case "payment_intent.captured":
		e := b.Entries[order]
		e.Captured += ev.Amount
		e.Captures++
		e.Currency = currencyOf(ev)
		b.Entries[order] = e
		delete(held, ev.ID)
	case "payment_intent.canceled":
		delete(held, ev.ID)
	case "refund.succeeded":
		e := b.Entries[order]
		e.Refunded += ev.Amount
		e.Refunds++
		b.Entries[order] = e
	}
	return nil
}

// currencyOf is the event's currency as the other ledgers write it; the
// provider's API has it in lower case.
func currencyOf(ev journalEvent) string {
	out := []byte(ev.Currency)
	for i, c := range out {
		if 'a' <= c && c <= 'z' {
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out)
}
