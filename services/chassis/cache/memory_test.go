package cache

import (
	"fmt"
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	m, err := newMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	put := func(key string, began uint64, weight uint32) {
		m.put(key, entry{value: fmt.Sprint(key, began), began: began, weight: weight}, time.Hour, time.Hour)
	}
	put("a", 3, 4)
	put("a", 2, 4) // a slower reader's
	if e, _, ok := m.get("a"); !ok || e.value != "a3" || e.began != 3 {
		t.Errorf("%+v, %v", e, ok)
	}
	put("a", 4, 5)
	if e, _, ok := m.get("a"); !ok || e.value != "a4" {
		t.Errorf("%+v, %v", e, ok)
	}
	for i := range 1000 {
		put(fmt.Sprint(i), 1, 3)
	}
	m.entries.CleanUp()
	if w, n := m.entries.WeightedSize(), m.entries.EstimatedSize(); w > 10 || n > 3 {
		t.Errorf("weight %d, %d entries", w, n)
	}
}

func TestMemoryForgets(t *testing.T) {
	t.Parallel()
	m, err := newMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	for began := range uint64(5) {
		m.put("a", entry{began: 9 - began, weight: 1}, time.Nanosecond, time.Nanosecond)
		if e, _, ok := m.get("a"); ok {
			t.Errorf("%+v is kept beyond its time", e)
		}
	}
	m.put("a", entry{value: "newest", began: 1, weight: 1}, time.Hour, time.Hour)
	if e, _, ok := m.get("a"); !ok || e.value != "newest" {
		t.Errorf("%+v, %v: a value whose time is over keeps out a good one", e, ok)
	}
}
