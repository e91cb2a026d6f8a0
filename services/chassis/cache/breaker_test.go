package cache

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := newBreaker(func() time.Time { return now })
	for i := range breakAfter {
		if !b.allow() {
			t.Fatalf("open after %d failures", i)
		}
		if changed := b.done(false); changed != (i == breakAfter-1) {
			t.Errorf("failure %d: changed %v", i, changed)
		}
	}
	for pause := pauseMin; pause <= pauseMax; pause *= 2 {
		now = now.Add(pause - 1)
		if b.allow() {
			t.Errorf("closed before %v are over", pause)
		}
		now = now.Add(1)
		if !b.allow() {
			t.Errorf("no call is allowed after %v", pause)
		}
		if b.allow() {
			t.Error("two try at once")
		}
		b.done(false)
	}
	now = now.Add(pauseMax)
	if !b.allow() || !b.done(true) || !b.allow() || !b.allow() {
		t.Error("not closed after a success")
	}
}
