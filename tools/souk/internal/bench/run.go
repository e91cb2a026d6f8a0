package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

const (
	// recordings is how many checkouts are recorded; the limit's loop goes round
	// them, so that it touches as many rows as shoppers do.
	recordings = 32
	// fastest bounds how many checkouts a second and worker the limit is
	// prepared for.
	fastest = 400
)

// run measures in a folder of its own.
func (b *bench) run(ctx context.Context, dir string) error {
	var recorded []checkoutSQL
	if b.only != "read" {
		fmt.Fprintln(b.progress, "recording what a checkout sends to the databases")
		var err error
		if recorded, err = b.record(ctx, dir); err != nil {
			return fmt.Errorf("recording: %w", err)
		}
	}
	if b.only != "checkout" {
		if err := withShop(ctx, nil, dir, nil, func(shop *child, st *state.State) error { return b.reading(ctx, shop, st) }); err != nil {
			return fmt.Errorf("reading: %w", err)
		}
	}
	if b.only != "read" {
		if err := b.checkouts(ctx, dir, recorded); err != nil {
			return fmt.Errorf("checkout: %w", err)
		}
	}
	return nil
}

// withShop runs the shop as its users do, in a process of its own, with
// variables beside what they have, and flags of souk up.
func withShop(ctx context.Context, on func(start func() error) error, dir string, env []string, use func(*child, *state.State) error, flags ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	shop, st, err := startShop(ctx, self, on, dir, env, flags...)
	if err != nil {
		return err
	}
	defer shop.stop()
	return use(shop, st)
}

// startShop starts a shop by a build of souk.
func startShop(ctx context.Context, souk string, on func(start func() error) error, dir string, env []string, flags ...string) (*child, *state.State, error) {
	shop, err := startChild(ctx, souk, on, env, nil, "ready ", append([]string{"up", "--data", dir, "--addr", "127.0.0.1:0"}, flags...)...)
	if err != nil {
		return nil, nil, err
	}
	st, err := state.Read(dir)
	if err != nil {
		shop.stop()
		return nil, nil, err
	}
	return shop, st, nil
}

// record runs a shop in this process and checks out, one after the other,
// writing down what its services send. All but the last round trips of a
// checkout happen before its answer; the rest is waited for.
func (b *bench) record(ctx context.Context, dir string) (_ []checkoutSQL, err error) {
	rec := &recorder{}
	shop, err := localshop.Start(ctx, localshop.Options{Dir: dir, Seed: true, Tracer: rec.forCheckout})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, shop.Stop(context.WithoutCancel(ctx))) }()
	orders, err := pgx.Connect(ctx, shop.DSN("order"))
	if err != nil {
		return nil, err
	}
	defer orders.Close(context.WithoutCancel(ctx))
	buyer, err := newBuyer(ctx, shop.URL, b.lines)
	if err != nil {
		return nil, err
	}
	var out []checkoutSQL
	for i := range recordings {
		rec.take()
		since := time.Now().Truncate(time.Millisecond) // as exact as an id is
		id, err := buyer.checkout(ctx, i)
		if err != nil {
			return nil, err
		}
		if err := waitDone(ctx, orders, id); err != nil {
			return nil, err
		}
		r := newRenewer(since)
		out = append(out, checkoutSQL{since, foreground(rec.take(), r.names)})
	}
	n := 0
	for _, rd := range out[len(out)-1].rounds {
		n += len(rd.statements)
	}
	fmt.Fprintf(b.progress, "a checkout of %d lines is %d statements in %d round trips\n", b.lines, n, len(out[len(out)-1].rounds))
	return out, nil
}

// waitDone waits until an order has nothing left to do: its job is gone.
func waitDone(ctx context.Context, orders *pgx.Conn, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var busy bool
		err := orders.QueryRow(ctx, `SELECT EXISTS (SELECT FROM souk_live_jobs() WHERE args->>'order_id' = $1)`, id).Scan(&busy)
		if err != nil || !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("order %s still has a job: %w", id, ctx.Err())
		case <-tick.C:
		}
	}
}

