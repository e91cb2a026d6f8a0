package cache_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func inMemory(t testing.TB, ttl time.Duration, tel *telemetry.Telemetry) *cache.Cache {
	t.Helper()
	c, err := cache.New(cache.Config{Name: "shop", MemoryTTL: ttl, MemoryWeight: 100}, tel)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func query(load func(context.Context) (string, error)) cache.Query[string] {
	return cache.Query[string]{Key: "k", Items: func(string) []string { return []string{"a", "b"} }, Load: load}
}

// TestAge: an answer is kept for the time to live, counted from the start of its load.
func TestAge(t *testing.T) {
	t.Parallel()
	const ttl = 400 * time.Millisecond // a loaded machine may take half of it for a step
	c := inMemory(t, ttl, telemetry.Discard())
	var began time.Time
	loads := 0
	get := func() {
		t.Helper()
		_, err := cache.Get(t.Context(), c, query(func(ctx context.Context) (string, error) {
			loads++
			if loads == 1 {
				began = time.Now()
				_ = retry.Sleep(ctx, ttl/2)
				return "first", nil
			}
			return "second", nil
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	get()
	loaded := time.Now()
	for loads == 1 {
		get()
		if time.Since(began) > 10*time.Second {
			t.Fatal("an old answer never goes")
		}
	}
	switch now := time.Now(); {
	case now.Sub(began) < ttl:
		t.Errorf("loaded again after %v", now.Sub(began))
	case now.Sub(loaded) >= ttl && loaded.Sub(began) < ttl:
		t.Errorf("kept for %v after a load of %v", now.Sub(loaded), loaded.Sub(began))
	}
}

// TestChangeDuringLoad: a reader that comes after a change never gets what was loaded
// before it, not even from a load that is still under way.
func TestChangeDuringLoad(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*cache.Cache){
		"changed":     func(c *cache.Cache) { c.Changed("x", "b") },
		"changed all": func(c *cache.Cache) { c.ChangedAll(context.Background()) },
	} {
		c := inMemory(t, time.Hour, telemetry.Discard())
		begun, finish := make(chan struct{}), make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			first := true
			_, _ = cache.Get(context.Background(), c, query(func(context.Context) (string, error) {
				if !first { // it loads again when it sees the change
					return "new", nil
				}
				first = false
				close(begun)
				<-finish
				return "old", nil
			}))
		}()
		<-begun
		change(c)
		close(finish)
		fresh := query(func(context.Context) (string, error) { return "new", nil })
		for range 2 {
			if v, err := cache.Get(t.Context(), c, fresh); v != "new" || err != nil {
				t.Errorf("%s: %q, %v", name, v, err)
			}
			<-ended
		}
	}
}

// TestErrorsAndLeavers: errors are not kept, and a load goes on for others when the
// reader who started it leaves.
func TestErrorsAndLeavers(t *testing.T) {
	t.Parallel()
	c := inMemory(t, time.Hour, telemetry.Discard())
	boom := errors.New("boom")
	fails := query(func(context.Context) (string, error) { return "", boom })
	if _, err := cache.Get(t.Context(), c, fails); !errors.Is(err, boom) {
		t.Errorf("error: %v", err)
	}
	ctx, leave := context.WithCancel(t.Context())
	begun, finish := make(chan struct{}), make(chan struct{})
	left := make(chan error)
	go func() {
		_, err := cache.Get(ctx, c, query(func(ctx context.Context) (string, error) {
			close(begun)
			<-finish
			return "seven", ctx.Err()
		}))
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the reader that left got %v", err)
	}
	stayed := make(chan string)
	go func() {
		v, err := cache.Get(t.Context(), c, fails)
		if err != nil {
			v = err.Error()
		}
		stayed <- v
	}()
	close(finish)
	if v := <-stayed; v != "seven" {
		t.Errorf("the reader that stayed got %s", v)
	}
}

// BenchmarkHit is the read of an answer that is in memory.
func BenchmarkHit(b *testing.B) {
	tel, err := telemetry.Start(b.Context(), "shop", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	c, err := cache.New(cache.Config{Name: "shop", MemoryTTL: time.Hour, MemoryWeight: 100}, tel)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	items := []string{"a", "b"}
	q := cache.Query[string]{
		Key: "k", Items: func(string) []string { return items }, Load: func(context.Context) (string, error) { return "v", nil },
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cache.Get(b.Context(), c, q); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLookupsAreCounted(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Start(t.Context(), "shop", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	c := inMemory(t, time.Hour, tel)
	for range 3 {
		if _, err := cache.Get(t.Context(), c, query(func(context.Context) (string, error) { return "v", nil })); err != nil {
			t.Fatal(err)
		}
	}
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(tel.Registry, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for result, want := range map[string]string{"hit": "2", "miss": "1"} {
		found := false
		for line := range strings.Lines(rec.Body.String()) {
			found = found || strings.HasPrefix(line, "souk_cache_lookups") && strings.Contains(line, `souk_cache_layer="memory"`) &&
				strings.Contains(line, `souk_cache_name="shop"`) && strings.Contains(line, `souk_cache_result="`+result+`"`) && strings.HasSuffix(line, " "+want+"\n")
		}
		if !found {
			t.Errorf("no %s %s in\n%s", want, result, rec.Body.String())
		}
	}
}
