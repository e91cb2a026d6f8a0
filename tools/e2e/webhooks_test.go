package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// unreliable has the provider report some events three times, some out of order,
// some late, some never, and the rest as it should.
const unreliable = `[
	{"kind":"webhook_triple","rate":0.3,"seed":1},
	{"kind":"webhook_never","rate":0.2,"seed":2},
	{"kind":"webhook_delay","rate":0.3,"latency":"1h","seed":3},
	{"kind":"webhook_reorder","operation":"payment_intent.amount_capturable_updated","rate":0.5,"latency":"1h","seed":4}]`

// TestWebhooksTripledReorderedLateAndNever buys, is declined, cancels and is
// refunded while the provider's reports are of no use. Each order ends as it
// should, none is paid or refunded twice, and when the late reports come they
// change nothing: the ledgers are equal before and after.
func TestWebhooksTripledReorderedLateAndNever(t *testing.T) {
	t.Parallel()
	s, err := localshop.Start(t.Context(), localshop.Options{Dir: pgtest.Folder(t), Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	simulate(t, s, http.MethodPut, "/_sim/faults", unreliable, nil)

	const n = 40
	operator := shopclient.New(s.URL).WithToken(s.OperatorToken)
	csv := "code,sku,name,category,price,currency,stock\nW,W,Thing,tests,2.50,GBP,1000\n"
	if _, err := operator.ImportProducts(t.Context(), strings.NewReader(csv)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			cart, err := shopclient.New(s.URL).NewCart(t.Context(), []shopclient.Line{line("W", 2)})
			if err != nil {
				t.Error(err)
				return
			}
			c := shopclient.New(s.URL).WithToken(cart.Token)
			card, want := goodCard, shopclient.StatePaid
			if i%4 == 1 {
				card, want = declinedCard, shopclient.StateCancelled
			}
			o, err := c.PlaceOrder(t.Context(), uuid.NewString(), wait, checkoutOf(cart.ID, card))
			if err != nil {
				t.Error(err)
				return
			}
			if o = settled(t, c, o); o.State != want {
				t.Errorf("order %s ended %s, want %s", o.Number, o.State, want)
			}
			if i%4 == 2 {
				_, err := operator.Refund(t.Context(), o.ID, "refund of "+o.ID, wait, shopclient.RefundRequest{
					Lines: []shopclient.Line{line("W", 1)}, Restock: true, Reason: "returned",
				})
				if err != nil {
					t.Errorf("refund of %s: %v", o.Number, err)
				}
			}
		})
	}
	wg.Wait()
	ledgers := func(when string) {
		t.Helper()
		var report strings.Builder
		if err := audit.Check(t.Context(), sources(s), time.Minute, &report); err != nil {
			t.Fatalf("%s the late webhooks: %v\n%s", when, err, &report)
		}
	}
	ledgers("before")
	eventually(t, "the late webhooks come", func() bool {
		var left struct{ Pending int }
		simulate(t, s, http.MethodPost, "/_sim/webhooks/flush", "", &left)
		return left.Pending == 0
	})
	db, err := pgx.Connect(t.Context(), s.DSN("payment"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	var states string
	eventually(t, "all events are settled", func() bool {
		var pending int
		err := db.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE state = 'pending'),
			coalesce(string_agg(DISTINCT state, ' '), '') FROM webhook_events`).Scan(&pending, &states)
		if err != nil {
			t.Fatal(err)
		}
		return pending == 0
	})
	if states != "applied" {
		t.Errorf("events ended %s", states)
	}
	ledgers("after")
	var report struct{ Fired map[string]int }
	simulate(t, s, http.MethodGet, "/_sim/faults", "", &report)
	for _, kind := range []string{"webhook_triple", "webhook_reorder", "webhook_delay", "webhook_never"} {
		if report.Fired[kind] == 0 {
			t.Errorf("%s never happened: %v", kind, report.Fired)
		}
	}
}

// simulate calls the payment provider's simulator and decodes its answer.
func simulate(t *testing.T, s *localshop.Shop, method, path, body string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.StripesimURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, res.Status)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatal(fmt.Errorf("%s %s: %w", method, path, err))
	}
}
