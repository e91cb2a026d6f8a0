package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

func TestAnOrderIsPaidAndItsCartCleared(t *testing.T) {
	t.Parallel()
	a, b := product(t, 10), product(t, 10)
	c, cart := guest(t, line(a, 2), line(b, 3))
	o := order(t, c, cart.ID, goodCard)
	if o.State != shopclient.StatePaid || o.Total != (shopclient.Money{Amount: 1250, Currency: "GBP"}) || len(o.Lines) != 2 {
		t.Fatalf("order = %+v", o)
	}
	if s := stockOf(t, a); s.Available != 8 || s.Committed != 2 || s.Held != 0 {
		t.Errorf("stock after = %+v", s)
	}
	eventually(t, "the cart is empty", func() bool {
		cart, err := c.Cart(t.Context(), cart.ID)
		return err == nil && len(cart.Lines) == 0
	})
}

// rawOrder posts an order and returns the answer's bytes.
func rawOrder(t *testing.T, token, key string, body any) (*http.Response, []byte) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, shop.URL+"/v1/orders", bytes.NewReader(b))
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Prefer", "wait=25")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res, out
}

// TestFiveClicksMakeOneOrder: five concurrent POSTs of one checkout with one
// key give one order, one charge and five identical answers.
func TestFiveClicksMakeOneOrder(t *testing.T) {
	t.Parallel()
	sku := product(t, 100)
	c, cart := guest(t, line(sku, 4))
	key := uuid.NewString()
	answers := make([][]byte, 5)
	fresh := make([]bool, len(answers))
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			res, body := rawOrder(t, c.Token(), key, checkoutOf(cart.ID, goodCard))
			if res == nil {
				return
			}
			if res.StatusCode != http.StatusCreated {
				t.Errorf("answer %d: %s %s", i, res.Status, body)
			}
			answers[i] = body
			fresh[i] = res.Header.Get("Idempotent-Replayed") != "true"
		})
	}
	wg.Wait()
	for i, a := range answers {
		if !bytes.Equal(a, answers[0]) {
			t.Errorf("answer %d differs:\n%s\n%s", i, a, answers[0])
		}
	}
	if n := len(slices.DeleteFunc(fresh, func(f bool) bool { return !f })); n != 1 {
		t.Errorf("%d answers say they are the first", n)
	}
	if s := stockOf(t, sku); s.Committed != 4 || s.Held != 0 {
		t.Errorf("stock = %+v, want 4 sold", s)
	}
	page, err := c.Orders(t.Context(), "")
	if err != nil || len(page.Orders) != 1 {
		t.Fatalf("the guest has %d orders, %v", len(page.Orders), err)
	}
	if n := captures(t, page.Orders[0].ID); n != 1 {
		t.Errorf("the provider captured %d times", n)
	}

	// Days later the same request has the same answer, and another one none.
	res, body := rawOrder(t, c.Token(), key, checkoutOf(cart.ID, goodCard))
	if !bytes.Equal(body, answers[0]) || res.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a later repeat: %s %s", res.Status, body)
	}
	res, body = rawOrder(t, c.Token(), key, checkoutOf(cart.ID, declinedCard))
	if res.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("the key with another body: %s %s", res.Status, body)
	}
	if s := stockOf(t, sku); s.Committed != 4 {
		t.Errorf("repeats sold more: %+v", s)
	}
}

