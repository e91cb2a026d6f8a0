package domain

import "testing"

func TestTransitions(t *testing.T) {
	t.Parallel()
	legal := map[[2]State]bool{
		{Sent, Authorized}: true, {Sent, Declined}: true, {Sent, VoidSent}: true, {Sent, NeedsReview}: true,
		{Authorized, CaptureSent}: true, {Authorized, VoidSent}: true,
		{CaptureSent, Captured}: true, {CaptureSent, CaptureFailed}: true,
		{CaptureFailed, VoidSent}: true,
		{VoidSent, Voided}:        true, {VoidSent, NeedsReview}: true,
		{NeedsReview, Declined}: true, {NeedsReview, Voided}: true,
	}
	for _, from := range States() {
		for _, to := range States() {
			if got := from.CanBecome(to); got != legal[[2]State{from, to}] {
				t.Errorf("%s to %s: %v", from, to, got)
			}
		}
	}
	if State("nonsense").CanBecome(Authorized) {
		t.Error("an unknown state can become authorized")
	}
}

func TestMoneyNeverMovesAfterItsEnd(t *testing.T) {
	t.Parallel()
	// From these states nothing is taken any more, by any sequence of steps.
	for _, from := range []State{Declined, Voided, VoidSent, CaptureFailed, NeedsReview} {
		seen := map[State]bool{}
		var walk func(State)
		walk = func(s State) {
			if seen[s] {
				return
			}
			seen[s] = true
			for _, to := range States() {
				if s.CanBecome(to) {
					walk(to)
				}
			}
		}
		walk(from)
		if seen[Captured] || seen[CaptureSent] || seen[Authorized] {
			t.Errorf("%s leads to %v", from, seen)
		}
	}
}

func TestRefundTransitions(t *testing.T) {
	t.Parallel()
	all := []RefundState{RefundSent, RefundSucceeded, RefundFailed}
	for _, from := range all {
		for _, to := range all {
			if got, want := from.CanBecome(to), from == RefundSent && to != RefundSent; got != want {
				t.Errorf("%s to %s: %v", from, to, got)
			}
		}
	}
}
