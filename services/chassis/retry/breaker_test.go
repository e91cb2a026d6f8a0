package retry_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const pauseMin, pauseMax = 250 * time.Millisecond, 5 * time.Second
	b := retry.NewBreaker(retry.BreakerConfig{Pause: pauseMin, MaxPause: pauseMax, Now: func() time.Time { return now }})
	for i := range retry.BreakAfter {
		if !b.Allow() {
			t.Fatalf("open after %d failures", i)
		}
		if changed := b.Done(false); changed != (i == retry.BreakAfter-1) {
			t.Errorf("failure %d: changed %v", i, changed)
		}
	}
	for pause := pauseMin; pause <= pauseMax; pause *= 2 {
		now = now.Add(pause - 1)
		if b.Allow() {
			t.Errorf("closed before %v are over", pause)
		}
		now = now.Add(1)
		if !b.Allow() {
			t.Errorf("no call is allowed after %v", pause)
		}
		if b.Allow() {
			t.Error("two try at once")
		}
		b.Done(false)
	}
	now = now.Add(pauseMax)
	if !b.Allow() || !b.Done(true) || !b.Allow() || !b.Allow() {
		t.Error("not closed after a success")
	}
}
