package catalog

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/internal/problem"
)

func TestCacheAge(t *testing.T) {
	t.Parallel()
	c := newCache[string, int](30*time.Millisecond, 8)
	n := 0
	get := func() int {
		v, err := c.get(t.Context(), "k", func(context.Context) (int, error) { n++; return n, nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	start := time.Now()
	first := get()
	for v := get(); v == first; v = get() {
		if time.Since(start) > 5*time.Second {
			t.Fatal("an old value never goes")
		}
	}
	if age := time.Since(start); age < 30*time.Millisecond {
		t.Errorf("loaded again after %v", age)
	}
}

// A reader that comes after a write never gets what was loaded before it, not even from a
// load that is still under way.
func TestCacheRemoveDuringLoad(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(*cache[string, string]){
		"remove": func(c *cache[string, string]) { c.remove("k") },
		"clear":  func(c *cache[string, string]) { c.clear() },
	} {
		c := newCache[string, string](time.Hour, 8)
		begun, finish := make(chan struct{}), make(chan struct{})
		old := make(chan string)
		go func() {
			v, _ := c.get(context.Background(), "k", func(context.Context) (string, error) {
				close(begun)
				<-finish
				return "old", nil
			})
			old <- v
		}()
		<-begun
		forget(c)
		fresh := func(context.Context) (string, error) { return "new", nil }
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if v, err := c.get(ctx, "k", fresh); v != "new" {
			t.Errorf("%s: %q, %v", name, v, err)
		}
		close(finish)
		if v := <-old; v != "old" {
			t.Errorf("%s: the first reader got %s", name, v)
		}
		if v, _ := c.get(t.Context(), "k", fresh); v != "new" {
			t.Errorf("%s: the old load came back: %s", name, v)
		}
	}
}

func TestCacheErrorsAndLeavers(t *testing.T) {
	t.Parallel()
	c := newCache[string, int](time.Hour, 8)
	boom := errors.New("boom")
	if _, err := c.get(t.Context(), "k", func(context.Context) (int, error) { return 0, boom }); !errors.Is(err, boom) {
		t.Errorf("error: %v", err)
	}
	// The reader who starts a load may leave; the load goes on for the others.
	ctx, leave := context.WithCancel(t.Context())
	begun, finish := make(chan struct{}), make(chan struct{})
	left := make(chan error)
	go func() {
		_, err := c.get(ctx, "k", func(ctx context.Context) (int, error) {
			close(begun)
			<-finish
			return 7, ctx.Err()
		})
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; !problem.Is(err, problem.Canceled) {
		t.Errorf("the reader that left got %v", err)
	}
	close(finish)
	v, err := c.get(t.Context(), "k", func(context.Context) (int, error) { return 0, boom })
	if v != 7 || err != nil {
		t.Errorf("the reader that stayed got %d, %v", v, err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache[string, int](time.Hour, 100)
	for i := range 10_000 {
		if _, err := c.get(t.Context(), fmt.Sprint(i), func(context.Context) (int, error) { return i, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.young) + len(c.old); n > 100 {
		t.Errorf("%d entries", n)
	}
}