// TestFiveCheckoutsOfOneCart: with five keys they are five orders, which never
// sell more than there is.
func TestFiveCheckoutsOfOneCart(t *testing.T) {
	t.Parallel()
	sku := product(t, 7)
	c, cart := guest(t, line(sku, 3))
	var mu sync.Mutex
	paid := 0
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			o, err := c.PlaceOrder(t.Context(), uuid.NewString(), wait, checkoutOf(cart.ID, goodCard))
			var problem *shopclient.Problem
			if errors.As(err, &problem) && problem.Status == http.StatusConflict {
				return // an earlier one has emptied the cart
			}
			if err != nil {
				t.Error(err)
				return
			}
			o = settled(t, c, o)
			if o.State == shopclient.StatePaid {
				mu.Lock()
				paid++
				mu.Unlock()
			} else if o.CancelReason != "INSUFFICIENT_STOCK" {
				t.Errorf("order ended %s (%s)", o.State, o.CancelReason)
			}
		})
	}
	wg.Wait()
	s := stockOf(t, sku)
	if paid < 1 || paid > 2 || s.Committed != int64(3*paid) || s.Held != 0 || s.Available != 7-int64(3*paid) {
		t.Errorf("%d orders paid, stock %+v", paid, s)
	}
}

// orderOne orders one unit as a new guest, in any goroutine. A slow machine cannot settle
// all orders of a test at once: what is refused for lack of capacity is repeated.
func orderOne(t *testing.T, sku string, wait time.Duration) (c *shopclient.Client, o *shopclient.Order, err error) {
	var cart *shopclient.Cart
	err = whenAdmitted(t, func() error {
		cart, err = anyone().NewCart(t.Context(), []shopclient.Line{line(sku, 1)})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	c = anyone().WithToken(cart.Token)
	key := uuid.NewString()
	err = whenAdmitted(t, func() error {
		o, err = c.PlaceOrder(t.Context(), key, wait, checkoutOf(cart.ID, goodCard))
		return err
	})
	return c, o, err
}

// whenAdmitted repeats a call that the shop refuses for lack of capacity, after
// Retry-After.
func whenAdmitted(t *testing.T, call func() error) error {
	for {
		err := call()
		p, ok := errors.AsType[*shopclient.Problem](err)
		if !ok || p.Slug() != "overloaded" || retry.Sleep(t.Context(), max(p.RetryAfter, time.Second)) != nil {
			return err
		}
	}
}

// TestWhatWasSeenIsWhatIsBought: ten buyers look at what their carts cost and order,
// again when they are told of another price, while the operator changes the price all the
// time. Each is charged what they saw last.
func TestWhatWasSeenIsWhatIsBought(t *testing.T) {
	t.Parallel()
	sku := product(t, 1000)
	ctx, stop := context.WithCancel(t.Context())
	var changes atomic.Int64
	var operating, buying sync.WaitGroup
	operating.Go(func() {
		for price := int64(251); ctx.Err() == nil; price++ {
			err := operator().SetPrices(t.Context(), []shopclient.PriceChange{{SKU: sku, Price: shopclient.Money{Amount: price, Currency: "GBP"}}})
			if err != nil {
				t.Error(err)
				return
			}
			changes.Add(1)
		}
	})
	var refused atomic.Int64
	buy := func() {
		cart, err := anyone().NewCart(t.Context(), []shopclient.Line{line(sku, 2)})
		if err != nil {
			t.Error(err)
			return
		}
		c, key := anyone().WithToken(cart.Token), uuid.NewString()
		for try := range 1000 {
			quote, err := c.Quote(t.Context(), cart.ID)
			if err != nil {
				t.Error(err)
				return
			}
			// The first look is too old for certain: of two changes that end after it one begins after it.
			before := changes.Load()
			for try == 0 && changes.Load() < before+2 && retry.Sleep(ctx, time.Millisecond) == nil {
			}
			checkout := checkoutOf(cart.ID, goodCard)
			checkout.Agreement = quote.Agreement
			o, err := c.PlaceOrder(t.Context(), key, wait, checkout)
			if p, ok := errors.AsType[*shopclient.Problem](err); ok && p.Slug() == "price-changed" {
				refused.Add(1)
				continue
			}
			if err != nil || o.Total != quote.Total || o.AgreementDigest != quote.Digest || o.State != shopclient.StatePaid {
				t.Errorf("%+v, %v; seen was %+v", o, err, quote)
			}
			return
		}
		t.Error("no price stood long enough")
	}
	for range 10 {
		buying.Go(buy)
	}
	buying.Wait()
	stop()
	operating.Wait()
	if n := refused.Load(); n < 10 {
		t.Errorf("%d orders were refused for a price that had changed; each buyer's first is", n)
	}
}

// TestTheLastUnitIsSoldOnce: fifty buyers want it.
func TestTheLastUnitIsSoldOnce(t *testing.T) {
	t.Parallel()
	sku := product(t, 1)
	var mu sync.Mutex
	paid := 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			c, o, err := orderOne(t, sku, wait)
			if err != nil {
				t.Error(err)
				return
			}
			o = settled(t, c, o)
			switch {
			case o.State == shopclient.StatePaid:
				mu.Lock()
				paid++
				mu.Unlock()
			case o.CancelReason != "INSUFFICIENT_STOCK" || !slices.Equal(o.ShortSKUs, []string{sku}):
				t.Errorf("order ended %s (%s, short %v)", o.State, o.CancelReason, o.ShortSKUs)
			}
		})
	}
	wg.Wait()
	if s := stockOf(t, sku); paid != 1 || s.Committed != 1 || s.Available != 0 || s.Held != 0 {
		t.Errorf("%d buyers paid, stock %+v", paid, s)
	}
}

