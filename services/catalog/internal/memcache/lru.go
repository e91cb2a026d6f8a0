package memcache

import (
	"container/list"
	"sync"
	"time"
)

// lru keeps values up to a total weight and drops those not used for longest.
type lru struct {
	mu       sync.Mutex
	capacity int
	weight   int
	order    *list.List // of *entry, last used first
	entries  map[string]*list.Element
}

type entry struct {
	key     string
	value   any
	began   uint64 // on the clock of package fresh
	expires time.Time
	weight  int
}

func newLRU(capacity int) *lru {
	return &lru{capacity: capacity, order: list.New(), entries: map[string]*list.Element{}}
}

func (l *lru) get(key string, now time.Time) (value any, began uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	el, ok := l.entries[key]
	if !ok {
		return nil, 0, false
	}
	e := el.Value.(*entry)
	if now.After(e.expires) {
		l.drop(el)
		return nil, 0, false
	}
	l.order.MoveToFront(el)
	return e.value, e.began, true
}

func (l *lru) put(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if el, ok := l.entries[e.key]; ok {
		if el.Value.(*entry).began > e.began {
			return // what is there was read later
		}
		l.drop(el)
	}
	l.entries[e.key] = l.order.PushFront(e)
	l.weight += e.weight
	for l.weight > l.capacity && l.order.Len() > 1 {
		l.drop(l.order.Back())
	}
}

func (l *lru) drop(el *list.Element) {
	e := l.order.Remove(el).(*entry)
	delete(l.entries, e.key)
	l.weight -= e.weight
}
