package stripesim_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// ages makes an order's payment and refunds older, as far as payment can know.
func (h *fixture) ages(order string, by time.Duration) {
	h.t.Helper()
	conn, err := pgx.Connect(h.ctx, h.db.DSN)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close(h.ctx)
	for _, table := range []string{"attempts", "refunds"} {
		if _, err := conn.Exec(h.ctx, "UPDATE "+table+" SET created_at = created_at - $2::interval WHERE order_id = $1", order, by); err != nil {
			h.t.Fatal(err)
		}
	}
}

// TestReviewSettlesWhatNobodyCanAskAnyMore leaves commands without an answer for
// a day: the provider's lists tell what became of them, and then the commands
// have their answers.
func TestReviewSettlesWhatNobodyCanAskAnyMore(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.review = time.Second
	c := h.payments()
	unknown := func(what string, err error) {
		t.Helper()
		if rpc.Info(err).GetReason() != "OUTCOME_UNKNOWN" {
			t.Errorf("%s: %v", what, err)
		}
	}
	cancelled := func(order string) {
		t.Helper()
		h.until("the payment is voided", func() bool {
			r, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order})
			return err == nil && r.GetPayment().GetState() == voided
		})
	}

	h.ask(http.MethodPut, "/_sim/faults", `[{"kind":"drop","operation":"payment_intents.create"}]`)
	absent, absentCancelled := id(), id()
	for _, order := range []string{absent, absentCancelled} {
		_, err := c.Authorize(h.ctx, authorize(order, "pm_card_visa"))
		unknown("authorize", err)
	}
	_, err := c.Cancel(h.ctx, &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: absentCancelled})
	unknown("cancel", err)
	h.ask(http.MethodPut, "/_sim/faults", `[{"kind":"drop_after_commit","operation":"payment_intents.create"}]`)
	there := id()
	_, err = c.Authorize(h.ctx, authorize(there, "pm_card_visa"))
	unknown("authorize", err)

	h.ask(http.MethodPut, "/_sim/faults", `[]`)
	order := h.paid(c)
	h.ask(http.MethodPut, "/_sim/faults", `[{"kind":"drop_after_commit","operation":"refunds.create","count":1}]`)
	made := &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(250)}
	_, err = c.Refund(h.ctx, made)
	unknown("refund", err)
	h.ask(http.MethodPut, "/_sim/faults", `[{"kind":"drop","operation":"refunds.create","count":1}]`)
	lost := &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: gbp(300)}
	_, err = c.Refund(h.ctx, lost)
	unknown("refund", err)
	h.ask(http.MethodPut, "/_sim/faults", `[]`)

	for _, o := range []string{absent, absentCancelled, there, order} {
		h.ages(o, 26*time.Hour)
	}
	for _, o := range []string{absent, absentCancelled, there} {
		cancelled(o)
		h.agree(c, o, 0, 0)
	}
	if w := h.witness(there); w.authorizations != 1 {
		t.Errorf("witness %+v", w)
	}
	for want, refund := range map[paymentv1.RefundState]*paymentv1.RefundRequest{
		paymentv1.RefundState_REFUND_STATE_SUCCEEDED: made, paymentv1.RefundState_REFUND_STATE_FAILED: lost,
	} {
		h.until("the refund is settled", func() bool {
			r, err := c.Refund(h.ctx, refund)
			return err == nil && r.GetRefund().GetState() == want
		})
	}
	h.agree(c, order, 1250, 250)
}
