package stripesim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// ask calls the simulator itself, past what is in front of it, and returns what
// it answers with 200.
func (h *fixture) ask(method, path, body string) string {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.ctx, method, h.sim.String()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk_test_123")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
	}
	return string(text)
}

// fails lets the next calls of the operations execute and answer 500, which the
// key keeps.
func (h *fixture) fails(operations ...string) {
	h.t.Helper()
	var rules []map[string]any
	for _, op := range operations {
		rules = append(rules, map[string]any{"kind": "error_after_commit", "operation": op, "count": 1})
	}
	body, err := json.Marshal(rules)
	if err != nil {
		h.t.Fatal(err)
	}
	h.ask(http.MethodPut, "/_sim/faults", string(body))
}

// allFired fails the test if a rule of fails has not fired.
func (h *fixture) allFired() {
	h.t.Helper()
	if report := h.ask(http.MethodDelete, "/_sim/faults", ""); strings.Contains(report, `"fired":0`) {
		h.t.Errorf("a fault never fired: %s", report)
	}
}

// TestA500ThatTheKeyKeeps has the provider do what it is asked and answer 500,
// to every repeat, for ever: no command may wait for another answer.
func TestA500ThatTheKeyKeeps(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	// ends repeats a command that had an unknown outcome at most once.
	ends := func(what string, command func() error) {
		t.Helper()
		err := command()
		if rpc.Info(err).GetReason() == "OUTCOME_UNKNOWN" {
			err = command()
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	auth := func(order, method string, want paymentv1.AttemptState) {
		t.Helper()
		ends("authorize", func() error {
			a, err := c.Authorize(h.ctx, authorize(order, method))
			if err == nil && a.GetPayment().GetState() != want {
				err = fmt.Errorf("state %s, want %s", a.GetPayment().GetState(), want)
			}
			return err
		})
	}
	cancel := func(order string) {
		t.Helper()
		ends("cancel", func() error {
			_, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order})
			return err
		})
	}

	h.fails("payment_intents.create", "payment_intents.capture", "refunds.create")
	order := id()
	auth(order, "pm_card_visa", authorized)
	ends("capture", func() error { _, err := c.Capture(h.ctx, capture(order)); return err })
	refund := &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(250)}
	ends("refund", func() error { _, err := c.Refund(h.ctx, refund); return err })
	h.allFired()
	h.agree(c, order, 1250, 250)
	if w := h.witness(order); w.authorizations != 1 || w.captures != 1 || w.refunds != 1 {
		t.Errorf("witness %+v", w)
	}

	h.fails("payment_intents.create", "payment_intents.cancel")
	order = id()
	auth(order, "pm_card_visa", authorized)
	cancel(order)
	h.allFired()
	h.agree(c, order, 0, 0)

	for _, method := range []string{"pm_card_chargeDeclined", "pm_card_authenticationRequired"} {
		h.fails("payment_intents.create")
		order = id()
		auth(order, method, declined)
		h.allFired()
		h.agree(c, order, 0, 0)
	}

	// Nothing is known of the authorization when the order is cancelled.
	h.ask(http.MethodPut, "/_sim/faults", `[{"kind":"error_after_commit","operation":"payment_intents.create","count":1},
		{"kind":"unavailable","operation":"payment_intents.search","count":1}]`)
	order = id()
	if _, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa")); rpc.Info(err).GetReason() != "OUTCOME_UNKNOWN" {
		t.Errorf("authorize: %v", err)
	}
	cancel(order)
	h.allFired()
	h.agree(c, order, 0, 0)
	if w := h.witness(order); w.authorizations != 1 {
		t.Errorf("witness %+v", w)
	}
}

// TestACaptureNobodyAskedFor is made at the provider, by hand, while the order
// is being paid, and while it is being cancelled.
func TestACaptureNobodyAskedFor(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	orders := [2]string{id(), id()}
	for _, order := range orders {
		a, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa"))
		if err != nil {
			t.Fatal(err)
		}
		h.ask(http.MethodPost, "/v1/payment_intents/"+a.GetPayment().GetProviderId()+"/capture", "")
	}
	if r, err := c.Capture(h.ctx, capture(orders[0])); err != nil || r.GetPayment().GetState() != captured {
		t.Errorf("capture: %v %v", r, err)
	}
	h.agree(c, orders[0], 1250, 0)
	for range 2 {
		if r, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: orders[1]}); err != nil || r.GetPayment().GetState() != voided {
			t.Errorf("cancel: %v %v", r, err)
		}
	}
	w := h.witness(orders[1])
	if lc, lr := h.ledger(orders[1]); w.captured != 1250 || w.refunded != 1250 || w.refunds != 1 || lc != 1250 || lr != 1250 {
		t.Errorf("witness %+v, ledger %d %d", w, lc, lr)
	}
}
