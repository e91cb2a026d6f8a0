package cart_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// gate is a way to a database that can be closed: connections are cut and new
// ones hung up on.
type gate struct {
	target string
	mu     sync.Mutex
	open   bool
	conns  map[net.Conn]struct{}
}

// newGate returns a closed gate to the database and the DSN that leads through.
func newGate(t *testing.T, dsn string) (*gate, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{target: u.Host, conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() {
		lis.Close()
		g.set(false)
	})
	go func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			go g.pass(c)
		}
	}()
	u.Host = lis.Addr().String()
	return g, u.String()
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
	if !open {
		for c := range g.conns {
			c.Close()
		}
		clear(g.conns)
	}
}

// enter keeps track of a connection, or closes it if the gate is closed.
func (g *gate) enter(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		c.Close()
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gate) pass(client net.Conn) {
	defer client.Close()
	if !g.enter(client) {
		return
	}
	server, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, client)
	}()
	_, _ = io.Copy(client, server)
}

// The service starts before its database and outlives it. Meanwhile it says
// that it is not there, never that a cart is not.
func TestADatabaseMayBeLateAndMayGo(t *testing.T) {
	t.Parallel()
	db := pgtest.Service(t, postgres.Migrate)
	g, through := newGate(t, db.Config.DSN.Reveal())
	db.Config = pg.Config{DSN: config.Secret(through)}
	s := startOn(t, db, false)
	id := &cartv1.GetCartRequest{CartId: newID(), Viewer: access.Customer(newID())}
	create := &cartv1.CreateCartRequest{CartId: id.GetCartId(), Viewer: id.GetViewer()}

	s.waitFor(t, healthpb.HealthCheckResponse_NOT_SERVING)
	_, err := s.CreateCart(t.Context(), create)
	wantError(t, err, codes.Unavailable, "UNAVAILABLE")

	g.set(true)
	s.waitFor(t, healthpb.HealthCheckResponse_SERVING)
	if _, err := s.CreateCart(t.Context(), create); err != nil {
		t.Fatal(err)
	}

	g.set(false)
	_, err = s.GetCart(t.Context(), id)
	wantError(t, err, codes.Unavailable, "UNAVAILABLE")
	s.waitFor(t, healthpb.HealthCheckResponse_NOT_SERVING)

	g.set(true)
	s.waitFor(t, healthpb.HealthCheckResponse_SERVING)
	if _, err := s.GetCart(t.Context(), id); err != nil {
		t.Errorf("the cart after the outage: %v", err)
	}
}
