package domain

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

var (
	pounds = money.Money{Units: 1250, Currency: "GBP"}
	euros  = money.Money{Units: 1250, Currency: "EUR"}
)

// TestAnswersByState has the answer to each command for an attempt in each state.
func TestAnswersByState(t *testing.T) {
	t.Parallel()
	type answers struct {
		authorize, capture, void, refund, review error
		voidDone, reviewDone, open               bool
	}
	wants := map[State]answers{
		Sent:          {authorize: ErrOutcomeUnknown, capture: ErrPaymentNotAuthorized, refund: ErrPaymentNotCaptured, review: ErrNotUnderReview},
		Authorized:    {capture: ErrPaymentNotAuthorized, refund: ErrPaymentNotCaptured, review: ErrNotUnderReview},
		Declined:      {capture: ErrPaymentNotAuthorized, voidDone: true, refund: ErrPaymentNotCaptured, reviewDone: true},
		CaptureSent:   {capture: ErrOutcomeUnknown, void: ErrOutcomeUnknown, refund: ErrPaymentNotCaptured, review: ErrNotUnderReview, open: true},
		Captured:      {void: ErrPaymentCaptured, refund: ErrRefundExceedsCapture, review: ErrNotUnderReview},
		CaptureFailed: {refund: ErrPaymentNotCaptured, review: ErrNotUnderReview},
		VoidSent: {
			authorize: ErrPaymentCancelled, capture: ErrPaymentNotAuthorized, voidDone: true, refund: ErrPaymentNotCaptured, review: ErrNotUnderReview,
		},
		Voided:      {authorize: ErrPaymentCancelled, capture: ErrPaymentNotAuthorized, voidDone: true, refund: ErrPaymentNotCaptured, reviewDone: true},
		NeedsReview: {authorize: ErrOutcomeUnknown, capture: ErrPaymentNotAuthorized, void: ErrOutcomeUnknown, refund: ErrPaymentNotCaptured, open: true},
	}
	for _, state := range States() {
		a := Attempt{State: state, Amount: pounds, Method: "pm_x"}
		got := answers{authorize: a.Authorization(), capture: a.Capture(), refund: a.CheckRefund(pounds), open: a.Open()}
		got.voidDone, got.void = a.CheckVoid()
		got.reviewDone, got.review = a.CheckReview()
		if got != wants[state] {
			t.Errorf("%s: %+v, want %+v", state, got, wants[state])
		}
	}
}

// TestRepeatsAndTombstones: a command is compared with the attempt that is there.
func TestRepeatsAndTombstones(t *testing.T) {
	t.Parallel()
	a, tombstone := Attempt{State: Captured, Amount: pounds, Method: "pm_x"}, Attempt{State: Voided}
	r := Refund{OrderID: "o", Amount: pounds}
	for name, c := range map[string]struct{ got, want error }{
		"authorize again":          {a.CheckAuthorize(pounds, "pm_x"), nil},
		"authorize another amount": {a.CheckAuthorize(euros, "pm_x"), ErrPaymentMismatch},
		"authorize another method": {a.CheckAuthorize(pounds, "pm_y"), ErrPaymentMismatch},
		"authorize a tombstone":    {tombstone.CheckAuthorize(pounds, "pm_x"), ErrPaymentCancelled},
		"capture":                  {a.CheckCapture(pounds), nil},
		"capture another amount":   {a.CheckCapture(euros), ErrAmountMismatch},
		"capture a tombstone":      {tombstone.CheckCapture(pounds), ErrPaymentNotAuthorized},
		"refund too much":          {a.CheckRefund(pounds), ErrRefundExceedsCapture},
		"refund another currency":  {a.CheckRefund(euros), ErrRefundMismatch},
		"refund a tombstone":       {tombstone.CheckRefund(pounds), ErrPaymentNotFound},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if !r.Repeats(Refund{OrderID: "o", Amount: pounds}) || r.Repeats(Refund{OrderID: "p", Amount: pounds}) || r.Repeats(Refund{OrderID: "o", Amount: euros}) {
		t.Error("another order or amount repeats a refund, or the same does not")
	}
}

// TestKeysAndAbsence has the ages at which a command is not repeated any more, and at
// which the provider's list proves that there was none.
func TestKeysAndAbsence(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		age             time.Duration
		expired, absent bool
	}{
		{0, false, false}, {22 * time.Hour, false, false}, {22*time.Hour + 1, true, false}, {25*time.Hour - 1, true, false}, {25 * time.Hour, true, true},
	} {
		now := began.Add(c.age)
		if KeyExpired(began, now) != c.expired || AbsenceProven(began, now) != c.absent {
			t.Errorf("after %s: expired %v, absent %v", c.age, KeyExpired(began, now), AbsenceProven(began, now))
		}
	}
}