// checkouts measures the shop and the limit, turn and turn about. The limit
// runs while the shop is down: its services must not work on the same rows.
func (b *bench) checkouts(ctx context.Context, dir string, recorded []checkoutSQL) error {
	ours, theirs, common := newSide("souk"), newSide("same SQL, bare pgx"), newSide("pgbench TPC-B")
	var bank *tpcb
	for range b.rounds {
		err := withShop(ctx, nil, dir, nil, func(shop *child, st *state.State) error {
			buyer, err := newBuyer(ctx, st.URL, b.lines)
			if err != nil {
				return err
			}
			ours.pids = map[string]int{"souk": shop.cmd.Process.Pid, "postgres": st.PIDs["postgres"]}
			return ours.measure(func() (sample, error) {
				return closedLoop(ctx, b.concurrency, b.time, func(ctx context.Context, w, i int) error {
					_, err := buyer.checkout(ctx, w*1_000_003+i)
					return err
				})
			})
		})
		if err != nil {
			return err
		}
		if err := b.limit(ctx, dir, recorded, theirs, &bank, common); err != nil {
			return err
		}
	}
	b.add("checkout", ours, theirs)
	if bank == nil {
		fmt.Fprintf(b.progress, "checkouts per TPC-B transaction: not measured, for %v\n", errNoPgbench)
		b.notes = append(b.notes, "Checkouts per TPC-B transaction were not measured: "+errNoPgbench.Error()+".")
		return nil
	}
	b.add(perTPCB, ours, common)
	return nil
}

// perTPCB is the name of the comparison whose ratio is checkouts per transaction of
// TPC-B, on the same server in the same run.
const perTPCB = "checkout per TPC-B"

// limit measures a round of the bare loop, and one of TPC-B where there is a pgbench.
func (b *bench) limit(ctx context.Context, dir string, recorded []checkoutSQL, side *Side, bank **tpcb, common *Side) (err error) {
	pg, err := localshop.StartPostgres(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop(context.WithoutCancel(ctx))) }()
	loop, err := prepareSQL(ctx, pg.DSNs(), recorded, b.concurrency, int(b.time.Seconds()*fastest)+1)
	if err != nil {
		return err
	}
	defer loop.close()
	side.pids = map[string]int{"pgx loop": os.Getpid(), "postgres": pg.PID()}
	if err := side.measure(func() (sample, error) { return loop.run(ctx, b.time) }); err != nil {
		return err
	}
	if *bank == nil {
		if *bank, err = newTPCB(pg.PID(), b.concurrency); err != nil {
			if errors.Is(err, errNoPgbench) {
				return nil
			}
			return err
		}
	}
	dsn := pg.DSNs()["order"]
	if err := (*bank).prepare(ctx, dsn, func(sql string) error {
		_, err := loop.pools["order"].Exec(ctx, sql)
		return err
	}); err != nil {
		return err
	}
	loop.close() // its connections are pgbench's now
	common.pids = map[string]int{"postgres": pg.PID()}
	return common.measure(func() (sample, error) { return (*bank).run(ctx, dsn, dir, b.time) })
}

// buyer checks out again and again.
type buyer struct {
	shop  *shopclient.Client
	skus  []string
	lines int
}

func newBuyer(ctx context.Context, url string, lines int) (*buyer, error) {
	b := &buyer{shop: shopclient.New(url), lines: lines}
	const dear = 100 // an order of one unit must not be below what the provider charges at least
	for cursor := ""; len(b.skus) < 1000; {
		page, err := b.shop.Products(ctx, shopclient.ProductQuery{InStock: true, MinPrice: dear, Limit: 100, Cursor: cursor})
		if err != nil {
			return nil, err
		}
		for _, p := range page.Products {
			b.skus = append(b.skus, p.Variants[0].SKU)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(b.skus) < lines {
		return nil, fmt.Errorf("the shop has %d products in stock, an order needs %d", len(b.skus), lines)
	}
	return b, nil
}

// checkout buys one unit of a few products as a new guest and returns the
// order's id once it is paid.
func (b *buyer) checkout(ctx context.Context, n int) (string, error) {
	cart, err := b.shop.NewCart(ctx, b.choose(n))
	if err != nil {
		return "", err
	}
	return b.order(ctx, b.shop.WithToken(cart.Token), cart.ID)
}

// choose returns the lines of an order.
func (b *buyer) choose(n int) []shopclient.Line {
	lines := make([]shopclient.Line, b.lines)
	for i := range lines {
		// Strides that share no factor with each other spread the choice.
		lines[i] = shopclient.Line{SKU: b.skus[(n*31+i*7)%len(b.skus)], Quantity: 1}
	}
	return lines
}

// order orders a guest's cart and returns the order's id once it is paid.
func (b *buyer) order(ctx context.Context, guest *shopclient.Client, cart string) (string, error) {
	order, err := guest.PlaceOrder(ctx, uuid.NewString(), 20*time.Second, shopclient.Checkout{
		CartID: cart, PaymentMethod: "pm_card_visa", Email: "bench@example.com",
		ShippingAddress: shopclient.Address{Name: "Bench", Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
	})
	if err != nil {
		return "", err
	}
	if order.State != shopclient.StatePaid {
		return "", fmt.Errorf("order %s ended %s (%s)", order.Number, order.State, order.CancelReason)
	}
	return order.ID, nil
}
