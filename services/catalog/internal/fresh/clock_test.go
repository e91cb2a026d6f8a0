package fresh

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	t.Parallel()
	c := NewClock()
	before := c.Now()
	if !c.Fresh(before) || !c.FreshProduct(before, "a") || c.ChangedWithin(time.Hour, "a") {
		t.Error("something changed before anything was changed")
	}
	c.Change([]string{"a"})
	if c.FreshProduct(before, "a") || !c.Fresh(before) || !c.ChangedWithin(time.Hour, "a") {
		t.Error("the change of a product is not seen, or is taken for one of all")
	}
	if after := c.Now(); !c.FreshProduct(after, "a") {
		t.Error("a read after the change is not fresh")
	}
	between := c.Now()
	c.Change(nil)
	if c.Now() != between {
		t.Error("nothing changed, and yet time went on")
	}
	c.ChangeAll()
	if c.Fresh(between) || c.FreshProduct(between, "b") || !c.Fresh(c.Now()) {
		t.Error("a change of all is not seen")
	}
}
