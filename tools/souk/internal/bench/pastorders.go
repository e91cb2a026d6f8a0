package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// pastOrders measures a shop that has few orders behind it and one that has many: of two
// years, paid, of buyers with four orders each, of three of the shop's products. PostgreSQL
// makes them up: what the shop would have written of them, but for carts, events of stock and
// the operators' read model.
type pastOrders struct {
	sizes    [2]int
	rounds   int
	progress io.Writer
}

const (
	// ordersPart is how many orders are written at once.
	ordersPart = 50_000
	// pastSKUs is how many SKUs have sold: no order has one of them twice.
	pastSKUs = 1000
)

// made is SQL: the orders with numbers n from $1 to $2, of $3 in all. Their ids are UUIDv7 of
// times that are evenly spread over two years before October 2026, so that each service's
// tables are filled in the order in which orders come.
const made = `
made AS (
    SELECT n, at,
        (lpad(to_hex((1000 * extract(epoch FROM at))::bigint), 12, '0') || '7' || substr(md5('order' || n), 1, 3) || '8' || substr(md5('order' || n), 4, 15))::uuid AS id,
        md5('attempt' || n)::uuid AS attempt, md5('buyer' || n / 4)::uuid AS buyer
    FROM (SELECT n, timestamptz '2024-10-01 UTC' + interval '730 days' * n / $3::bigint AS at FROM generate_series($1::bigint, $2::bigint) n) s
)`

// pastStatements write a part of the past, by the service whose tables they fill. $4 has
// pastSKUs SKUs, $5 their prices in pence.
var pastStatements = []struct {
	service, sql string
	// tables have triggers that tell of each change; args is how many arguments it takes.
	tables []string
	args   int
}{
	{"order", `WITH ` + made + `, lines AS (
    SELECT m.id, l AS position, ($4::text[])[(1 + (m.n * 31 + l * 977) % cardinality($4::text[]))::integer] AS sku,
        ($5::bigint[])[(1 + (m.n * 31 + l * 977) % cardinality($5::bigint[]))::integer] AS price
    FROM made m, generate_series(1, 3) l
), totals AS (
    SELECT l.id, sum(l.price) AS total FROM lines l GROUP BY l.id
), placed AS (
    INSERT INTO orders (id, number, customer_id, idempotency_key, request_hash, state, version, total, currency, cart_id, cart_version,
        payment_method, email, shipping_address, answered_pending, answer_by, deadline, placed_at, updated_at, settled_at, open, traceparent)
    SELECT m.id, 'P-' || m.n, m.buyer, 'past' || m.n, sha256(m.id::text::bytea), 'paid', 5, t.total, 'GBP',
        md5('cart' || m.n)::uuid, 2, 'pm_card_visa', 'buyer' || m.n / 4 || '@example.com',
        '{"name": "A Shopper", "line1": "1 High Street", "city": "Town", "postal_code": "SW1Y 4JH", "country": "GB"}',
        false, m.at, m.at + interval '10 minutes', m.at, m.at + interval '40 ms', m.at + interval '40 ms', false, ''
    FROM made m JOIN totals t ON t.id = m.id
), kept AS (
    INSERT INTO order_lines (order_id, sku, position, name, quantity, unit_price, total) SELECT l.id, l.sku, l.position, l.sku, 1, l.price, l.price FROM lines l
), history AS (
    INSERT INTO order_history (order_id, version, state, at)
    SELECT m.id, v, (ARRAY['pending', 'authorizing', 'confirming', 'capturing', 'paid'])[v], m.at + (v - 1) * interval '10 ms' FROM made m, generate_series(1, 5) v
)
INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
SELECT 'order.' || m.id, v, '1', 'souk.order.v1.Order' || (ARRAY['Placed', 'Reserved', 'Authorized', 'Confirmed', 'Paid'])[v],
    m.at + (v - 1) * interval '10 ms', '', json_build_object('order_id', m.id)
FROM made m, generate_series(1, 5) v`, []string{"orders"}, 5},
	{"payment", `WITH ` + made + `, asked AS (
    INSERT INTO attempts (order_id, id, state, amount, currency, payment_method, order_number, provider_id, code, captured, created_at, updated_at, traceparent)
    SELECT m.id, m.attempt, 'captured', 100 + m.n % 900, 'GBP', 'pm_card_visa', 'P-' || m.n, 'pi_past_' || m.n, '', 100 + m.n % 900, m.at, now(), '' FROM made m
), entered AS (
    INSERT INTO ledger_entries (transaction_id, account, amount, currency, order_id, kind, created_at)
    SELECT m.attempt, e.account, e.sign * (100 + m.n % 900), 'GBP', m.id, 'capture', m.at
    FROM made m, (VALUES ('provider_clearing', 1), ('sales', -1)) AS e (account, sign)
)
INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
SELECT 'payment.' || m.id, v, '1', 'souk.payment.v1.Payment' || (ARRAY['Authorized', 'Captured'])[v], m.at, '', json_build_object('order_id', m.id)
FROM made m, generate_series(1, 2) v`, []string{"attempts", "ledger_entries"}, 3},
	{"catalog", `WITH ` + made + `, sold AS (
    INSERT INTO reservations (order_id, state, expires_at, expired, lines_hash, counted, created_at, settled_at)
    SELECT m.id, 'committed', m.at + interval '90 s', false, sha256(m.id::text::bytea), true, m.at, m.at FROM made m
)
INSERT INTO reservation_lines (order_id, sku, quantity)
SELECT m.id, ($4::text[])[(1 + (m.n * 31 + l * 977) % cardinality($4::text[]))::integer], 1
FROM made m, generate_series(1, 3) l`, nil, 4},
}

