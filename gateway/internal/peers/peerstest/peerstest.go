// Package peerstest lets tests kill a gateway.
package peerstest

import (
	"net"
	"sync"
	"testing"
)

// Listener can be killed, with all connections, as a process is: the gateway behind it does
// not notice, and tells no member that it leaves.
type Listener struct {
	net.Listener
	mu     sync.Mutex
	conns  []net.Conn
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
	c, err := l.Listener.Accept()
	if err != nil {
		select {
		case <-l.killed:
			<-l.closed
		default:
		}
		return nil, err
	}
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
