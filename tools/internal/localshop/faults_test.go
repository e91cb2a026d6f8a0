package localshop_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// parts are the names of all parts of a running shop.
func parts() []string {
	return topology.Names(topology.Of(topology.Store, topology.Provider, topology.Service, topology.Gateway))
}

// forward passes the connections to an address on and counts them.
func forward(t *testing.T, to string, connections *atomic.Int64) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			in, err := lis.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in); out.Close() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return lis.Addr().String()
}

func TestEveryLinkTakesItsRoute(t *testing.T) {
	t.Parallel()
	connections := map[string]*atomic.Int64{}
	shop := start(t, localshop.Options{Dir: pgtest.Folder(t), Seed: true, Redis: localshop.OneRedis, Replica: true, Events: localshop.EmbeddedEvents, Route: func(from, to, addr string) (string, error) {
		n := new(atomic.Int64)
		connections[from+" to "+to] = n
		return forward(t, addr, n), nil
	}})
	if order := buy(t, shop, popular(t, shop).Variants[0].SKU); order.State != shopclient.StatePaid {
		t.Errorf("order %+v", order)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // a webhook comes when it comes
	defer cancel()
	for _, l := range localshop.Links() {
		name := l.From + " to " + l.To
		n := connections[name]
		if n == nil {
			t.Fatalf("no route from %s was asked for", name)
		}
		eventually(ctx, t, "a connection from "+name+" goes its way", func() bool { return n.Load() > 0 })
		delete(connections, name)
	}
	if len(connections) > 0 {
		t.Errorf("routes for %v, which are no links", connections)
	}

	refused := errors.New("no way")
	_, err := localshop.Start(t.Context(), localshop.Options{Dir: pgtest.Folder(t), Disposable: true,
		Route: func(string, string, string) (string, error) { return "", refused }})
	if !errors.Is(err, refused) {
		t.Errorf("start without routes: %v", err)
	}
}

// fallsSilent waits until a part does not answer: a signal takes its time on a
// busy machine.
func fallsSilent(ctx context.Context, t *testing.T, shop *localshop.Shop, part string) {
	t.Helper()
	eventually(ctx, t, part+" falls silent", func() bool {
		soon, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
		defer cancel()
		return shop.Await(soon, part) != nil
	})
}

func await(ctx context.Context, t *testing.T, shop *localshop.Shop, part string) {
	t.Helper()
	if err := shop.Await(ctx, part); err != nil {
		t.Fatal(err)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	shop := start(t, localshop.Options{Dir: pgtest.Folder(t), Redis: localshop.OneRedis, Replica: true, Events: localshop.EmbeddedEvents, Processes: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, shop.DSN("cart"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, part := range append(parts(), topology.Replica) {
		await(ctx, t, shop, part)
		pid := shop.PID(part)
		if pid == 0 {
			t.Fatalf("%s has no process", part)
		}
		if err := shop.Signal(part, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		fallsSilent(ctx, t, shop, part)
		answered := make(chan struct{})
		var answer error
		if part == "postgres" {
			// The connection's own process is stopped with the postmaster.
			go func() { answer = conn.Ping(ctx); close(answered) }()
			select {
			case <-answered:
				t.Error("a connection of the stopped postgres answers")
			case <-time.After(100 * time.Millisecond):
			}
		}
		if err := shop.Signal(part, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if part == "postgres" {
			if <-answered; answer != nil {
				t.Errorf("the connection did not outlive the stop: %v", answer)
			}
		}
		await(ctx, t, shop, part)
		if now := shop.PID(part); now != pid {
			t.Errorf("%s was process %d and is %d", part, pid, now)
		}
		if err := shop.Kill(part); err != nil {
			t.Fatal(err)
		}
		eventually(ctx, t, part+" comes back", func() bool { now := shop.PID(part); return now != 0 && now != pid })
		await(ctx, t, shop, part)
	}
	if err := shop.Signal("mail", syscall.SIGSTOP); err == nil {
		t.Error("a part that there is not is stopped")
	}
}

// TestRestart restarts every part while clients browse and make carts: no
// call fails, since connections wait.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := pgtest.Folder(t)
	shop := start(t, localshop.Options{Dir: dir, Seed: true, Redis: localshop.OneRedis, Events: localshop.EmbeddedEvents, Processes: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	looking, leave := context.WithCancel(ctx)
	var visitors sync.WaitGroup
	var looks atomic.Int64
	for range 4 {
		visitors.Go(func() {
			client := shopclient.New(shop.URL)
			defer client.Close()
			for looking.Err() == nil {
				if _, err := client.Products(looking, shopclient.ProductQuery{Limit: 5}); err != nil && looking.Err() == nil {
					t.Errorf("look: %v", err)
				}
				// A client must not send this again by itself.
				if _, err := client.NewCart(looking, nil); err != nil && looking.Err() == nil {
					t.Errorf("take a cart: %v", err)
				}
				looks.Add(1)
			}
		})
	}
	for _, part := range slices.DeleteFunc(parts(), func(part string) bool { return part == "postgres" }) {
		pid, before := shop.PID(part), looks.Load()
		if err := shop.Restart(ctx, part); err != nil {
			t.Fatal(err)
		}
		if now := shop.PID(part); now == pid || now == 0 {
			t.Errorf("%s was process %d and is %d", part, pid, now)
		}
		eventually(ctx, t, "visitors look at the shop", func() bool { return looks.Load() > before })
	}
	leave()
	visitors.Wait()
	if b, err := os.ReadFile(filepath.Join(dir, "logs", "souk.log")); err != nil || strings.Contains(string(b), "process ended") || strings.Contains(string(b), "does not end") {
		t.Errorf("a part died: %s, %v", b, err)
	}

	pid := shop.PID("postgres")
	if err := shop.Restart(ctx, "postgres"); err != nil {
		t.Fatal(err)
	}
	if now := shop.PID("postgres"); now == pid {
		t.Errorf("postgres is still process %d", pid)
	}
	await(ctx, t, shop, "cart")
	if order := buy(t, shop, popular(t, shop).Variants[0].SKU); order.State != shopclient.StatePaid {
		t.Errorf("order %+v", order)
	}
}

func TestPostgresElsewhere(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "db")
	start(t, localshop.Options{Dir: dir, PostgresDir: elsewhere})
	if _, err := os.Stat(filepath.Join(elsewhere, "pid")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a database in the shop's own folder: %v", err)
	}
}