// TestADeclinedCardLeavesNothing: no hold on the card, the stock back.
func TestADeclinedCardLeavesNothing(t *testing.T) {
	t.Parallel()
	for card, reason := range map[string]string{
		declinedCard: "DECLINED",
		"pm_card_chargeDeclinedInsufficientFunds": "DECLINED",
		"pm_card_authenticationRequired":          "AUTHENTICATION_REQUIRED",
	} {
		t.Run(card, func(t *testing.T) {
			t.Parallel()
			sku := product(t, 5)
			c, cart := guest(t, line(sku, 5))
			o := order(t, c, cart.ID, card)
			if o.State != shopclient.StateCancelled || o.CancelReason != "PAYMENT_DECLINED" || o.DeclineReason != reason || o.DeclineCode != "" {
				t.Errorf("order ended %s (%s, %s, %s)", o.State, o.CancelReason, o.DeclineReason, o.DeclineCode)
			}
			if s := stockOf(t, sku); s.Available != 5 || s.Held != 0 || s.Committed != 0 {
				t.Errorf("stock = %+v", s)
			}
			if n := captures(t, o.ID); n != 0 {
				t.Errorf("the provider captured %d times", n)
			}
			// The cart is kept: the buyer tries another card.
			if o := order(t, c, cart.ID, goodCard); o.State != shopclient.StatePaid {
				t.Errorf("with a good card it ended %s (%s)", o.State, o.CancelReason)
			}
		})
	}
}

// TestAnOldCartDoesNotBuyWhatIsSoldOut: a cart holds nothing back.
func TestAnOldCartDoesNotBuyWhatIsSoldOut(t *testing.T) {
	t.Parallel()
	sku, other := product(t, 2), product(t, 5)
	late, lateCart := guest(t, line(sku, 1), line(other, 1))
	early, earlyCart := guest(t, line(sku, 2))
	if o := order(t, early, earlyCart.ID, goodCard); o.State != shopclient.StatePaid {
		t.Fatalf("early order ended %s", o.State)
	}
	o := order(t, late, lateCart.ID, goodCard)
	if o.State != shopclient.StateCancelled || o.CancelReason != "INSUFFICIENT_STOCK" || !slices.Equal(o.ShortSKUs, []string{sku}) {
		t.Errorf("late order ended %s (%s, short %v)", o.State, o.CancelReason, o.ShortSKUs)
	}
	if s := stockOf(t, other); s.Available != 5 {
		t.Errorf("the line that was in stock is not back: %+v", s)
	}
	cart, err := late.Cart(t.Context(), lateCart.ID)
	if err != nil || len(cart.Lines) != 2 {
		t.Errorf("the cart of a cancelled order = %+v, %v", cart, err)
	}
}

