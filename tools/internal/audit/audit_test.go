package audit_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/audit"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The columns that an audit reads. The end-to-end tests run it on the real
// tables; here they can hold what a shop must never write.
const (
	orderTables = `
		CREATE TABLE orders (id uuid, state text, total bigint, currency text, version bigint DEFAULT 2);
		CREATE TABLE archived_orders (id uuid, state text, currency text, total bigint, refunded bigint, refunds integer, lines integer);
		CREATE TABLE archived_units (sku text, sold bigint, returned bigint);
		CREATE TABLE order_lines (order_id uuid, sku text, quantity bigint);
		CREATE TABLE refunds (id uuid, order_id uuid, state text, amount bigint, restock boolean);
		CREATE TABLE refund_lines (refund_id uuid, sku text, quantity bigint);
		INSERT INTO orders VALUES ('` + one + `', 'paid', 750, 'GBP'), ('` + two + `', 'cancelled', 250, 'GBP');
		INSERT INTO order_lines VALUES ('` + one + `', 'A', 3), ('` + two + `', 'A', 1);
		INSERT INTO refunds VALUES ('` + back + `', '` + one + `', 'succeeded', 250, true);
		INSERT INTO refund_lines VALUES ('` + back + `', 'A', 1);`
	eventsTable = `
		CREATE TABLE souk_events (subject text, version bigint, type text, data json, at timestamptz DEFAULT now());`
	orderEvents = eventsTable + `
		INSERT INTO souk_events VALUES
			('order.` + one + `', 1, 'souk.order.v1.OrderPlaced', '{}'), ('order.` + one + `', 2, 'souk.order.v1.OrderPaid', '{}'),
			('order.` + two + `', 1, 'souk.order.v1.OrderPlaced', '{}'), ('order.` + two + `', 2, 'souk.order.v1.OrderCancelled', '{}');`
	paymentEvents = eventsTable + `
		INSERT INTO souk_events VALUES
			('payment.` + one + `', 1, 'souk.payment.v1.PaymentCaptured', '{"amount": {"minor_units": 750}}'),
			('payment.` + one + `', 2, 'souk.payment.v1.PaymentRefunded', '{"amount": {"minor_units": 250}}');`
	catalogEvents = eventsTable + `
		INSERT INTO souk_events VALUES
			('stock.A', 7, 'souk.catalog.v1.StockLevelChanged', '{"sku": "A", "available": 9}'),
			('stock.A', 8, 'souk.catalog.v1.StockLevelChanged', '{"sku": "A", "available": 8}');`
	paymentTables = `
		CREATE TABLE archived_entries (transaction_id uuid, order_id uuid, kind text, amount bigint, currency text);
		CREATE TABLE ledger_entries (transaction_id uuid, account text, amount bigint, currency text, order_id uuid, kind text);
		INSERT INTO ledger_entries VALUES
			('` + one + `', 'provider_clearing', 750, 'GBP', '` + one + `', 'capture'),
			('` + one + `', 'sales', -750, 'GBP', '` + one + `', 'capture'),
			('` + back + `', 'refunds', 250, 'GBP', '` + one + `', 'refund'),
			('` + back + `', 'provider_clearing', -250, 'GBP', '` + one + `', 'refund');`
	catalogTables = `
		CREATE TABLE stock (sku text, total bigint, held bigint, committed bigint);
		CREATE TABLE reservations (order_id uuid, state text);
		CREATE TABLE reservation_lines (order_id uuid, sku text, quantity bigint, returned bigint);
		INSERT INTO stock VALUES ('A', 10, 0, 2);
		INSERT INTO reservations VALUES ('` + one + `', 'committed'), ('` + two + `', 'released');
		INSERT INTO reservation_lines VALUES ('` + one + `', 'A', 3, 1), ('` + two + `', 'A', 1, 0);`
	notificationTables = `
		CREATE TABLE beginning (at timestamptz);
		INSERT INTO beginning VALUES (now() - interval '1 day');
		CREATE TABLE mails (subject text, version bigint, happened_at timestamptz DEFAULT now(), state text DEFAULT 'sent');
		INSERT INTO mails VALUES ('order.` + one + `', 2), ('order.` + two + `', 2);
		CREATE TABLE webhook_endpoints (id int, url text, event_types text[], version bigint DEFAULT 1, enabled boolean DEFAULT true, created_at timestamptz DEFAULT now() - interval '1 hour');
		INSERT INTO webhook_endpoints VALUES (1, 'https://one.example', '{souk.order.v1.*}'), (2, 'https://two.example', '{*}'), (3, 'https://three.example', '{souk.order.v1.OrderPaid}');
		INSERT INTO webhook_endpoints VALUES (4, 'https://changed.example', '{*}', 2, true), (5, 'https://off.example', '{*}', 1, false);
		CREATE TABLE webhook_messages (id text, subject text, version bigint, happened_at timestamptz DEFAULT now());
		CREATE TABLE webhook_deliveries (endpoint_id int, message_id text, state text DEFAULT 'delivered');
		INSERT INTO webhook_messages SELECT v.subject || v.version, v.subject, v.version FROM (VALUES
			('order.` + one + `', 1), ('order.` + one + `', 2), ('order.` + two + `', 1), ('order.` + two + `', 2),
			('payment.` + one + `', 1), ('payment.` + one + `', 2), ('stock.A', 7), ('stock.A', 8)) AS v (subject, version);
		INSERT INTO webhook_deliveries
			SELECT e.id, m.id FROM webhook_messages m JOIN webhook_endpoints e ON e.id = 2 OR e.id = 1 AND m.subject LIKE 'order%' OR e.id = 3 AND m.id = 'order.` + one + `2';`
	journal = `{"event":"payment_intent.created","id":"pi_1","amount":750,"currency":"gbp","metadata":{"order_id":"` + one + `"}}
{"event":"payment_intent.authorized","id":"pi_1","payment_intent":"pi_1","amount":750,"currency":"gbp","metadata":{"order_id":"` + one + `"}}
{"event":"payment_intent.captured","id":"pi_1","payment_intent":"pi_1","amount":750,"currency":"gbp","metadata":{"order_id":"` + one + `"}}
{"event":"payment_intent.authorized","id":"pi_2","payment_intent":"pi_2","amount":250,"currency":"gbp","metadata":{"order_id":"` + two + `"}}
{"event":"payment_intent.canceled","id":"pi_2","payment_intent":"pi_2","amount":250,"currency":"gbp","metadata":{"order_id":"` + two + `"}}
{"event":"fault.fired","fault":{"kind":"drop_after_commit","operation":"refunds.create","rule":1,"idempotency_key":"refund:r1"}}
{"event":"webhook.delivered","webhook":{"event":"evt_1","endpoint":1}}
{"event":"refund.succeeded","id":"re_1","payment_intent":"pi_1","amount":250,"currency":"gbp","metadata":{"refund_id":"` + back + `"}}
`
	told = `{"kind":"order","key":"k1","order_id":"` + one + `","state":"PAID","amount":750,"currency":"GBP"}
{"kind":"order","key":"k2","order_id":"` + two + `","state":"CANCELLED","amount":250,"currency":"GBP"}
{"kind":"refund","key":"r1","order_id":"` + one + `","refund_id":"` + back + `","state":"SUCCEEDED","amount":250,"currency":"GBP"}
`
	strayCapture = `{"event":"payment_intent.authorized","id":"pi_3","payment_intent":"pi_3","amount":250,"currency":"gbp","metadata":{"order_id":"` + two + `"}}
{"event":"payment_intent.captured","id":"pi_3","payment_intent":"pi_3","amount":250,"currency":"gbp","metadata":{"order_id":"` + two + `"}}
`
	strayRefund = `{"event":"refund.succeeded","id":"re_3","payment_intent":"pi_3","amount":250,"currency":"gbp","metadata":{"order_id":"` + two + `"}}
`
	secondHold = `{"event":"payment_intent.authorized","id":"pi_9","payment_intent":"pi_9","amount":750,"currency":"gbp","metadata":{"order_id":"` + one + `"}}
`
	one  = "01900000-0000-7000-8000-000000000001"
	two  = "01900000-0000-7000-8000-000000000002"
	back = "01900000-0000-7000-8000-00000000000b"
)