func (p *pastOrders) run(ctx context.Context, dir string) (results []ScaleResult, err error) {
	small, large := filepath.Join(dir, "few-orders"), filepath.Join(dir, "many-orders")
	err = p.withPast(ctx, small, p.sizes[0], func(a *orderUser) error {
		return p.withPast(ctx, large, p.sizes[1], func(b *orderUser) error {
			results, err = p.compare(ctx, [2]*orderUser{a, b})
			return err
		})
	})
	return results, err
}

// orderUser uses one of the shops.
type orderUser struct {
	past           int
	shop, operator *shopclient.Client
	sku            string
	// guest has placed the newest order.
	guest  *shopclient.Client
	newest *shopclient.Order
}

// withPast runs a shop that has so many orders behind it.
func (p *pastOrders) withPast(ctx context.Context, dir string, past int, use func(*orderUser) error) error {
	return withShop(ctx, nil, dir, nil, func(_ *child, st *state.State) error {
		shop := shopclient.New(st.URL)
		u := &orderUser{past: past, shop: shop, operator: shop.WithToken(st.OperatorToken)}
		page, err := shop.Products(ctx, shopclient.ProductQuery{Limit: 1})
		if err != nil {
			return err
		}
		u.sku = page.Products[0].Variants[0].SKU
		if err := p.fill(ctx, u, st); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		return use(u)
	}, "--events", "none")
}

// fill writes the orders that are missing.
func (p *pastOrders) fill(ctx context.Context, u *orderUser, st *state.State) error {
	// The read model has read the logs as far as these orders then, and passes the past over.
	if _, err := u.place(ctx); err != nil {
		return err
	}
	if err := passed(ctx, st.Postgres["insight"]); err != nil {
		return err
	}
	skus, prices, err := sold(ctx, st.Postgres["catalog"])
	if err != nil {
		return err
	}
	for _, s := range pastStatements {
		args := []any{0, 0, p.sizes[1], skus, prices}[:s.args]
		if err := p.fillService(ctx, st.Postgres[s.service], u.past, s.service, s.sql, s.tables, args); err != nil {
			return fmt.Errorf("%s: %w", s.service, err)
		}
	}
	return nil
}

// passed waits until the read model has read something of each log.
func passed(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var read int
		err := conn.QueryRow(ctx, "SELECT count(*) FROM progress WHERE source IN ('order', 'payment') AND cursor <> '' AND events > 0").Scan(&read)
		if err != nil || read == 2 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the read model has not read of the first order: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// sold returns SKUs of the shop with their prices.
func sold(ctx context.Context, dsn string) (skus []string, prices []int64, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "SELECT array_agg(sku), array_agg(price) FROM (SELECT sku, price FROM variants ORDER BY sku LIMIT $1) s", pastSKUs).Scan(&skus, &prices)
	if err == nil && len(skus) < pastSKUs {
		err = fmt.Errorf("the shop has %d SKUs, less than %d", len(skus), pastSKUs)
	}
	return skus, prices, err
}