// TestTwoLinesOfOneSKUShareItsStock: a SKU is what is stocked, so a cart has one
// line of it; what is added twice is judged as the sum.
func TestTwoLinesOfOneSKUShareItsStock(t *testing.T) {
	t.Parallel()
	sku := product(t, 5)
	twice := fmt.Sprintf(`{"lines":[{"sku":%q,"quantity":3},{"sku":%q,"quantity":3}]}`, sku, sku)
	wantProblem(t, "", "POST", "/v1/carts", twice, nil, http.StatusBadRequest)
	c, cart := guest(t, line(sku, 3))
	wantProblem(t, c.Token(), "PUT", "/v1/carts/"+cart.ID+"/lines", twice, nil, http.StatusBadRequest)
	got, err := c.AddLine(t.Context(), cart.ID, line(sku, 3))
	if err != nil || len(got.Lines) != 1 || got.Lines[0].Quantity != 6 {
		t.Fatalf("three and three make %+v, %v", got, err)
	}
	o := order(t, c, cart.ID, goodCard)
	if o.State != shopclient.StateCancelled || o.CancelReason != "INSUFFICIENT_STOCK" || !slices.Equal(o.ShortSKUs, []string{sku}) {
		t.Errorf("six of five ended %s (%s, short %v)", o.State, o.CancelReason, o.ShortSKUs)
	}
	if s := stockOf(t, sku); s.Available != 5 || s.Held != 0 || s.Committed != 0 {
		t.Errorf("stock = %+v", s)
	}
	if n := captures(t, o.ID); n != 0 {
		t.Errorf("the provider captured %d times", n)
	}
}

// TestParallelAddsLoseNothing: eleven of one product and twenty different ones
// at once.
func TestParallelAddsLoseNothing(t *testing.T) {
	t.Parallel()
	same := product(t, 100)
	others := stocked(t, 20, 1)
	c, cart := guest(t)
	var wg sync.WaitGroup
	add := func(sku string) {
		wg.Go(func() {
			for {
				_, err := c.AddLine(t.Context(), cart.ID, line(sku, 1))
				var problem *shopclient.Problem
				if errors.As(err, &problem) && problem.Status == http.StatusConflict {
					continue // the client was answered with an error
				}
				if err != nil {
					t.Errorf("add: %v", err)
				}
				return
			}
		})
	}
	for range 11 {
		add(same)
	}
	for _, sku := range others {
		add(sku)
	}
	wg.Wait()
	got, err := c.Cart(t.Context(), cart.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Lines) != 21 {
		t.Errorf("%d lines, want 21", len(got.Lines))
	}
	for _, l := range got.Lines {
		if l.SKU == same && l.Quantity != 11 {
			t.Errorf("%d units of eleven adds", l.Quantity)
		}
	}
}