// TestABlindAuditIsNoticed plants one wrong entry at a time: each must be found.
func TestABlindAuditIsNoticed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                    string
		order, payment, catalog string // SQL
		notification            string
		journal, told           func(string) string
		want                    string // of the first difference; empty for none
	}{
		{name: "equal ledgers"},
		{name: "an order that does not settle", order: `UPDATE orders SET state = 'capturing' WHERE state = 'cancelled'`, want: "not settled"},
		{name: "an order without its last event", order: `DELETE FROM souk_events WHERE type LIKE '%Paid'`, want: "1 events"},
		{name: "an event of no order", order: `INSERT INTO souk_events VALUES ('order.x', 1, 'souk.order.v1.OrderPlaced', '{}')`, want: "not there"},
		{name: "an event that did not happen", order: `UPDATE souk_events SET type = 'souk.order.v1.OrderPaid' WHERE type LIKE '%Cancelled'`, want: "last state is souk.order.v1.OrderPaid"},
		{name: "an event that is missing between others", order: `UPDATE souk_events SET version = 3 WHERE type LIKE '%Paid'; UPDATE orders SET version = 3 WHERE state = 'paid'`, want: "is paid in version 3; the log has 2"},
		{name: "a penny in the events", payment: `UPDATE souk_events SET data = '{"amount": {"minor_units": 751}}' WHERE version = 1`, want: "the events 751"},
		{name: "a capture that is not told", payment: `DELETE FROM souk_events`, want: "the events 0"},
		{name: "a level that is not told", catalog: `DELETE FROM souk_events WHERE version = 8`, want: "the last event says 9"},
		{name: "a gap in the levels", catalog: `UPDATE souk_events SET version = 6 WHERE version = 7`, want: "2 events between version 6 and version 8"},
		{name: "events from before there were mails and endpoints", notification: `
			UPDATE beginning SET at = now(); UPDATE webhook_endpoints SET created_at = now(); TRUNCATE mails, webhook_deliveries`},
		{name: "a mail to operators", notification: `INSERT INTO mails VALUES ('webhook-endpoint.` + one + `', 2)`},
		{name: "a mail that is not made", notification: `DELETE FROM mails WHERE subject = 'order.` + one + `'`, want: "order." + one + ":2: has no mail"},
		{name: "a mail that is made twice", notification: `INSERT INTO mails SELECT * FROM mails LIMIT 1`, want: "more than one mail"},
		{name: "a mail that tells of nothing", notification: `INSERT INTO mails VALUES ('order.` + one + `', 1)`, want: ":1: has a mail, and is not to be told"},
		{name: "an endpoint that is down", notification: `UPDATE webhook_deliveries SET state = 'pending'`},
		{name: "a webhook that is not made", notification: `DELETE FROM webhook_deliveries WHERE endpoint_id = 3`, want: "has no delivery to https://three.example"},
		{name: "a webhook of a kind that is not made", notification: `DELETE FROM webhook_deliveries WHERE endpoint_id = 1 AND message_id = 'order.` + two + `1'`, want: "has no delivery to https://one.example"},
		{name: "a webhook of the stock that is not made", notification: `DELETE FROM webhook_deliveries WHERE endpoint_id = 2 AND message_id = 'stock.A7'`, want: "stock.A:7: has no delivery to https://two.example"},
		{name: "a webhook of what was not asked for", notification: `INSERT INTO webhook_deliveries VALUES (3, 'stock.A7')`, want: "has a delivery to https://three.example, and is not to be told"},
		{name: "a webhook that is made twice", notification: `INSERT INTO webhook_deliveries VALUES (2, 'stock.A7')`, want: "more than one delivery"},
		{name: "a refund that does not settle", order: `UPDATE refunds SET state = 'pending'`, want: "not settled"},
		{name: "a penny in the orders", order: `UPDATE orders SET total = 751 WHERE state = 'paid'`, want: "captured 751"},
		{name: "a capture without its order", order: `UPDATE orders SET state = 'cancelled'`, want: "captured 0"},
		{name: "a ledger that does not sum to zero", payment: `DELETE FROM ledger_entries WHERE account = 'sales'`, want: "not to zero"},
		{name: "a capture that is not in the ledger", payment: `DELETE FROM ledger_entries WHERE kind = 'capture'`, want: "captured 0"},
		{name: "a stray capture, refunded", payment: stray("stray_capture") + stray("stray_refund"), journal: func(s string) string { return s + strayCapture + strayRefund }},
		{name: "a stray capture, not refunded", payment: stray("stray_capture"), journal: func(s string) string { return s + strayCapture }, want: "captured 250"},
		{name: "a stray capture that is not in the ledger", journal: func(s string) string { return s + strayCapture + strayRefund }, want: "captured 250"},
		{name: "a refund twice in the ledger", payment: `INSERT INTO ledger_entries SELECT '` + two + `', account, amount, currency, order_id, kind FROM ledger_entries WHERE kind = 'refund'`, want: "refunded 500 in 2"},
		{name: "a second capture at the provider", journal: twice("payment_intent.captured"), want: "captured 1500"},
		{name: "a second refund at the provider", journal: twice("refund.succeeded"), want: "refunded 500"},
		{name: "a forgotten hold", journal: without("payment_intent.canceled"), want: "still holds 250"},
		{name: "a second hold of a captured order", journal: func(s string) string { return secondHold + s }, want: "is paid, and the provider still holds 750"},
		{name: "an answer of more", told: func(s string) string { return strings.Replace(s, "CANCELLED", "PAID", 1) }, want: "client (answers)"},
		{name: "archived", order: archiveOrder, notification: archiveMessages, payment: archivePayment},
		{name: "a penny in an archived order", order: archiveOrder + `UPDATE archived_orders SET total = 751`, notification: archiveMessages, payment: archivePayment, want: "captured 751"},
		{name: "an archived order that is lost", order: archiveOrder + `DELETE FROM archived_orders WHERE state = 'paid'`, notification: archiveMessages, payment: archivePayment, want: "captured 0"},
		{name: "an archived capture that is lost", order: archiveOrder, notification: archiveMessages, payment: archivePayment + `DELETE FROM archived_entries WHERE kind = 'capture'`, want: "captured 0"},
		{name: "an archived refund of more", order: archiveOrder, notification: archiveMessages, payment: archivePayment + `UPDATE archived_entries SET amount = -251 WHERE kind = 'refund'`, want: "refunded 251"},
		{name: "archived units that are lost", order: archiveOrder + `DELETE FROM archived_units`, notification: archiveMessages, payment: archivePayment, want: "the orders say 0 less 0"},
		{name: "archived, and still there", order: `INSERT INTO archived_units VALUES ('A', 3, 1)`, want: "the orders say 6 less 2"},
		{name: "oversold", catalog: `UPDATE stock SET total = 1`, want: "oversold"},
		{name: "stock that is not its reservations", catalog: `UPDATE stock SET held = 1`, want: "its reservations say"},
		{name: "a reservation of a cancelled order", catalog: `UPDATE reservations SET state = 'committed'; UPDATE stock SET committed = 3`, want: "the orders say"},
		{name: "a hold that stays", catalog: `UPDATE reservations SET state = 'held' WHERE state = 'released'; UPDATE stock SET held = 1`, want: "are held"},
		{name: "a unit that was not restocked", catalog: `UPDATE reservation_lines SET returned = 0; UPDATE stock SET committed = 3`, want: "less 1 returned"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write := func(name, content string, change func(string) string) string {
				if change != nil {
					content = change(content)
				}
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			report, err := audit.Run(t.Context(), audit.Sources{
				Databases: map[string]string{
					"order":   database(t, orderTables+orderEvents+tt.order),
					"payment": database(t, paymentTables+paymentEvents+tt.payment),
					"catalog": database(t, catalogTables+catalogEvents+tt.catalog),

					"notification": database(t, notificationTables+tt.notification),
				},
				Broker:          true,
				ProviderJournal: write("journal.jsonl", journal, tt.journal),
				Histories:       []string{write("history.jsonl", told, tt.told)},
			}, 0)
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, d := range report.Differences {
				all.WriteString(d.Subject + ": " + d.What + "\n")
			}
			if report.Clean() != (tt.want == "") || !strings.Contains(all.String(), tt.want) {
				t.Errorf("differences, want %q:\n%s", tt.want, &all)
			}
		})
	}
}

