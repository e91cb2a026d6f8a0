package keylock

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestOneHolderPerKey has 200 goroutines contend for three keys.
func TestOneHolderPerKey(t *testing.T) {
	t.Parallel()
	var m Map[int]
	var wg sync.WaitGroup
	var holders [3]atomic.Int32
	var acquired atomic.Int32
	for i := range 200 {
		key := i % len(holders)
		wg.Go(func() {
			unlock, err := m.Lock(t.Context(), key)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			if n := holders[key].Add(1); n != 1 {
				t.Errorf("%d goroutines hold key %d", n, key)
			}
			acquired.Add(1)
			holders[key].Add(-1)
		})
	}
	wg.Wait()
	if acquired.Load() != 200 {
		t.Errorf("acquired %d times", acquired.Load())
	}
	if len(m.locks) != 0 {
		t.Errorf("%d locks are left", len(m.locks))
	}
}

func TestKeysAreIndependent(t *testing.T) {
	t.Parallel()
	var m Map[string]
	a, err := m.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	a()
	b()
}

// TestWaitEndsWithItsContext: a waiter that gives up holds nothing, and the key
// can be locked again when its holder has released it.
func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m Map[string]
		unlock, err := m.Lock(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := m.Lock(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("waited %v: %v", time.Since(start), err)
		}
		unlock()
		if len(m.locks) != 0 {
			t.Errorf("%d locks are left", len(m.locks))
		}
		if unlock, err = m.Lock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		unlock()
	})
}

func TestAnEndedContextNeverAcquires(t *testing.T) {
	t.Parallel()
	var m Map[string]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if _, err := m.Lock(ctx, "x"); !errors.Is(err, context.Canceled) {
			t.Fatalf("locked: %v", err)
		}
	}
	if len(m.locks) != 0 {
		t.Errorf("%d locks are left", len(m.locks))
	}
}
