package rpc

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	"google.golang.org/grpc/credentials"
)

const (
	// maxUnproven is how many connections a server has at a time whose clients have not shown
	// who they are: each is a goroutine, buffers and a file for handshakeTimeout at most. The
	// processes of a large shop that start at once are fewer.
	maxUnproven = 256
	// maxUnprovenOfAddress is how many of them one address has, so that others get in.
	maxUnprovenOfAddress = 64
)

// unproven bounds the connections whose handshake is not over. It is the server's listener
// and around its credentials: what the listener accepts counts until its handshake ends, or
// it is closed.
type unproven struct {
	net.Listener
	security *telemetry.SecurityLog

	mu        sync.Mutex
	all       int
	byAddress map[netip.Addr]int
}

func limitUnproven(lis net.Listener, security *telemetry.SecurityLog) *unproven {
	return &unproven{Listener: lis, security: security, byAddress: map[netip.Addr]int{}}
}

// Accept closes connections that are too many, and returns the next that is not.
func (u *unproven) Accept() (net.Conn, error) {
	for {
		raw, err := u.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := addressOf(raw)
		if u.take(address) {
			return &unprovenConn{Conn: raw, release: sync.OnceFunc(func() { u.release(address) })}, nil
		}
		u.security.Record(context.Background(), telemetry.LimitExceeded, "handshakes", slog.String("client", address.String()))
		_ = raw.Close()
	}
}

func (u *unproven) take(address netip.Addr) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all >= maxUnproven || u.byAddress[address] >= maxUnprovenOfAddress {
		return false
	}
	u.all++
	u.byAddress[address]++
	return true
}

func (u *unproven) release(address netip.Addr) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all--
	if u.byAddress[address]--; u.byAddress[address] == 0 {
		delete(u.byAddress, address)
	}
}

// addressOf is the zero Addr for a connection that has none, as one in memory.
func addressOf(c net.Conn) netip.Addr {
	at, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return at.Addr().Unmap()
}

type unprovenConn struct {
	net.Conn
	release func()
}

// Close counts the connection no longer, if it still does.
func (c *unprovenConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// proving are credentials after whose handshake a connection counts no longer.
type proving struct {
	credentials.TransportCredentials
}

// ServerHandshake hands on the connection without what counted it.
func (p proving) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	counted, ok := raw.(*unprovenConn)
	if !ok {
		return p.TransportCredentials.ServerHandshake(raw)
	}
	defer counted.release()
	return p.TransportCredentials.ServerHandshake(counted.Conn)
}

// Clone keeps the counting.
func (p proving) Clone() credentials.TransportCredentials {
	return proving{p.TransportCredentials.Clone()}
}
