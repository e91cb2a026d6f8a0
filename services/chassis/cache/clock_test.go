package cache

import (
	"slices"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	t.Parallel()
	c := newClock()
	before := c.read()
	if !c.fresh(before) || !c.freshItem(before, "a") || c.changedWithin(time.Hour, "a") {
		t.Error("something changed before anything was changed")
	}
	c.change([]string{"a"})
	if c.freshItem(before, "a") || !c.fresh(before) || !c.changedWithin(time.Hour, "a") {
		t.Error("the change of an item is not seen, or is taken for one of all")
	}
	if after := c.read(); !c.freshItem(after, "a") {
		t.Error("a read after the change is not fresh")
	}
	between := c.read()
	c.change(nil)
	if c.read() != between {
		t.Error("nothing changed, and yet time went on")
	}
	c.changeAll()
	if c.fresh(between) || c.freshItem(between, "b") || !c.fresh(c.read()) {
		t.Error("a change of all is not seen")
	}
}

// Who reads the clock while something changes sees the change marked, or an earlier moment.
func TestMarksComeBeforeTheirMoment(t *testing.T) {
	t.Parallel()
	c := newClock()
	ids := append(slices.Repeat([]string{"another"}, 5000), "last") // it takes a while
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 500 {
			c.change(ids)
		}
	}()
	for {
		if now := c.read(); now > 0 && c.freshItem(now-1, "last") {
			t.Fatalf("at %d its change of an item is not seen", now)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