// What an archive leaves of the orders, and of their payments.
const (
	archiveOrder = `
		INSERT INTO archived_orders VALUES ('` + one + `', 'paid', 'GBP', 750, 250, 1, 1), ('` + two + `', 'cancelled', 'GBP', 250, 0, 0, 1);
		INSERT INTO archived_units VALUES ('A', 3, 1);
		TRUNCATE orders, order_lines, refunds, refund_lines, souk_events;`
	archivePayment = `
		INSERT INTO archived_entries SELECT transaction_id, order_id, kind, amount, currency FROM ledger_entries WHERE account = 'provider_clearing';
		TRUNCATE ledger_entries, souk_events;`
	// They are older than what is compared.
	archiveMessages = `DELETE FROM mails; DELETE FROM webhook_deliveries WHERE message_id NOT LIKE 'stock%';`
)

// stray is the ledger's side of a capture of the cancelled order, or its refund.
func stray(kind string) string {
	accounts := map[string]string{"stray_capture": "'provider_clearing', 250) , ('sales', -250)", "stray_refund": "'refunds', 250), ('provider_clearing', -250)"}[kind]
	return "; INSERT INTO ledger_entries SELECT md5('" + kind + "')::uuid, e.account, e.amount, 'GBP', '" + two + "', '" + kind +
		"' FROM (VALUES (" + accounts + ") AS e (account, amount)"
}

func database(t *testing.T, sql string) string {
	t.Helper()
	dsn := pgtest.New(t, nil)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// twice repeats the journal's lines of an event, without removes them.
func twice(event string) func(string) string {
	return func(s string) string { return lines(s, event, 2) }
}

func without(event string) func(string) string {
	return func(s string) string { return lines(s, event, 0) }
}

func lines(s, event string, n int) string {
	var out strings.Builder
	for line := range strings.Lines(s) {
		if strings.Contains(line, `"`+event+`"`) {
			out.WriteString(strings.Repeat(line, n))
		} else {
			out.WriteString(line)
		}
	}
	return out.String()
}
