package cached_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/cached"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/storetest"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// program is the Redis that the tests start.
var program string

func TestMain(m *testing.M) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
		}
	}
	if program == "" {
		fmt.Fprintln(os.Stderr, "these tests need redis-server or valkey-server in the PATH")
		os.Exit(1)
	}
	pgtest.Main(m)
}

// server is a private Redis on a Unix socket.
type server struct {
	t       testing.TB
	socket  string
	process *exec.Cmd
}

// newServer returns a Redis that is not started yet.
func newServer(t testing.TB) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "souk-redis-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, socket: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		s.kill()
		_ = os.RemoveAll(dir)
	})
	return s
}

func (s *server) start() *server {
	s.t.Helper()
	s.run(redis.Options{Addr: s.socket}, "--port", "0", "--unixsocket", s.socket)
	return s
}

// run starts Redis with more flags and waits until it answers a client.
func (s *server) run(client redis.Options, flags ...string) {
	s.t.Helper()
	s.process = exec.Command(program, append(flags, "--save", "", "--appendonly", "no", "--dir", filepath.Dir(s.socket))...)
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	rdb := redis.NewClient(&client)
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	for rdb.Ping(ctx).Err() != nil {
		select {
		case <-ctx.Done():
			s.t.Fatal("redis does not start")
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *server) kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// freeze stops Redis until the returned function is called.
func (s *server) freeze() (thaw func()) {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	return func() { _ = s.process.Process.Signal(syscall.SIGCONT) }
}

func (s *server) client() redis.UniversalClient {
	s.t.Helper()
	rdb, err := cache.OpenRedis(cache.RedisConfig{Addr: s.socket, Timeout: 200 * time.Millisecond}, telemetry.Discard())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// wrap puts the cache in front of a store, with its own clock: two of them are
// two replicas.
func (s *server) wrap(next app.Store, timeout time.Duration) app.Store {
	s.t.Helper()
	return s.wrapped(next, 0, timeout)
}

// wrapped is wrap with a layer in memory before the one in Redis.
func (s *server) wrapped(next app.Store, memory, timeout time.Duration) app.Store {
	s.t.Helper()
	c, err := cached.New(next, memory, cache.RedisConfig{Addr: s.socket, Timeout: timeout}, telemetry.Discard())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// shop is a cache on a Redis of its own, in front of a store with one product A
// for 1.00.
func shop(t *testing.T) (*server, *storetest.Gate, app.Store, string) {
	t.Helper()
	store, _ := storetest.New(t)
	gate := &storetest.Gate{Store: store}
	s := newServer(t).start()
	if _, err := store.Upsert(t.Context(), "", []domain.ProductInput{storetest.Simple("A", "apple", 100, 50)}); err != nil {
		t.Fatal(err)
	}
	p, err := store.ProductByCode(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	return s, gate, s.wrap(gate, 200*time.Millisecond), p.ID
}

func price(t *testing.T, s app.Store, id string) int64 {
	t.Helper()
	p, err := s.ProductByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return p.Variants[0].Price.Units
}

func setPrice(t *testing.T, s app.Store, units int64) {
	t.Helper()
	if _, err := s.SetPrices(t.Context(), "", []domain.PriceChange{{SKU: "A", Price: storetest.GBP(units)}}); err != nil {
		t.Fatal(err)
	}
}
