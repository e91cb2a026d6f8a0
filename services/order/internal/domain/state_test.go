package domain_test

import (
	"errors"
	"testing"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// TestTransitions walks every event in every state: what is not listed is illegal.
func TestTransitions(t *testing.T) {
	type at struct {
		state domain.State
		event domain.Event
	}
	legal := map[at]domain.Transition{
		{domain.Pending, domain.StockReserved}:         {To: domain.Authorizing},
		{domain.Pending, domain.StockShort}:            {To: domain.Cancelling, Reason: domain.InsufficientStock},
		{domain.Pending, domain.StockHeld}:             {To: domain.Cancelling, Reason: domain.HeldByOthers},
		{domain.Pending, domain.StockLost}:             {To: domain.Cancelling, Reason: domain.ReservationLost},
		{domain.Pending, domain.CancelAsked}:           {To: domain.Cancelling, Reason: domain.ByCustomer},
		{domain.Pending, domain.DeadlinePassed}:        {To: domain.Cancelling, Reason: domain.TimedOut},
		{domain.Authorizing, domain.PaymentAuthorized}: {To: domain.Confirming},
		{domain.Authorizing, domain.PaymentRefused}:    {To: domain.Cancelling, Reason: domain.PaymentDeclined},
		{domain.Authorizing, domain.PaymentDiffers}:    {To: domain.Cancelling, Reason: domain.AmountMismatch},
		{domain.Authorizing, domain.CancelAsked}:       {To: domain.Cancelling, Reason: domain.ByCustomer},
		{domain.Authorizing, domain.DeadlinePassed}:    {To: domain.Cancelling, Reason: domain.TimedOut},
		{domain.Confirming, domain.StockConfirmed}:     {To: domain.Capturing},
		{domain.Confirming, domain.StockLost}:          {To: domain.Cancelling, Reason: domain.ReservationLost},
		{domain.Confirming, domain.CancelAsked}:        {To: domain.Cancelling, Reason: domain.ByCustomer},
		{domain.Confirming, domain.DeadlinePassed}:     {To: domain.Cancelling, Reason: domain.TimedOut},
		{domain.Capturing, domain.MoneyCaptured}:       {To: domain.Paid},
		{domain.Capturing, domain.MoneyRefused}:        {To: domain.Cancelling, Reason: domain.CaptureFailed},
		{domain.Capturing, domain.PaymentDiffers}:      {To: domain.Cancelling, Reason: domain.AmountMismatch},
		{domain.Cancelling, domain.GivenBack}:          {To: domain.Cancelled},
	}
	for _, s := range domain.States() {
		for _, e := range domain.Events() {
			want, ok := legal[at{s, e}]
			got, err := domain.Next(s, e)
			if ok && (err != nil || got != want) {
				t.Errorf("%s in %s: %+v, %v; want %+v", e, s, got, err, want)
			}
			if !ok && !errors.Is(err, domain.ErrIllegalTransition) {
				t.Errorf("%s in %s leads to %+v; want it to be illegal", e, s, got)
			}
		}
	}
}

// TestPivot checks what the rest of the protocol leans on: only a confirmed
// order is captured, and what is being captured cannot be cancelled or time out.
func TestPivot(t *testing.T) {
	for _, s := range domain.States() {
		for _, e := range domain.Events() {
			tr, err := domain.Next(s, e)
			if err != nil {
				continue
			}
			if tr.To == domain.Capturing && (s != domain.Confirming || e != domain.StockConfirmed) {
				t.Errorf("%s in %s leads to capturing", e, s)
			}
			if tr.To == domain.Paid && (s != domain.Capturing || e != domain.MoneyCaptured) {
				t.Errorf("%s in %s leads to paid", e, s)
			}
			if (tr.To == domain.Cancelling) != (tr.Reason != domain.NoReason) {
				t.Errorf("%s in %s: state %s with reason %q", e, s, tr.To, tr.Reason)
			}
		}
		_, err := domain.Next(s, domain.CancelAsked)
		if s.Cancellable() != (err == nil) {
			t.Errorf("%s: cancellable %v, but asking gives %v", s, s.Cancellable(), err)
		}
		if s.Terminal() != (s.Step() == domain.NoStep) {
			t.Errorf("%s: terminal %v with step %q", s, s.Terminal(), s.Step())
		}
	}
}
