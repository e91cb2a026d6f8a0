package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// buyer is a guest of a shop in cells, with what the guest bought last.
type buyer struct {
	*shopclient.Client
	cell string
	cart string
	last *shopclient.Order
}

// TestCells cuts a shop in two. What customers, operators and the ledgers see is one shop; each
// customer's orders are in one cell. The databases of a cell go away: the customers of the other
// buy on, and those of this one are told to try again, lose nothing and go on afterwards.
func TestCells(t *testing.T) {
	t.Parallel()
	s, err := localshop.Start(t.Context(), localshop.Options{
		Dir: pgtest.Folder(t), Disposable: true, Cells: 2, Events: localshop.EmbeddedEvents,
		Env: func(string, int) []string { return []string{"SOUK_GATEWAY_RETRY_BUDGET=500ms"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	operator := shopclient.New(s.URL).WithToken(s.OperatorToken)
	csv := "code,sku,name,category,price,currency,stock\nC,C,Thing,tests,2.50,GBP,1000\n"
	if _, err := operator.ImportProducts(t.Context(), strings.NewReader(csv)); err != nil {
		t.Fatal(err)
	}
	const n = 24
	buyers := make([]*buyer, n)
	var wg sync.WaitGroup
	for i := range buyers {
		wg.Go(func() {
			cart, err := shopclient.New(s.URL).NewCart(t.Context(), []shopclient.Line{line("C", 1)})
			if err != nil {
				t.Error(err)
				return
			}
			b := &buyer{Client: shopclient.New(s.URL).WithToken(cart.Token), cell: cellOf(t, cart.ID), cart: cart.ID}
			card, want := goodCard, shopclient.StatePaid
			if i%6 == 5 {
				card, want = declinedCard, shopclient.StateCancelled
			}
			if b.last = b.buys(t, uuid.NewString(), card, want); i%6 == 4 && b.last != nil {
				_, err := operator.Refund(t.Context(), b.last.ID, "refund of "+b.last.ID, wait, shopclient.RefundRequest{Restock: true, Reason: "returned"})
				if err != nil {
					t.Errorf("refund of %s: %v", b.last.Number, err)
				}
			}
			buyers[i] = b
		})
	}
	wg.Wait()
	of := map[string][]*buyer{}
	for _, b := range buyers {
		if b == nil || b.last == nil {
			t.FailNow()
		}
		of[b.cell] = append(of[b.cell], b)
		if at := cellOf(t, b.last.ID); at != b.cell {
			t.Errorf("order %s of a customer of %s leads to %s", b.last.ID, b.cell, at)
		}
	}
	if len(of["c1"]) < 2 || len(of["c2"]) < 2 {
		t.Fatalf("%d buyers are in one cell and %d in the other", len(of["c1"]), len(of["c2"]))
	}
	for name, want := range map[string]int{"order_c1": len(of["c1"]), "order_c2": len(of["c2"])} {
		if got := count(t, s, name, "SELECT count(*) FROM orders"); got != want {
			t.Errorf("%s has %d orders, want %d", name, got, want)
		}
	}
	listed := map[string]bool{}
	eventually(t, "the read model has the orders of both cells", func() bool {
		clear(listed)
		for cursor := ""; ; {
			page, err := operator.Orders(t.Context(), cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Orders {
				listed[o.ID] = true
			}
			if cursor = page.NextCursor; cursor == "" {
				return len(listed) >= n
			}
		}
	})
	if found, err := operator.FindCustomers(t.Context(), checkoutOf("", "").Email); err != nil || len(listed) != n || len(found) != n {
		t.Errorf("operators see %d orders of %d customers, %v; there are %d", len(listed), len(found), err, n)
	}
	now := time.Now().Add(time.Second)
	if r, err := operator.Reconcile(t.Context(), now.Add(-time.Hour), now); err != nil || !r.Done || r.DifferenceCount != 0 || len(r.Totals) != 1 || r.Totals[0].MovementsHere == 0 {
		t.Errorf("reconciliation: %+v, %v", r, err)
	}
	ledgers(t, s, "in two cells")

	for _, b := range buyers {
		b.cart = b.fill(t)
	}
	// An order of the second cell is under way when the databases go.
	open, err := of["c2"][0].order(t, uuid.NewString(), goodCard, 0)
	if err != nil {
		t.Fatal(err)
	}
	back := takeAway(t, s, "order_c2", "payment_c2", "cart_c2")
	if err := operator.Ready(t.Context()); err != nil {
		t.Errorf("the gateway is not ready: %v", err)
	}
	key := uuid.NewString()
	_, err = of["c2"][1].order(t, key, goodCard, wait)
	if p, ok := errors.AsType[*shopclient.Problem](err); !ok || p.Status != http.StatusServiceUnavailable {
		t.Errorf("a customer of the cell that is away orders: %v", err)
	}
	if _, err := of["c2"][0].Order(t.Context(), open.ID); err == nil {
		t.Error("an order of the cell that is away is shown")
	}
	for _, b := range of["c1"] {
		b.buys(t, uuid.NewString(), goodCard, shopclient.StatePaid)
	}
	back()
	eventually(t, "the cell's customers order again", func() bool {
		o, err := of["c2"][1].order(t, key, goodCard, wait)
		return err == nil && settled(t, of["c2"][1].Client, o).State == shopclient.StatePaid
	})
	if o := settled(t, of["c2"][0].Client, open); o.State != shopclient.StatePaid {
		t.Errorf("the order that was under way ended %s", o.State)
	}
	ledgers(t, s, "after a cell was away")
	if got := count(t, s, "order_c2", "SELECT count(*) FROM orders"); got != len(of["c2"])+2 {
		t.Errorf("the cell has %d orders, want %d", got, len(of["c2"])+2)
	}
}

// cellOf is the cell of two that an id leads to.
func cellOf(t *testing.T, id string) string {
	t.Helper()
	b, err := cell.OfText(id)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("c", 1+int(b)*2/cell.Buckets)
}

// fill puts a unit into a cart of the buyer.
func (b *buyer) fill(t *testing.T) string {
	cart, err := b.NewCart(t.Context(), []shopclient.Line{line("C", 1)})
	if err != nil {
		t.Errorf("a cart of a customer of %s: %v", b.cell, err)
		return ""
	}
	return cart.ID
}

func (b *buyer) order(t *testing.T, key, card string, wait time.Duration) (*shopclient.Order, error) {
	return b.PlaceOrder(t.Context(), key, wait, checkoutOf(b.cart, card))
}

// buys has the buyer order and waits until that is settled.
func (b *buyer) buys(t *testing.T, key, card string, want string) *shopclient.Order {
	o, err := b.order(t, key, card, wait)
	if err != nil {
		t.Errorf("an order of a customer of %s: %v", b.cell, err)
		return nil
	}
	if o = settled(t, b.Client, o); o.State != want {
		t.Errorf("order %s ended %s, want %s", o.Number, o.State, want)
	}
	return o
}

func ledgers(t *testing.T, s *localshop.Shop, when string) {
	t.Helper()
	var report strings.Builder
	if err := audit.Check(t.Context(), sources(s), time.Minute, &report); err != nil {
		t.Fatalf("%s: %v\n%s", when, err, &report)
	}
}

func count(t *testing.T, s *localshop.Shop, database, sql string) (n int) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	if err := db.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// takeAway ends the sessions of databases and lets none begin, until what it returns is called.
func takeAway(t *testing.T, s *localshop.Shop, databases ...string) (back func()) {
	t.Helper()
	owners := make([]*pgx.Conn, len(databases))
	exec := func(owner *pgx.Conn, sql string) {
		t.Helper()
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for i, name := range databases {
		owner, err := pgx.Connect(t.Context(), s.DSN(name))
		if err != nil {
			t.Fatal(err)
		}
		owners[i] = owner
		t.Cleanup(func() { owner.Close(context.WithoutCancel(t.Context())) })
		exec(owner, "ALTER DATABASE "+name+" CONNECTION LIMIT 0")
		exec(owner, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}
	return func() {
		for i, name := range databases {
			exec(owners[i], "ALTER DATABASE "+name+" CONNECTION LIMIT -1")
		}
	}
}
