package audit

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// The columns that are compared, of a paid order with a refund and one that was cancelled.
const (
	soldOrder = "01900000-0000-7000-8000-000000000001"
	lostOrder = "01900000-0000-7000-8000-000000000002"
	modelHas  = `
		CREATE TABLE orders (generation smallint DEFAULT 1, id uuid, number text, customer_id text, country text, state text, cancel_reason text DEFAULT '',
			total bigint, currency text, version bigint, placed_at timestamptz);
		CREATE TABLE order_lines (generation smallint DEFAULT 1, order_id uuid, sku text, name text, quantity bigint, unit_price bigint, total bigint, refunded_quantity bigint);
		CREATE TABLE refunds (generation smallint DEFAULT 1, id text, order_id uuid, state text, amount bigint, currency text, restock boolean, failure_code text DEFAULT '');
		INSERT INTO orders VALUES
			(1, '` + soldOrder + `', 'S-1', 'c1', 'GB', 'paid', '', 750, 'GBP', 6, '2026-11-01 10:00:00.123456+00'),
			(1, '` + lostOrder + `', 'S-2', 'c2', 'DE', 'cancelled', 'payment_declined', 250, 'GBP', 3, '2026-11-01 11:00:00+00');
		INSERT INTO order_lines VALUES (1, '` + soldOrder + `', 'A', 'Lamp', 3, 250, 750, 1), (1, '` + lostOrder + `', 'A', 'Lamp', 1, 250, 250, 0);
		INSERT INTO refunds VALUES (1, 'r1', '` + soldOrder + `', 'succeeded', 250, 'GBP', true);`
	ordersHave = modelHas + `
		CREATE TABLE archived_orders (id uuid);
		ALTER TABLE orders ADD shipping_address jsonb;
		UPDATE orders SET shipping_address = jsonb_build_object('country', country);`
	insightHas = modelHas + `
		CREATE TABLE model (serving smallint);
		CREATE TABLE progress (generation smallint, source text, complete_until timestamptz);
		CREATE TABLE payments (generation smallint, order_id uuid, currency text, captured bigint, captures bigint, refunded bigint, refunds bigint);
		INSERT INTO model VALUES (1);
		INSERT INTO progress VALUES (1, 'order', '9000-01-01'), (1, 'payment', '9000-01-01'), (0, 'order', '-infinity');
		INSERT INTO payments VALUES (1, '` + soldOrder + `', 'GBP', 750, 1, 250, 1), (1, '` + lostOrder + `', '', 0, 0, 0, 0);
		INSERT INTO orders SELECT 0, id, 'old', customer_id, country, state, cancel_reason, 1, currency, version, placed_at FROM orders;`
	paymentHas = `
		CREATE TABLE ledger_entries (account text, amount bigint, currency text, order_id uuid, kind text, transaction_id uuid);
		CREATE TABLE archived_entries (transaction_id uuid, order_id uuid, kind text, amount bigint, currency text);
		INSERT INTO ledger_entries VALUES
			('provider_clearing', 750, 'GBP', '` + soldOrder + `', 'capture'), ('sales', -750, 'GBP', '` + soldOrder + `', 'capture'),
			('provider_clearing', -250, 'GBP', '` + soldOrder + `', 'refund'), ('refunds', 250, 'GBP', '` + soldOrder + `', 'refund'),
			('provider_clearing', 250, 'GBP', '` + lostOrder + `', 'stray_capture');`
)

// connected is a database with what the statements make.
func connected(t *testing.T, statements string) (dsn string, db *pgx.Conn) {
	t.Helper()
	dsn = pgtest.New(t, nil)
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	if _, err := db.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	return dsn, db
}

