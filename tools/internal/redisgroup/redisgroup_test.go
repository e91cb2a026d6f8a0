//go:build unix

package redisgroup_test

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/redisgroup"
)

// shop is a cache on a group, and counts its loads.
type shop struct {
	t     *testing.T
	cache *cache.Cache
	now   int // what is right
	loads int
}

func open(t *testing.T, g *redisgroup.Group) *shop {
	t.Helper()
	c, err := cache.New(cache.Config{Name: "shop", Redis: cache.RedisConfig{Addr: g.Address(), Timeout: 200 * time.Millisecond}}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &shop{t: t, cache: c}
}

// get asks for some answers, which have to be right, and returns how many of them Redis had.
func (s *shop) get() (had int) {
	s.t.Helper()
	const answers = 20
	before := s.loads
	for i := range answers {
		v, err := cache.Get(s.t.Context(), s.cache, cache.Query[int]{Key: string(rune('a' + i)), RedisTTL: time.Hour, Load: func(context.Context) (int, error) {
			s.loads++
			return s.now, nil
		}})
		if err != nil || v != s.now {
			s.t.Fatalf("%d, %v; want %d", v, err, s.now)
		}
	}
	return answers - (s.loads - before)
}

func (s *shop) change() {
	s.now++
	s.cache.ChangedAll(s.t.Context())
}

// awaitKept asks until Redis has all answers.
func (s *shop) awaitKept() {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.get() < 20; {
		if time.Now().After(deadline) {
			s.t.Fatal("Redis keeps nothing")
		}
		_ = retry.Sleep(s.t.Context(), 10*time.Millisecond) // the loop ends with the test
	}
}

func start(t *testing.T, kind redisgroup.Kind) *redisgroup.Group {
	t.Helper()
	if _, err := redisgroup.Find(); err != nil {
		t.Fatal(err) // go run ./tools/souk test installs it
	}
	g, err := redisgroup.Start(t.Context(), redisgroup.Config{Dir: t.TempDir(), Kind: kind, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// TestFailover: another server takes the place of the primary, and then of the next; answers are
// right in the meantime, and kept again after it.
func TestFailover(t *testing.T) {
	t.Parallel()
	for kind, rounds := range map[redisgroup.Kind]int{redisgroup.Sentinel: 1, redisgroup.Cluster: 2} { // Sentinels wait longer
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			g := start(t, kind)
			s := open(t, g)
			s.awaitKept()
			for range rounds {
				primaries, err := g.Primaries(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				primary := primaries[0]
				s.change()
				s.awaitKept()
				if err := g.Process(primary).Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				s.change() // which the primary that stands still does not learn
				s.get()
				now, err := g.AwaitPrimaries(t.Context(), primary)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("instead of %s of %v the primaries are %v", primary, primaries, now)
				s.awaitKept()
				if err := g.Process(primary).Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				if err := g.AwaitWhole(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.awaitKept()
			}
		})
	}
}

// TestReshard: keys move to other servers of a cluster while they are asked for.
func TestReshard(t *testing.T) {
	t.Parallel()
	g := start(t, redisgroup.Cluster)
	s := open(t, g)
	s.awaitKept()
	done := make(chan error, 1)
	go func() {
		_, _, err := g.Reshard(t.Context(), 3000)
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			s.awaitKept()
			if err := g.AwaitWhole(t.Context()); err != nil {
				t.Fatal(err)
			}
			return
		default:
			s.change()
			s.get()
		}
	}
}
