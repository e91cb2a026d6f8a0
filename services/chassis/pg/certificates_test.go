package pg_test

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// A pool believes a server by the authorities that the DSN's file has when a connection
// is made, so that they change without a restart. A file that is gone changes nothing.
func TestPoolFollowsTheAuthority(t *testing.T) {
	t.Parallel()
	ours, other := identitytest.Authority(t), identitytest.Authority(t)
	text := identitytest.Issue(t, ours, "order")
	certificate, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	addr, shook := serveTLS(t, certificate)
	file := filepath.Join(t.TempDir(), "ca.pem")
	identitytest.Write(t, file, identitytest.Bundle(other))
	pool, err := pg.Open(t.Context(), pg.Config{
		DSN:            config.Secret("postgres://order:word@" + addr + "/order?sslmode=verify-ca&sslrootcert=" + file),
		ConnectTimeout: 5 * time.Second,
	}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a certificate of another authority: %v", err)
	}
	if err := <-shook; err == nil {
		t.Error("the handshake succeeded")
	}
	identitytest.Write(t, file, identitytest.Bundle(other, ours))
	if err := pool.Ping(t.Context()); err == nil {
		t.Error("what only shakes hands is no database")
	}
	if err := <-shook; err != nil {
		t.Errorf("the file has the authority now: %v", err)
	}
}

// serveTLS agrees to TLS as PostgreSQL does, and reports each handshake.
func serveTLS(t *testing.T, certificate tls.Certificate) (addr string, shook <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	done := make(chan error, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil { // SSLRequest
					done <- err
					return
				}
				if _, err := conn.Write([]byte("S")); err != nil {
					done <- err
					return
				}
				secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
				err := secured.Handshake()
				if err == nil { // by TLS 1.3 the client's refusal comes after it
					_, err = secured.Read(make([]byte, 1))
				}
				done <- err
			}()
		}
	}()
	return l.Addr().String(), done
}
