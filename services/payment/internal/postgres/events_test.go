package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/events/log/logtest"
	"github.com/souk-shop/souk/services/payment/internal/domain"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
)

// to walks an attempt through states.
func (f *fixture) to(a domain.Attempt, states ...domain.State) domain.Attempt {
	f.t.Helper()
	for _, state := range states {
		next, ok, err := f.Move(f.ctx, a.OrderID, a.State, state, "pi_1", "card_declined")
		if err != nil || !ok {
			f.t.Fatalf("%s: %v, %v", state, ok, err)
		}
		a = next
	}
	return a
}

// capture captures an attempt of its own.
func (f *fixture) capture() domain.Attempt {
	f.t.Helper()
	a := f.to(f.begin(), domain.Authorized, domain.CaptureSent)
	a, ok, err := f.FinishCapture(f.ctx, a.OrderID)
	if err != nil || !ok {
		f.t.Fatal(ok, err)
	}
	return a
}

func (f *fixture) refund(a domain.Attempt, units int64, succeeds bool) {
	f.t.Helper()
	r, ok, err := f.StartRefund(f.ctx, domain.Refund{ID: id(), OrderID: a.OrderID, Amount: gbp(units)})
	if err != nil || !ok {
		f.t.Fatal(ok, err)
	}
	if succeeds {
		ok, err = f.FinishRefund(f.ctx, r.ID, "re_1")
	} else {
		ok, err = f.FailRefund(f.ctx, r.ID, "expired")
	}
	if err != nil || !ok {
		f.t.Fatal(ok, err)
	}
}

func TestWhatIsDefiniteIsAnEvent(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	for want, states := range map[string][]domain.State{
		"":                  nil,
		"PaymentDeclined":   {domain.Declined},
		"PaymentAuthorized": {domain.Authorized, domain.VoidSent},
		"PaymentAuthorized PaymentCaptureFailed PaymentVoided": {domain.Authorized, domain.CaptureSent, domain.CaptureFailed, domain.VoidSent, domain.Voided},
		"PaymentNeedsReview PaymentVoided":                     {domain.NeedsReview, domain.Voided},
	} {
		a := f.to(f.begin(), states...)
		if got := logtest.Types(logtest.Of(t, f.pool, "payment."+a.OrderID)); got != want {
			t.Errorf("%v: events %q, want %q", states, got, want)
		}
	}
	tombstone := id()
	if ok, err := f.LeaveTombstone(f.ctx, tombstone, id()); err != nil || !ok {
		t.Fatal(ok, err)
	}
	messages := logtest.Of(t, f.pool, "payment."+tombstone)
	if voided := messages[0].(*paymentv1.PaymentVoided); voided.GetAmount() != nil { //nolint:forcetypeassert // as its type says
		t.Errorf("amount of a tombstone: %v", voided)
	}
}

func TestRefundsAreEventsOfTheirPayment(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	a := f.capture()
	f.refund(a, 100, true)
	f.refund(a, 900, false)
	f.refund(a, 250, true)
	messages := logtest.Of(t, f.pool, "payment."+a.OrderID)
	if got, want := logtest.Types(messages), "PaymentAuthorized PaymentCaptured PaymentRefunded PaymentRefundFailed PaymentRefunded"; got != want {
		t.Fatalf("events %s, want %s", got, want)
	}
	last := messages[4].(*paymentv1.PaymentRefunded) //nolint:forcetypeassert // as its type says
	if last.GetAmount().GetMinorUnits() != 250 || last.GetRefunded().GetMinorUnits() != 350 {
		t.Errorf("the last refund: %v", last)
	}
}

func TestThePastIsTold(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	a := f.capture()
	f.refund(a, 100, true)
	f.refund(a, 900, false)
	f.refund(a, 250, true)
	f.begin()
	declined := f.to(f.begin(), domain.Declined)
	going := f.to(f.begin(), domain.Authorized, domain.CaptureSent)
	if _, err := f.pool.Exec(f.ctx, "DELETE FROM souk_events"); err != nil {
		t.Fatal(err)
	}
	f.to(f.begin(), domain.Authorized) // has an event by now
	for range 2 {
		logtest.Again(t, f.pool, "migrations/00008_past_events.sql")
		for subject, want := range map[string]string{
			a.OrderID:        "PaymentCaptured PaymentRefunded PaymentRefundFailed PaymentRefunded",
			declined.OrderID: "PaymentDeclined", going.OrderID: "PaymentAuthorized",
		} {
			messages := logtest.Of(t, f.pool, "payment."+subject)
			if got := logtest.Types(messages); got != want {
				t.Errorf("events %q, want %q", got, want)
			}
		}
		if n := len(logtest.Dump(t, f.pool, "subject")); n != 7 {
			t.Errorf("%d events", n)
		}
	}
	last := logtest.Of(t, f.pool, "payment."+a.OrderID)[3].(*paymentv1.PaymentRefunded) //nolint:forcetypeassert // as its type says
	if last.GetRefunded().GetMinorUnits() != 350 {
		t.Errorf("the last refund: %v", last)
	}
}

func TestEventsOfPaymentsNameNoMethod(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	f.capture()
	lines := logtest.Dump(t, f.pool, "data")
	if len(lines) != 2 || slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "pm_card") }) {
		t.Errorf("events: %q", lines)
	}
}
