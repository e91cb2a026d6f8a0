package memcache

import (
	"fmt"
	"testing"
	"time"
)

func TestLRU(t *testing.T) {
	t.Parallel()
	l, now := newLRU(10), time.Now()
	put := func(key string, began uint64, weight int) {
		l.put(&entry{key: key, value: fmt.Sprint(key, began), began: began, expires: now.Add(time.Minute), weight: weight})
	}
	put("a", 1, 4)
	put("b", 1, 4)
	if _, _, ok := l.get("a", now); !ok {
		t.Error("a is gone")
	}
	put("c", 1, 4) // b was not used for longest
	if _, _, ok := l.get("b", now); ok || l.weight != 8 {
		t.Errorf("b is kept, weight %d", l.weight)
	}
	put("a", 3, 4)
	put("a", 2, 4) // a slower reader's
	if v, began, _ := l.get("a", now); v != "a3" || began != 3 {
		t.Errorf("%v, %d", v, began)
	}
	if _, _, ok := l.get("a", now.Add(2*time.Minute)); ok || l.weight != 4 {
		t.Errorf("a is kept beyond its time, weight %d", l.weight)
	}
	for i := range 1000 {
		put(fmt.Sprint(i), 1, 3)
	}
	if l.weight > 10 || len(l.entries) != 3 || l.order.Len() != 3 {
		t.Errorf("weight %d, %d entries", l.weight, len(l.entries))
	}
}