// TestABlindAuditOfTheModelIsNoticed plants one wrong entry at a time in the read model: each
// must be found. The generation that does not answer is no part of it.
func TestABlindAuditOfTheModelIsNoticed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, insight string // SQL
		want          string // of the differences; empty for none
	}{
		{name: "equal"},
		{name: "a penny more", insight: `UPDATE orders SET total = 751 WHERE generation = 1 AND state = 'paid'`, want: "captured 751"},
		{name: "another state", insight: `UPDATE orders SET state = 'cancelling' WHERE generation = 1 AND state = 'cancelled'`, want: "S-2 c2 DE cancelling"},
		{name: "another reason", insight: `UPDATE orders SET cancel_reason = 'customer' WHERE generation = 1 AND state = 'cancelled'`, want: "customer"},
		{name: "another country", insight: `UPDATE orders SET country = 'FR' WHERE generation = 1 AND state = 'paid'`, want: "S-1 c1 FR"},
		{name: "a version behind", insight: `UPDATE orders SET version = 5 WHERE generation = 1 AND state = 'paid'`, want: "version 5"},
		{name: "another time, by a microsecond", insight: `UPDATE orders SET placed_at = placed_at + interval '1 microsecond' WHERE generation = 1 AND state = 'paid'`, want: "insight has"},
		{name: "an order that is missing", insight: `DELETE FROM orders WHERE generation = 1 AND state = 'cancelled'`, want: `insight has ""`},
		{name: "an order that nobody placed", insight: `INSERT INTO orders VALUES (1, gen_random_uuid(), 'S-3', 'c3', 'GB', 'pending', '', 1, 'GBP', 1, now())`, want: "is not there; insight has"},
		{name: "a line that is missing", insight: `DELETE FROM order_lines WHERE total = 250`, want: "insight has"},
		{name: "a unit more of a line", insight: `UPDATE order_lines SET quantity = 4 WHERE total = 750`, want: "A:Lamp:4"},
		{name: "a unit that is not refunded", insight: `UPDATE order_lines SET refunded_quantity = 0 WHERE total = 750`, want: "A:Lamp:3:250:750:0"},
		{name: "a refund that is missing", insight: `DELETE FROM refunds`, want: "refunded 0"},
		{name: "a refund that is not settled", insight: `UPDATE refunds SET state = 'pending'`, want: "r1:pending"},
		{name: "a refund that failed for a reason", insight: `UPDATE refunds SET failure_code = 'expired'`, want: "expired"},
		{name: "a capture that payment does not have", insight: `UPDATE payments SET captured = 250, captures = 1 WHERE captures = 0`, want: "captured 250"},
		{name: "a capture that is missing", insight: `DELETE FROM payments WHERE captures = 1`, want: "captured 0"},
		{name: "a refund twice", insight: `UPDATE payments SET refunded = 500, refunds = 2 WHERE captures = 1`, want: "refunded 500"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, orders := connected(t, ordersHave)
			_, payments := connected(t, paymentHas)
			insight, _ := connected(t, insightHas+tt.insight)
			r := &Report{Ledgers: []Ledger{{Name: "orders (SQL)", Entries: map[string]Entry{
				soldOrder: {Captures: 1, Captured: 750, Currency: "GBP", Refunds: 1, Refunded: 250, Lines: 1},
			}}}}
			if err := r.model(t.Context(), insight, books{orders}, books{payments}, 0); err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, d := range r.Differences {
				if d.Kind != Model {
					t.Errorf("%+v is of another kind", d)
				}
				all.WriteString(d.Subject + ": " + d.What + "\n")
			}
			if r.Clean() != (tt.want == "") || !strings.Contains(all.String(), tt.want) {
				t.Errorf("differences, want %q:\n%s", tt.want, &all)
			}
		})
	}
}

// A model that is not as far as the shop is not compared: that it is behind is the difference.
func TestAModelThatIsBehindIsSaidToBe(t *testing.T) {
	t.Parallel()
	_, orders := connected(t, "")
	_, payments := connected(t, "")
	for name, behind := range map[string]string{
		"a source is behind":               `UPDATE progress SET complete_until = now() - interval '1 minute' WHERE source = 'payment'`,
		"a source was never read whole":    `UPDATE progress SET complete_until = '-infinity' WHERE source = 'order'`,
		"a source is not there":            `DELETE FROM progress WHERE source = 'payment'`,
		"the first model is not whole yet": `UPDATE model SET serving = NULL`,
	} {
		_, insight := connected(t, insightHas+behind)
		if said, err := waitComplete(t.Context(), insight, books{orders}, books{payments}, 0); err != nil || !strings.Contains(said, "is complete until") {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
	_, insight := connected(t, insightHas)
	if said, err := waitComplete(t.Context(), insight, books{orders}, books{payments}, 0); err != nil || said != "" {
		t.Errorf("one that is complete: %q, %v", said, err)
	}
}
