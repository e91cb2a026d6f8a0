package e2e

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/move"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// moved is a buyer whose bucket moves while the buyer buys.
type moved struct {
	*buyer
	bucket cell.Bucket
	orders []*shopclient.Order
	worst  time.Duration // that a call took
	// refused counts calls that were refused for now.
	refused int
}

// patience is how long a buyer repeats a call that is refused for now.
const patience = time.Minute

// TestBucketsMove moves the buckets of buyers to the other cell and back while they buy, one after
// another. No call of theirs fails for good; all that they have bought is theirs afterwards, in the cell that has
// their bucket, can be refunded there, and the ledgers agree.
func TestBucketsMove(t *testing.T) {
	t.Parallel()
	s, err := localshop.Start(t.Context(), localshop.Options{Dir: pgtest.Folder(t), Disposable: true, Cells: 2, Events: localshop.EmbeddedEvents})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	operator := shopclient.New(s.URL).WithToken(s.OperatorToken)
	csv := "code,sku,name,category,price,currency,stock\nC,C,Thing,tests,2.50,GBP,100000\n"
	if _, err := operator.ImportProducts(t.Context(), strings.NewReader(csv)); err != nil {
		t.Fatal(err)
	}
	buyers := make([]*moved, 6)
	taken := map[cell.Bucket]bool{}
	for i := 0; i < len(buyers); {
		cart, err := shopclient.New(s.URL).NewCart(t.Context(), []shopclient.Line{line("C", 1)})
		if err != nil {
			t.Fatal(err)
		}
		b, err := cell.OfText(cart.ID)
		if err != nil {
			t.Fatal(err)
		}
		if taken[b] { // by chance
			continue
		}
		taken[b] = true
		buyers[i] = &moved{buyer: &buyer{Client: shopclient.New(s.URL).WithToken(cart.Token), cell: cellOf(t, cart.ID), cart: cart.ID}, bucket: b}
		buyers[i].buysMore(t)
		i++
	}
	buying, enough := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, b := range buyers {
		wg.Go(func() {
			for buying.Err() == nil && b.buysMore(t) {
			}
		})
	}
	m, err := move.Open(t.Context(), move.Config{Services: localshop.CellsOf(s.DSNs())})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	other := map[string]string{"c1": "c2", "c2": "c1"}
	for range 2 {
		for _, b := range buyers[:4] { // the others' stay
			r, err := m.Move(t.Context(), b.bucket, other[b.cell])
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("bucket %d from %s to %s: held for %s, all in %s, %d written meanwhile, %v", r.Bucket, r.From, r.To, r.Held, r.Took, r.Again, r.Rows)
			b.cell = other[b.cell]
		}
	}
	enough()
	wg.Wait()
	for _, b := range buyers {
		t.Logf("a buyer of bucket %d bought %d times; no call took longer than %s, %d were refused for now", b.bucket, len(b.orders), b.worst, b.refused)
		for i, o := range b.orders {
			if i%8 != 0 {
				continue
			}
			mine, err := b.Order(t.Context(), o.ID)
			if err != nil || mine.State != shopclient.StatePaid {
				t.Errorf("order %s of a buyer in %s: %v, %v", o.Number, b.cell, mine, err)
			}
			if n := count(t, s, "order_"+b.cell, "SELECT count(*) FROM orders WHERE id = '"+o.ID+"'"); n != 1 {
				t.Errorf("order %s is not in %s", o.Number, b.cell)
			}
			if found, err := operator.Order(t.Context(), o.ID); err != nil || found.Number != o.Number {
				t.Errorf("operators see %v, %v", found, err)
			}
		}
		last := b.orders[0]
		if _, err := operator.Refund(t.Context(), last.ID, "refund of "+last.ID, wait, shopclient.RefundRequest{Restock: true, Reason: "returned"}); err != nil {
			t.Errorf("refund of %s, whose bucket has moved: %v", last.Number, err)
		}
	}
	now := time.Now().Add(time.Second)
	if r, err := operator.Reconcile(t.Context(), now.Add(-time.Hour), now); err != nil || !r.Done || r.DifferenceCount != 0 {
		t.Errorf("reconciliation: %+v, %v", r, err)
	}
	ledgers(t, s, "after buckets have moved")
}

// buysMore fills a cart and orders it; it reports whether that was so. What is refused for now is
// repeated: on a busy machine a bucket may be on its way for longer than a call waits.
func (b *moved) buysMore(t *testing.T) bool {
	timed := func(what string, call func() error) bool {
		begun := time.Now()
		err := call()
		b.worst = max(b.worst, time.Since(begun))
		for time.Since(begun) < patience {
			refused, ok := errors.AsType[*shopclient.Problem](err)
			if !ok || refused.Status != http.StatusServiceUnavailable || retry.Sleep(t.Context(), refused.RetryAfter) != nil {
				break
			}
			b.refused++
			err = call()
		}
		if err != nil {
			t.Errorf("%s of a buyer of bucket %d: %v", what, b.bucket, err)
		}
		return err == nil
	}
	// Empty first: units that were there when they were ordered leave with that order, maybe late.
	for _, lines := range [][]shopclient.Line{{}, {line("C", 1)}} {
		if !timed("a cart", func() error { _, err := b.SetLines(t.Context(), b.cart, lines); return err }) {
			return false
		}
	}
	var o *shopclient.Order
	key := uuid.NewString()
	if !timed("an order", func() (err error) {
		o, err = b.order(t, key, goodCard, wait)
		return err
	}) {
		return false
	}
	o = settled(t, b.Client, o)
	b.orders = append(b.orders, o)
	return true
}
