package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge/budget"
	"github.com/souk-shop/souk/gateway/internal/edge/clientaddr"
)

const (
	// freeHeader is how much of a request's header is not reserved: that of browsers is
	// 1 to 3 KiB, and as much is in the server's buffer anyway.
	freeHeader = 4 << 10
	// headerWeight is how many bytes are held for one of a header: short fields ("a:b") take
	// 28 times their size.
	headerWeight = 32
	// writeBuffer bounds what the system keeps of an answer that is not read; it doubles it.
	writeBuffer = 64 << 10
	// refusalTime bounds the writing of a refusal, which fits any socket's buffer.
	refusalTime = 100 * time.Millisecond
)

// ConnectionLimits are those of a server's connections. 0 or less is without limit.
type ConnectionLimits struct {
	// Most are open connections in all, PerAddress of one address; Unheard are those of
	// which no request has come whole yet.
	Most, PerAddress, Unheard int64
	// Trusts reports a proxy, whose connections are many clients'.
	Trusts func(netip.Addr) bool
	// Bytes are those in flight, among which the bytes of large headers count.
	Bytes *budget.Pool[netip.Addr]
	// Record notes a refusal in the security log.
	Record func(ctx context.Context, limit budget.Limit, client slog.Attr)
}

// guardedListener refuses connections beyond the limits.
type guardedListener struct {
	net.Listener
	ConnectionLimits
	open, unheard *budget.Pool[netip.Addr]
	plain         bool // without TLS: a refusal can be said
}

func (l ConnectionLimits) guard(lis net.Listener, plain bool) net.Listener {
	perAddress := l.PerAddress
	if perAddress <= 0 {
		perAddress = -1
	}
	return &guardedListener{
		Listener: lis, ConnectionLimits: l, plain: plain,
		open: budget.NewPool[netip.Addr](l.Most, perAddress), unheard: budget.NewPool[netip.Addr](l.Unheard, min(perAddress, 0)),
	}
}

// Accept returns the next connection that is within the limits. One beyond them is told
// so and closed.
func (l *guardedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := clientaddr.Peer(conn.RemoteAddr().String())
		g := &guardedConn{Conn: conn, listener: l, key: budget.Key(peer), proxy: l.Trusts(peer)}
		limit := g.enter()
		if limit == "" {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetWriteBuffer(writeBuffer)
			}
			return g, nil
		}
		l.Record(context.Background(), limit, slog.String("client", g.key.String()))
		l.refuse(conn, limit)
	}
}

// refuse says why a connection is closed, where that takes no handshake.
func (l *guardedListener) refuse(conn net.Conn, limit budget.Limit) {
	if l.plain {
		status, slug := http.StatusTooManyRequests, "too-many-requests"
		if limit != budget.ConnectionsOfAddress {
			status, slug = http.StatusServiceUnavailable, "busy"
		}
		body := fmt.Sprintf(`{"type":"/problems/%s","title":"Too many connections","status":%d,"limit":"%s"}`, slug, status, limit)
		_ = conn.SetWriteDeadline(time.Now().Add(refusalTime))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nRetry-After: 5\r\nConnection: close\r\n\r\n%s",
			status, http.StatusText(status), len(body), body)
	}
	_ = conn.Close()
}

// guardedConn is a connection that counts.
type guardedConn struct {
	net.Conn
	listener *guardedListener
	key      netip.Addr
	proxy    bool
	close    sync.Once

	unheard atomic.Bool
	// header is how many bytes of a request's header have come; -1 while none is read.
	header atomic.Int64
	// mu guards what follows. held are the bytes that are reserved for a header; silent closes
	// an HTTP/2 connection from which no request comes.
	mu     sync.Mutex
	held   int64
	closed bool
	silent *time.Timer

	// came are the bytes that came, useful those that requests were made of, where http2 says
	// that they are counted.
	http2        atomic.Bool
	came, useful atomic.Int64
}

// enter counts the connection, or returns the limit that it meets.
func (c *guardedConn) enter() budget.Limit {
	l := c.listener
	take := (*budget.Pool[netip.Addr]).Acquire
	if c.proxy {
		take = (*budget.Pool[netip.Addr]).AcquireAny
	}
	switch take(l.open, c.key, 1) {
	case budget.KeyFull:
		return budget.ConnectionsOfAddress
	case budget.AllFull:
		return budget.Connections
	}
	if take(l.unheard, c.key, 1) != budget.Given {
		l.open.Release(c.key, 1)
		return budget.UnheardConnections
	}
	c.unheard.Store(true)
	return ""
}

// state follows what the server does with the connection.
func (c *guardedConn) state(state http.ConnState, http2 bool) {
	if http2 {
		c.greet()
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.header.Store(0)
	case http.StateActive: // a request's header was read whole
		c.header.Store(-1)
		if !http2 { // there it may be the preface
			c.hear()
		}
		c.release()
	}
}

func (c *guardedConn) hear() {
	if c.unheard.Swap(false) {
		c.listener.unheard.Release(c.key, 1)
	}
}

func (c *guardedConn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held > 0 {
		c.listener.Bytes.Release(c.key, c.held)
		c.held = 0
	}
}

// errHeaderBytes ends a connection whose header there is no room for.
var errHeaderBytes = errors.New("edge: no room for the header of a request")

func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if flood := c.frames(n); flood != nil {
		return 0, flood
	}
	if n == 0 || c.header.Load() < 0 {
		return n, err
	}
	if came := c.header.Add(int64(n)); came > freeHeader {
		if !c.reserve(min(came-freeHeader, int64(n)) * headerWeight) {
			c.listener.Record(context.Background(), budget.HeaderBytes, slog.String("client", c.key.String()))
			return 0, errHeaderBytes
		}
	}
	return n, err
}

// reserve takes n bytes more for the header.
func (c *guardedConn) reserve(n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.listener.Bytes.Acquire(c.key, n) != budget.Given {
		return false
	}
	c.held += n
	return true
}

// Close gives back what the connection holds.
func (c *guardedConn) Close() error {
	err := c.Conn.Close()
	c.close.Do(func() {
		c.mu.Lock()
		c.closed = true
		if c.silent != nil {
			c.silent.Stop()
		}
		c.mu.Unlock()
		c.release()
		c.hear()
		c.listener.open.Release(c.key, 1)
	})
	return err
}

// CloseWrite is what the server does before it closes a connection whose client may still
// be sending.
func (c *guardedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// guarded returns the connection that counts, below TLS.
func guarded(conn net.Conn) *guardedConn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	g, _ := conn.(*guardedConn)
	return g
}
