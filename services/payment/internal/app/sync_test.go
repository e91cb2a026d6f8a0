package app_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// TestSync shows a payment to an attempt in every state, twice, for whatever
// is heard is heard again; and once more when it could not be ended at first.
func TestSync(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	type outcome struct {
		state  domain.State
		ledger string
		ends   string // what the provider was asked
	}
	const void, back, both, stray = "void", "refund", "void refund", "stray_capture 1250, stray_refund -1250"
	all := []domain.IntentStatus{domain.IntentUnclear, domain.IntentUnconfirmed, domain.IntentRequiresAction, domain.IntentAuthorized, domain.IntentCaptured, domain.IntentDeclined, domain.IntentCanceled}
	wants := map[domain.State]map[domain.IntentStatus]outcome{
		domain.Sent: {
			domain.IntentRequiresAction: {domain.Declined, "", void}, domain.IntentAuthorized: {domain.Authorized, "", ""}, domain.IntentCaptured: {domain.Authorized, "", ""},
			domain.IntentDeclined: {domain.Declined, "", ""}, domain.IntentCanceled: {domain.Declined, "", ""},
		},
		domain.Authorized: {},
		domain.CaptureSent: {
			domain.IntentCaptured: {domain.Captured, "capture 1250", ""}, domain.IntentCanceled: {domain.CaptureFailed, "", ""},
		},
		domain.Captured: {}, domain.CaptureFailed: {},
		domain.VoidSent: {
			domain.IntentUnclear: {domain.Voided, "", void}, domain.IntentUnconfirmed: {domain.Voided, "", void}, domain.IntentRequiresAction: {domain.Voided, "", void}, domain.IntentAuthorized: {domain.Voided, "", void},
			domain.IntentCaptured: {domain.Voided, stray, both}, domain.IntentDeclined: {domain.Voided, "", void}, domain.IntentCanceled: {domain.Voided, "", void},
		},
		domain.Declined: {
			domain.IntentUnconfirmed: {domain.Declined, "", void}, domain.IntentRequiresAction: {domain.Declined, "", void}, domain.IntentAuthorized: {domain.Declined, "", void}, domain.IntentCaptured: {domain.Declined, stray, back},
		},
		domain.Voided: {
			domain.IntentUnconfirmed: {domain.Voided, "", void}, domain.IntentRequiresAction: {domain.Voided, "", void}, domain.IntentAuthorized: {domain.Voided, "", void}, domain.IntentCaptured: {domain.Voided, stray, back},
		},
	}
	for _, state := range slices.Sorted(maps.Keys(wants)) {
		for _, status := range all {
			name := fmt.Sprintf("%s, %s", state, status)
			a := d.attempt(t, state, "")
			in := domain.Intent{ID: "pi_" + a.ID, OrderID: a.OrderID, AttemptID: a.ID, Status: status, Amount: price, Code: "no"}
			d.provider.intents[in.ID] = in
			want, moves := wants[state][status]
			if !moves {
				want = outcome{state: state}
			}
			d.provider.silent = true
			if _, err := d.Apply(t.Context(), in); want.ends != "" && !errors.Is(err, domain.ErrOutcomeUnknown) {
				t.Errorf("%s: the provider was silent: %v", name, err)
			}
			d.provider.silent, d.provider.calls = false, nil
			for range 2 {
				if _, err := d.Sync(t.Context(), in.ID); err != nil && !errors.Is(err, domain.ErrOutcomeUnknown) {
					t.Errorf("%s: %v", name, err)
				}
			}
			got, err := d.store.Get(t.Context(), a.OrderID)
			if err != nil {
				t.Fatal(err)
			}
			var ends []string
			for _, call := range d.provider.calls {
				if verb, _, _ := strings.Cut(call, " "); !slices.Contains(ends, verb) {
					ends = append(ends, verb)
				}
			}
			if o := (outcome{got.State, d.ledger(t, a.OrderID), strings.Join(ends, " ")}); o != want {
				t.Errorf("%s: %+v, want %+v", name, o, want)
			}
			if moves && got.ProviderID != in.ID && !slices.Contains([]domain.State{domain.Declined, domain.Voided, domain.CaptureSent}, state) {
				t.Errorf("%s: the payment's id is %q", name, got.ProviderID)
			}
		}
	}
}

