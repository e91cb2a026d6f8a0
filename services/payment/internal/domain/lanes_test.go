package domain

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestLanes(t *testing.T) {
	t.Parallel()
	var l lanes
	var wg sync.WaitGroup
	inside := map[string]int{}
	counts := map[string]int{}
	var mu sync.Mutex
	for i := range 200 {
		id := string(rune('a' + i%3))
		wg.Go(func() {
			leave, err := l.enter(context.Background(), id)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			if inside[id]++; inside[id] != 1 {
				t.Errorf("%d in lane %s", inside[id], id)
			}
			counts[id]++
			mu.Unlock()
			mu.Lock()
			inside[id]--
			mu.Unlock()
			leave()
		})
	}
	wg.Wait()
	if len(l.lanes) != 0 {
		t.Errorf("%d lanes are left", len(l.lanes))
	}

	leave, err := l.enter(context.Background(), "x")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.enter(gone, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("entered a lane that is taken: %v", err)
	}
	leave()
	if len(l.lanes) != 0 {
		t.Errorf("%d lanes are left", len(l.lanes))
	}
}
