// Package peerstest lets tests kill and freeze a gateway.
package peerstest

import (
	"net"
	"sync"
	"testing"
)

// Listener can be killed, with all connections, as a process is: the gateway behind it does
// not notice, and tells no member that it leaves. It can be frozen: what comes is taken by the
// system, and nothing reads it.
type Listener struct {
	net.Listener
	mu     sync.Mutex
	conns  []net.Conn
	thawed chan struct{} // nil while it is not frozen
	killed chan struct{}
	closed chan struct{}
	close  sync.Once
}

// Listen returns a Listener on any free loopback port.
func Listen(tb testing.TB) *Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return &Listener{Listener: l, killed: make(chan struct{}), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		select {
		case <-l.killed:
			<-l.closed
		default:
		}
		return nil, err
	}
	c := &conn{Conn: accepted, listener: l, closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.killed:
		_ = c.Close() // it had come before
	default:
		l.conns = append(l.conns, c)
	}
	return c, nil
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Kill ends the listener and its connections.
func (l *Listener) Kill() {
	close(l.killed)
	_ = l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// Freeze has nothing be read until Thaw.
func (l *Listener) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.thawed = make(chan struct{})
}

// Thaw ends Freeze.
func (l *Listener) Thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.thawed)
	l.thawed = nil
}

// conn is a connection of a Listener.
type conn struct {
	net.Conn
	listener *Listener
	closed   chan struct{}
	close    sync.Once
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.listener.mu.Lock()
	thawed := c.listener.thawed
	c.listener.mu.Unlock()
	if thawed != nil {
		select {
		case <-thawed:
		case <-c.closed:
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