// TestSyncOrphans shows payments that are not the attempt's: those of our
// orders are ended, those of others are left alone.
func TestSyncOrphans(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	captured := d.attempt(t, domain.Captured, "pi_first")
	sent := d.attempt(t, domain.Sent, "")
	left := id()
	if _, err := d.Cancel(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in     domain.Intent
		ends   string
		ledger string
	}{
		"a second hold":           {domain.Intent{ID: "pi_2", OrderID: captured.OrderID, AttemptID: captured.ID, Status: domain.IntentAuthorized}, "void pi_2", ""},
		"a second capture":        {domain.Intent{ID: "pi_3", OrderID: captured.OrderID, AttemptID: captured.ID, Status: domain.IntentCaptured}, "refund pi_3", "stray_capture 1250, stray_refund -1250"},
		"a hold after a burial":   {domain.Intent{ID: "pi_4", OrderID: left, AttemptID: id(), Status: domain.IntentAuthorized}, "void pi_4", ""},
		"another attempt's":       {domain.Intent{ID: "pi_5", OrderID: sent.OrderID, AttemptID: id(), Status: domain.IntentAuthorized}, "void pi_5", ""},
		"made by hand":            {domain.Intent{ID: "pi_11", OrderID: sent.OrderID, Status: domain.IntentCaptured}, "", ""},
		"an order of others":      {domain.Intent{ID: "pi_6", OrderID: id(), AttemptID: id(), Status: domain.IntentCaptured}, "", ""},
		"no order":                {domain.Intent{ID: "pi_7", Status: domain.IntentCaptured}, "", ""},
		"a second that was ended": {domain.Intent{ID: "pi_8", OrderID: sent.OrderID, AttemptID: id(), Status: domain.IntentCanceled}, "", ""},
	} {
		c.in.Amount = price
		d.provider.intents[c.in.ID], d.provider.calls = c.in, nil
		_, err := d.Sync(t.Context(), c.in.ID)
		if unknown := c.ends == "" && c.in.Status != domain.IntentCanceled; unknown != errors.Is(err, domain.ErrPaymentNotFound) || (!unknown && err != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.Join(d.provider.calls, ", "); got != c.ends {
			t.Errorf("%s: the provider was asked %q, want %q", name, got, c.ends)
		}
		if c.in.OrderID != "" && c.ends != "" && c.ledger != "" {
			if got := d.ledger(t, c.in.OrderID); got != c.ledger {
				t.Errorf("%s: ledger %q, want %q", name, got, c.ledger)
			}
		}
	}
	// Another orphan capture of the same attempt is refunded as well.
	d.provider.intents["pi_10"] = domain.Intent{ID: "pi_10", OrderID: captured.OrderID, AttemptID: captured.ID, Status: domain.IntentCaptured, Amount: price}
	const stray = "stray_capture 1250, stray_refund -1250"
	if _, err := d.Sync(t.Context(), "pi_10"); err != nil || d.ledger(t, captured.OrderID) != stray+", "+stray {
		t.Errorf("a second orphan capture: %v, ledger %q", err, d.ledger(t, captured.OrderID))
	}
	// A changed label on the attempt's own payment makes it no orphan.
	d.provider.calls = nil
	relabeled := domain.Intent{ID: "pi_first", OrderID: captured.OrderID, AttemptID: id(), Status: domain.IntentCaptured, Amount: price}
	if a, err := d.Apply(t.Context(), relabeled); err != nil || a.State != domain.Captured || len(d.provider.calls) != 0 {
		t.Errorf("another label: %+v %v %q", a, err, d.provider.calls)
	}
	// An amount that is not the attempt's moves nothing.
	in := domain.Intent{ID: "pi_9", OrderID: sent.OrderID, AttemptID: sent.ID, Status: domain.IntentAuthorized, Amount: money.Money{Units: 1, Currency: "GBP"}}
	if _, err := d.Apply(t.Context(), in); !errors.Is(err, domain.ErrOutcomeUnknown) {
		t.Errorf("another amount: %v", err)
	}
	if a, err := d.store.Get(t.Context(), sent.OrderID); err != nil || a.State != domain.Sent {
		t.Errorf("%+v %v", a, err)
	}
}

// TestAwaitCommand: what a command that is under way learns is recorded when AwaitCommand
// returns; but it does not wait for long.
func TestAwaitCommand(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	a := d.attempt(t, domain.Authorized, "pi_1")
	asked, answer := make(chan struct{}), make(chan struct{})
	d.provider.capture = func() { close(asked); <-answer }
	var captures sync.WaitGroup
	captures.Go(func() {
		if _, err := d.Capture(t.Context(), a.OrderID, price); err != nil {
			t.Error(err)
		}
	})
	<-asked
	d.AwaitCommand(t.Context(), a.OrderID, time.Millisecond)
	if now, err := d.store.Get(t.Context(), a.OrderID); err != nil || now.State != domain.CaptureSent {
		t.Errorf("before the provider's answer: %s, %v", now.State, err)
	}
	close(answer)
	d.AwaitCommand(t.Context(), a.OrderID, time.Minute)
	if now, err := d.store.Get(t.Context(), a.OrderID); err != nil || now.State != domain.Captured {
		t.Errorf("after it: %s, %v", now.State, err)
	}
	captures.Wait()
}
