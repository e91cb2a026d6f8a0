package rpc

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
)

// Clients that connect and do not say who they are have so many connections and no more, for
// ten seconds at most. Who has shown a certificate is not affected, and counts no longer.
func TestConnectionsBeforeTheHandshake(t *testing.T) {
	t.Parallel()
	ours := identitytest.Authority(t)
	var caller atomic.Value
	f := serveEcho(t, callers(&caller), options{serverID: identitytest.Open(t, ours, "echo"), clientID: identitytest.Open(t, ours, "gateway")})
	if _, err := f.say(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", f.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	// closed reports that the server closes a connection within a time.
	closed := func(c net.Conn, within time.Duration) bool {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(within))
		_, err := c.Read(make([]byte, 1))
		if err == nil {
			t.Fatal("the server speaks first")
		}
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	began := time.Now()
	var silent []net.Conn
	for range maxUnprovenOfAddress {
		silent = append(silent, dial())
	}
	if !closed(dial(), 5*time.Second) {
		t.Error("one too many stays")
	}
	if line := f.log.String(); !strings.Contains(line, "handshakes") {
		t.Errorf("the log does not say so: %s", line)
	}
	if _, err := f.say(t.Context(), 1); err != nil {
		t.Errorf("on a connection that was there: %v", err)
	}
	// A place is free when one leaves: the server hears of it at once.
	silent[0].Close()
	for next := dial(); closed(next, 200*time.Millisecond); next = dial() {
		if time.Since(began) > 5*time.Second {
			t.Fatal("no place is free when one has left")
		}
	}
	// The others are waited for no longer than handshakeTimeout.
	_ = silent[1].SetReadDeadline(began.Add(handshakeTimeout + 10*time.Second))
	if _, err := io.Copy(io.Discard, silent[1]); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent one is still there after %v", time.Since(began))
	}
	if took := time.Since(began); took < handshakeTimeout/2 {
		t.Errorf("it was closed after %v", took)
	}
}
