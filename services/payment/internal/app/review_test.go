package app_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// TestAbsenceHasToBeProven: that no payment is found says nothing until no call
// can be under way and the list is complete.
func TestAbsenceHasToBeProven(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	start := d.now
	sent, cancelled := d.attempt(t, domain.Sent, ""), d.attempt(t, domain.VoidSent, "")
	for _, step := range []struct {
		age    time.Duration
		breaks bool
		want   domain.Reviewed
		state  domain.State
	}{
		{21 * time.Hour, false, domain.Reviewed{}, domain.Sent},
		{22*time.Hour + time.Minute, false, domain.Reviewed{Open: 2}, domain.NeedsReview},
		{24*time.Hour + 50*time.Minute, false, domain.Reviewed{Open: 2}, domain.NeedsReview},
		{26 * time.Hour, true, domain.Reviewed{Open: 2}, domain.NeedsReview},
		{26 * time.Hour, false, domain.Reviewed{Settled: 2}, domain.Voided},
		{27 * time.Hour, false, domain.Reviewed{}, domain.Voided},
	} {
		d.now, d.provider.breaks = start.Add(step.age), step.breaks
		d.review(t, step.want)
		if got := d.state(t, sent.OrderID); got != step.state {
			t.Errorf("after %s: %s, want %s", step.age, got, step.state)
		}
	}
	for _, a := range []domain.Attempt{sent, cancelled} {
		got := d.reviews(t, a.OrderID)
		if len(got) != 1 || !strings.HasPrefix(got[0], "needs_review to voided by reconciliation: none of the 0 payments") {
			t.Errorf("reasons %q", got)
		}
		if a, err := d.Cancel(t.Context(), a.OrderID); err != nil || a.State != domain.Voided {
			t.Errorf("cancel: %+v %v", a, err)
		}
	}
	for _, window := range d.provider.listed {
		if window[0].After(sent.CreatedAt.Add(-time.Hour)) || window[1].Before(d.now.Add(-2*time.Hour)) {
			t.Errorf("listed %v", window)
		}
	}
}

