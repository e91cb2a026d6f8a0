// Package keylock serializes work by key within one process: at most one holder
// per key at a time, any number of keys at once. It orders goroutines only; what
// other processes do at the same time has to be guarded in the database.
package keylock

import (
	"context"
	"sync"
)

// Map is a set of locks, one per key. The zero value is ready to use; a Map must not
// be copied after its first use. It keeps nothing about a key that is neither held nor
// waited for.
type Map[K comparable] struct {
	mu    sync.Mutex
	locks map[K]*lock
}

type lock struct {
	token chan struct{} // holds one token while the lock is free
	users int           // the holder and the waiters; guarded by Map.mu
}

// Lock waits until no other caller holds key and returns the function that
// releases it, which must be called exactly once. If ctx ends first, Lock returns
// ctx's error and holds nothing; with a ctx that has ended it never acquires.
func (m *Map[K]) Lock(ctx context.Context, key K) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := m.join(key)
	select {
	case <-l.token:
		return func() { l.token <- struct{}{}; m.leave(key, l) }, nil
	case <-ctx.Done():
		m.leave(key, l)
		return nil, ctx.Err()
	}
}

// join returns the lock of key, which stays in the map until each joined caller
// has left.
func (m *Map[K]) join(key K) *lock {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks == nil {
		m.locks = map[K]*lock{}
	}
	l := m.locks[key]
	if l == nil {
		l = &lock{token: make(chan struct{}, 1)}
		l.token <- struct{}{}
		m.locks[key] = l
	}
	l.users++
	return l
}

func (m *Map[K]) leave(key K, l *lock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(m.locks, key)
	}
}