// TestRefundsNeverExceedTheCapture: ten at once, each for all of it.
func TestRefundsNeverExceedTheCapture(t *testing.T) {
	t.Parallel()
	sku := product(t, 10)
	c, cart := guest(t, line(sku, 4))
	o := order(t, c, cart.ID, goodCard)
	var mu sync.Mutex
	var refunded int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			f, err := operator().Refund(t.Context(), o.ID, uuid.NewString(), wait, shopclient.RefundRequest{
				Lines: []shopclient.Line{line(sku, 3)}, Restock: true, Reason: "returned",
			})
			var problem *shopclient.Problem
			if errors.As(err, &problem) {
				if problem.Status != http.StatusConflict && problem.Status != http.StatusUnprocessableEntity {
					t.Errorf("refund refused with %v", problem)
				}
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			if f.State == shopclient.RefundSucceeded {
				mu.Lock()
				refunded += f.Amount.Amount
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if refunded != 750 {
		t.Errorf("refunded %d, want one refund of 750", refunded)
	}
	// What is left can still be given back, once.
	f, err := operator().Refund(t.Context(), o.ID, "rest of "+o.ID, wait, shopclient.RefundRequest{Restock: false, Reason: "goodwill"})
	if err != nil || f.State != shopclient.RefundSucceeded || f.Amount.Amount != 250 {
		t.Fatalf("refund of the rest = %+v, %v", f, err)
	}
	again, err := operator().Refund(t.Context(), o.ID, "rest of "+o.ID, wait, shopclient.RefundRequest{Restock: false, Reason: "goodwill"})
	if err != nil || again.ID != f.ID {
		t.Errorf("the same refund again = %+v, %v", again, err)
	}
	if s := stockOf(t, sku); s.Available != 9 || s.Committed != 1 {
		t.Errorf("stock = %+v, want 3 of 4 back", s)
	}
	got, err := c.Order(t.Context(), o.ID)
	if err != nil || got.Refunded.Amount != 1000 {
		t.Errorf("order says %d refunded, %v", got.Refunded.Amount, err)
	}
}

// TestOrderNumbersAreUnique: many at once.
func TestOrderNumbersAreUnique(t *testing.T) {
	t.Parallel()
	sku := product(t, 1000)
	var mu sync.Mutex
	numbers := map[string]bool{}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			_, o, err := orderOne(t, sku, 0)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if numbers[o.Number] {
				t.Errorf("number %s twice", o.Number)
			}
			numbers[o.Number] = true
		})
	}
	wg.Wait()
}

// TestCancelRacesTheCheckout: whatever wins, the order ends once and the ledgers
// agree (they are audited at the end).
func TestCancelRacesTheCheckout(t *testing.T) {
	t.Parallel()
	sku := product(t, 1000)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c, o, err := orderOne(t, sku, 0)
			if err != nil {
				t.Error(err)
				return
			}
			_, err = c.CancelOrder(t.Context(), o.ID)
			var problem *shopclient.Problem
			if err != nil && (!errors.As(err, &problem) || problem.Status != http.StatusConflict) {
				t.Errorf("cancel: %v", err)
			}
			o = settled(t, c, o)
			if n := captures(t, o.ID); (n == 1) != (o.State == shopclient.StatePaid) || n > 1 {
				t.Errorf("order ended %s with %d captures", o.State, n)
			}
			if (err == nil) == (o.State == shopclient.StatePaid) {
				t.Errorf("cancel said %v, the order ended %s", err, o.State)
			}
		})
	}
	wg.Wait()
}

// TestAnUnauthorisedCallerSeesNothing: ids are no secrets, tokens are.
func TestAnUnauthorisedCallerSeesNothing(t *testing.T) {
	t.Parallel()
	sku := product(t, 10)
	owner, cart := guest(t, line(sku, 1))
	o := order(t, owner, cart.ID, goodCard)
	caller, _ := guest(t)
	calls := map[string]func() error{
		"read the cart": func() error { _, err := caller.Cart(t.Context(), cart.ID); return err },
		"fill the cart": func() error { _, err := caller.AddLine(t.Context(), cart.ID, line(sku, 1)); return err },
		"order the cart": func() error {
			_, err := caller.PlaceOrder(t.Context(), uuid.NewString(), 0, checkoutOf(cart.ID, goodCard))
			return err
		},
		"read the order":   func() error { _, err := caller.Order(t.Context(), o.ID); return err },
		"cancel the order": func() error { _, err := caller.CancelOrder(t.Context(), o.ID); return err },
	}
	for what, call := range calls {
		var problem *shopclient.Problem
		if err := call(); !errors.As(err, &problem) || problem.Status != http.StatusNotFound {
			t.Errorf("an unauthorised caller could %s: %v", what, err)
		}
	}
	var problem *shopclient.Problem
	_, err := owner.Refund(t.Context(), o.ID, uuid.NewString(), 0, shopclient.RefundRequest{})
	if !errors.As(err, &problem) || problem.Status != http.StatusForbidden {
		t.Errorf("a customer's own refund: %v", err)
	}
}