// TestReviewFinds settles what is found, by the index or, if that is behind, in
// the list: no order wants the money a day later.
func TestReviewFinds(t *testing.T) {
	t.Parallel()
	for _, behind := range []bool{false, true} {
		d := newFixture(t)
		d.provider.behind = behind
		attempts := map[domain.IntentStatus]domain.Attempt{}
		for _, status := range []domain.IntentStatus{domain.IntentUnclear, domain.IntentUnconfirmed, domain.IntentRequiresAction, domain.IntentAuthorized, domain.IntentCaptured, domain.IntentDeclined, domain.IntentCanceled} {
			a := d.attempt(t, domain.Sent, "")
			attempts[status] = a
			d.provider.intents["pi_"+a.ID] = domain.Intent{ID: "pi_" + a.ID, OrderID: a.OrderID, AttemptID: a.ID, Status: status, Amount: price, Code: "no"}
		}
		captured := d.attempt(t, domain.CaptureSent, "pi_captured")
		d.provider.intents["pi_captured"] = domain.Intent{ID: "pi_captured", OrderID: captured.OrderID, AttemptID: captured.ID, Status: domain.IntentCaptured, Amount: price}
		d.now = d.now.Add(26 * time.Hour)
		d.review(t, domain.Reviewed{Settled: 7, Open: 1})
		d.review(t, domain.Reviewed{Open: 1})
		for status, want := range map[domain.IntentStatus]struct {
			state  domain.State
			ledger string
		}{
			domain.IntentUnclear: {domain.NeedsReview, ""}, domain.IntentUnconfirmed: {domain.Voided, ""}, domain.IntentRequiresAction: {domain.Voided, ""}, domain.IntentAuthorized: {domain.Voided, ""},
			domain.IntentCaptured: {domain.Voided, "stray_capture 1250, stray_refund -1250"},
			domain.IntentDeclined: {domain.Declined, ""}, domain.IntentCanceled: {domain.Voided, ""},
		} {
			a := attempts[status]
			if got := d.state(t, a.OrderID); got != want.state {
				t.Errorf("what is %s: %s, want %s", status, got, want.state)
			}
			if got := d.ledger(t, a.OrderID); got != want.ledger {
				t.Errorf("what is %s: ledger %q, want %q", status, got, want.ledger)
			}
			if got := len(d.reviews(t, a.OrderID)); (got == 1) != (want.state != domain.NeedsReview) {
				t.Errorf("what is %s: %d reasons", status, got)
			}
			if in := d.provider.intents["pi_"+a.ID]; in.Status == domain.IntentAuthorized || in.Status == domain.IntentRequiresAction {
				t.Errorf("what was %s is %s still", status, in.Status)
			}
		}
		if state, ledger := d.state(t, captured.OrderID), d.ledger(t, captured.OrderID); state != domain.Captured || ledger != "capture 1250" {
			t.Errorf("what was captured: %s, %q", state, ledger)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	by := domain.Decision{By: "Ann", Why: "asked the bank"}
	young, open, held := d.attempt(t, domain.Sent, ""), d.attempt(t, domain.NeedsReview, ""), d.attempt(t, domain.NeedsReview, "")
	d.provider.intents["pi_1"] = domain.Intent{ID: "pi_1", OrderID: held.OrderID, AttemptID: held.ID, Status: domain.IntentAuthorized, Amount: price}
	for _, c := range []struct {
		order, payment string
		want           error
	}{
		{young.OrderID, "", domain.ErrNotUnderReview},
		{id(), "", domain.ErrPaymentNotFound},
		{open.OrderID, "pi_1", domain.ErrPaymentMismatch},
		{open.OrderID, "pi_none", domain.ErrOutcomeUnknown},
		{open.OrderID, "", nil}, {open.OrderID, "", nil},
		{held.OrderID, "pi_1", nil}, {held.OrderID, "", nil},
	} {
		a, err := d.Resolve(t.Context(), c.order, c.payment, by)
		if !errors.Is(err, c.want) || (err == nil && a.State != domain.Voided) {
			t.Errorf("%s %q: %+v %v, want %v", c.order, c.payment, a, err, c.want)
		}
	}
	for _, order := range []string{open.OrderID, held.OrderID} {
		if got := d.reviews(t, order); len(got) != 1 || got[0] != "needs_review to voided by Ann: asked the bank" {
			t.Errorf("reasons %q", got)
		}
	}
	if d.provider.intents["pi_1"].Status != domain.IntentCanceled {
		t.Error("what is held stays")
	}
	if _, err := d.pool.Exec(t.Context(), "UPDATE reviews SET why = 'no reason'"); err == nil {
		t.Error("a reason was changed")
	}
}

// TestResolveRefund: a person's word that there was no refund counts only where
// the provider has none, or the money would be given back twice.
func TestResolveRefund(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	by := domain.Decision{By: "Ann", Why: "asked the bank"}
	d.provider.silent = true
	begin := func() domain.Refund {
		t.Helper()
		a := d.attempt(t, domain.Captured, "pi_"+id())
		r := domain.Refund{ID: id(), OrderID: a.OrderID}
		if _, err := d.Refund(t.Context(), r.ID, a.OrderID, price); !errors.Is(err, domain.ErrOutcomeUnknown) {
			t.Fatal(err)
		}
		return r
	}
	made, absent, claimed := begin(), begin(), begin()
	if _, err := d.ResolveRefund(t.Context(), absent.ID, absent.OrderID, "", by); !errors.Is(err, domain.ErrNotUnderReview) {
		t.Errorf("a young one: %v", err)
	}
	d.now = d.now.Add(26 * time.Hour)
	if _, err := d.ResolveRefund(t.Context(), absent.ID, absent.OrderID, "", by); !errors.Is(err, domain.ErrOutcomeUnknown) {
		t.Errorf("the provider is silent: %v", err)
	}
	d.provider.silent, d.provider.refunds = false, map[string]string{made.ID: "re_1"}
	for _, c := range []struct {
		refund domain.Refund
		named  string
		state  domain.RefundState
		want   error
	}{
		{made, "", domain.RefundSucceeded, nil}, {made, "", domain.RefundSucceeded, nil},
		{absent, "", domain.RefundFailed, nil}, {absent, "", domain.RefundFailed, nil},
		{claimed, "re_2", "", domain.ErrPaymentMismatch}, {domain.Refund{ID: id(), OrderID: made.OrderID}, "", "", domain.ErrPaymentNotFound},
	} {
		if r, err := d.ResolveRefund(t.Context(), c.refund.ID, c.refund.OrderID, c.named, by); !errors.Is(err, c.want) || r.State != c.state {
			t.Errorf("%+v %q: %+v %v", c.refund, c.named, r, err)
		}
	}
}