// fillService writes what one service has of the orders up to past.
func (p *pastOrders) fillService(ctx context.Context, dsn string, past int, service, sql string, tables []string, args []any) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// The role's limit is for requests. What is written can be made up again.
	if _, err := conn.Exec(ctx, `SET statement_timeout = 0; SET synchronous_commit = off; CREATE TABLE IF NOT EXISTS souk_bench_past (orders bigint NOT NULL)`); err != nil {
		return err
	}
	var done int
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(orders), 0) FROM souk_bench_past").Scan(&done); err != nil {
		return err
	}
	if done > past {
		return fmt.Errorf("there are %d orders already, more than %d; choose another folder", done, past)
	}
	start, first := time.Now(), done
	for done < past {
		to := min(done+ordersPart, past)
		args[0], args[1] = done+1, to
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			for _, table := range tables {
				if _, err := tx.Exec(ctx, "ALTER TABLE "+table+" DISABLE TRIGGER USER"); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(ctx, sql, args...); err != nil {
				return err
			}
			for _, table := range tables {
				if _, err := tx.Exec(ctx, "ALTER TABLE "+table+" ENABLE TRIGGER USER"); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, "INSERT INTO souk_bench_past VALUES ($1)", to)
			return err
		})
		if err != nil {
			return err
		}
		if done = to; done == past || done%(10*ordersPart) == 0 {
			fmt.Fprintf(p.progress, "%s: %d of %d orders, %.0f a second\n", service, done, past, float64(done-first)/time.Since(start).Seconds())
		}
	}
	if done == first {
		return nil
	}
	if service == "payment" {
		// Else the daily reconciliation looks for each payment at the provider.
		_, err = conn.Exec(ctx, `INSERT INTO reconciliations (id, from_time, to_time, daily, phase, started_at, finished_at)
			SELECT gen_random_uuid(), min(created_at), now(), true, 'done', now(), now() FROM attempts ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "VACUUM (ANALYZE)") // what autovacuum does in its time
	return err
}

// place buys ten units, which is enough to be charged, as a new guest.
func (u *orderUser) place(ctx context.Context) (time.Duration, error) {
	u.guest = u.shop.WithToken("")
	cart, err := u.guest.NewCart(ctx, []shopclient.Line{{SKU: u.sku, Quantity: 10}})
	if err != nil {
		return 0, err
	}
	u.guest = u.guest.WithToken(cart.Token)
	start := time.Now()
	u.newest, err = u.guest.PlaceOrder(ctx, uuid.NewString(), 30*time.Second, shopclient.Checkout{
		CartID: cart.ID, PaymentMethod: "pm_card_visa", Email: "now@example.com",
		ShippingAddress: shopclient.Address{Name: "A Shopper", Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
	})
	took := time.Since(start)
	if err == nil && u.newest.State != shopclient.StatePaid {
		err = fmt.Errorf("the order ended %s", u.newest.State)
	}
	return took, err
}

// refund gives all of the newest order back.
func (u *orderUser) refund(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	r, err := u.operator.Refund(ctx, u.newest.ID, uuid.NewString(), 30*time.Second, shopclient.RefundRequest{Restock: true, Reason: "returned"})
	took := time.Since(start)
	if err == nil && r.State != shopclient.RefundSucceeded {
		err = fmt.Errorf("the refund ended %s", r.State)
	}
	return took, err
}

// orderKinds are what is done with orders, in this order in each round.
func orderKinds() []pastKind {
	get := func(token func(*orderUser) string, path func(*orderUser, *rand.Rand) string) func(context.Context, *orderUser, *rand.Rand) (time.Duration, error) {
		client := &http.Client{Timeout: 30 * time.Second}
		return func(ctx context.Context, u *orderUser, rng *rand.Rand) (time.Duration, error) {
			return timed(ctx, client, u.shop.URL()+path(u, rng), token(u))
		}
	}
	operator := func(u *orderUser) string { return u.operator.Token() }
	guest := func(u *orderUser) string { return u.guest.Token() }
	orders := func(key string, value func(n int) string) func(*orderUser, *rand.Rand) string {
		return func(u *orderUser, rng *rand.Rand) string {
			return "/v1/orders?" + url.Values{key: {value(1 + rng.IntN(u.past))}}.Encode()
		}
	}
	return []pastKind{
		{"place an order", func(ctx context.Context, u *orderUser, _ *rand.Rand) (time.Duration, error) { return u.place(ctx) }},
		{"get it", get(guest, func(u *orderUser, _ *rand.Rand) string { return "/v1/orders/" + u.newest.ID })},
		{"list the buyer's orders", get(guest, func(*orderUser, *rand.Rand) string { return "/v1/orders" })},
		{"refund it", func(ctx context.Context, u *orderUser, _ *rand.Rand) (time.Duration, error) { return u.refund(ctx) }},
		{"list the newest orders", get(operator, func(*orderUser, *rand.Rand) string { return "/v1/orders" })},
		{"find by number", get(operator, orders("number", func(n int) string { return fmt.Sprintf("P-%d", n) }))},
		{"find by e-mail", get(operator, orders("email", func(n int) string { return fmt.Sprintf("buyer%d@example.com", n/4) }))},
	}
}

type pastKind struct {
	name string
	do   func(ctx context.Context, u *orderUser, rng *rand.Rand) (time.Duration, error)
}

// compare does each kind of thing in both shops, turn and turn about: a quarter as often first,
// which does not count.
func (p *pastOrders) compare(ctx context.Context, users [2]*orderUser) ([]ScaleResult, error) {
	kinds := orderKinds()
	hists := make([][2]*hdrhistogram.Histogram, len(kinds))
	for k := range hists {
		hists[k] = [2]*hdrhistogram.Histogram{newHistogram(), newHistogram()}
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for round := -p.rounds / 4; round < p.rounds; round++ {
		for k, kind := range kinds {
			for i, u := range users {
				took, err := kind.do(ctx, u, rng)
				if err != nil {
					return nil, fmt.Errorf("%s, with %d orders: %w", kind.name, u.past, err)
				}
				if round >= 0 {
					_ = hists[k][i].RecordValue(min(took, time.Minute).Microseconds())
				}
			}
		}
	}
	results := make([]ScaleResult, len(kinds))
	for k, kind := range kinds {
		results[k] = newScaleResult(kind.name, hists[k])
	}
	return results, nil
}

// check refuses what can't be measured.
func (p *pastOrders) check() error {
	if p.sizes[0] < 1 || p.sizes[1] <= p.sizes[0] || p.rounds < 10 {
		return errors.New("the shop with few orders has one or more, the other has more than that, and 10 rounds are the least")
	}
	return nil
}
