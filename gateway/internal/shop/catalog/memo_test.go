package catalog

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestMemoBuildsOnce: readers that come together share one build, and one that
// panics leaves the next reader to build.
func TestMemoBuildsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m Memo
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic of a build is lost")
				}
			}()
			m.Of(SlotPage, func() any { panic("no page") })
		}()
		var builds atomic.Int32
		begun, finish := make(chan struct{}), make(chan struct{})
		got := make(chan any)
		for range 16 {
			go func() {
				got <- m.Of(SlotPage, func() any {
					if builds.Add(1) == 1 {
						close(begun)
					}
					<-finish
					return "page"
				})
			}()
		}
		<-begun
		close(finish)
		for range 16 {
			if v := <-got; v != "page" {
				t.Errorf("got %v", v)
			}
		}
		if n := builds.Load(); n != 1 {
			t.Errorf("built %d times, want 1", n)
		}
		if v := m.Of(SlotJSON, func() any { return 1 }); v != 1 {
			t.Errorf("another slot has %v", v)
		}
	})
}