// TestFollow has what follows from each status of a payment for an attempt in each state.
func TestFollow(t *testing.T) {
	t.Parallel()
	statuses := []IntentStatus{
		IntentUnclear, IntentUnconfirmed, IntentRequiresAction, IntentAuthorized, IntentCaptured, IntentDeclined, IntentCanceled,
	}
	leave, compensate, unclear := Step{Action: Leave}, Step{Action: Compensate}, Step{Action: Unclear}
	voided := Step{Action: EndReview, To: Voided}
	all := func(s Step) [7]Step { return [7]Step{s, s, s, s, s, s, s} }
	wants := map[State][7]Step{ // in the order of the statuses
		Sent: {
			unclear, unclear,
			{Action: VoidFirst, To: Declined, Code: AuthenticationRequired}, {Action: Advance, To: Authorized}, {Action: Advance, To: Authorized},
			{Action: Advance, To: Declined, Code: "no"}, {Action: Advance, To: Declined, Code: "canceled"},
		},
		CaptureSent: {
			unclear, unclear, unclear, leave, {Action: EnterCapture}, unclear, {Action: Advance, To: CaptureFailed, Code: "canceled"},
		},
		NeedsReview: {unclear, voided, voided, voided, voided, {Action: EndReview, To: Declined, Code: "no"}, voided},
		VoidSent:    all(Step{Action: FinishVoid}),
		Declined:    all(compensate), Voided: all(compensate),
		Authorized: all(leave), Captured: all(leave), CaptureFailed: all(leave),
	}
	for _, state := range States() {
		a := Attempt{ID: "a", State: state, Amount: pounds}
		for i, status := range statuses {
			in := Intent{ID: "pi_1", AttemptID: "a", Status: status, Amount: pounds, Code: "no"}
			if got := a.Follow(in); got != wants[state][i] {
				t.Errorf("%s, %s: %+v, want %+v", state, status, got, wants[state][i])
			}
			if to := a.Follow(in).To; to != "" && !state.CanBecome(to) {
				t.Errorf("%s, %s: to %s, which the state machine refuses", state, status, to)
			}
		}
	}
	// An amount that is not the attempt's moves nothing.
	for _, state := range []State{Sent, CaptureSent} {
		in := Intent{ID: "pi_1", AttemptID: "a", Status: IntentCaptured, Amount: euros}
		if got := (Attempt{ID: "a", State: state, Amount: pounds}).Follow(in); got != unclear {
			t.Errorf("%s, another amount: %+v", state, got)
		}
	}
}

// TestOwns: a label counts until the payment's id is written down.
func TestOwns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		written, id, label string
		want               bool
	}{
		{"", "pi_1", "a", true}, {"", "pi_1", "b", false}, {"pi_1", "pi_1", "a", true}, {"pi_1", "pi_1", "b", true}, {"pi_1", "pi_2", "a", false},
	} {
		a := Attempt{ID: "a", ProviderID: c.written, State: Captured}
		in := Intent{ID: c.id, AttemptID: c.label}
		if a.Owns(in) != c.want || (a.Follow(in).Action == Compensate) == c.want {
			t.Errorf("%+v: %v, %+v", c, a.Owns(in), a.Follow(in))
		}
	}
}

func TestRemedies(t *testing.T) {
	t.Parallel()
	for status, want := range map[IntentStatus]Remedy{
		IntentUnclear: NoRemedy, IntentDeclined: NoRemedy, IntentCanceled: NoRemedy,
		IntentUnconfirmed: VoidIt, IntentRequiresAction: VoidIt, IntentAuthorized: VoidIt, IntentCaptured: RefundIt,
	} {
		if got := (Intent{Status: status}).Remedy(); got != want {
			t.Errorf("%s: %v, want %v", status, got, want)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	if s := (Event{PaymentID: "pi_1"}).Received(); s != EventPending {
		t.Errorf("about a payment: %s", s)
	}
	if s := (Event{}).Received(); s != EventIgnored {
		t.Errorf("about no payment: %s", s)
	}
	for _, c := range []struct {
		err  error
		want EventState
	}{{nil, EventApplied}, {ErrPaymentNotFound, EventIgnored}, {ErrOutcomeUnknown, EventPending}, {errors.New("away"), EventPending}} {
		if got := AfterSync(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
	for event, want := range map[string][]State{
		"payment_intent.amount_capturable_updated": {Authorized, CaptureSent, Captured},
		"payment_intent.succeeded":                 {Captured},
		"payment_intent.payment_failed":            {Declined, Captured},
		"payment_intent.canceled":                  {Voided, Captured},
		"charge.refunded":                          {Captured},
	} {
		for _, state := range States() {
			a := Attempt{State: state, ProviderID: "pi_1"}
			own, other := Event{Type: event, PaymentID: "pi_1"}.RecordedBy(a), Event{Type: event, PaymentID: "pi_2"}.RecordedBy(a)
			if own != slices.Contains(want, state) || other {
				t.Errorf("%s is recorded by an attempt that is %s: %v, of another payment: %v", event, state, own, other)
			}
		}
	}
}
