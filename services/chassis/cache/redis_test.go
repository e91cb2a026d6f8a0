package cache_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"

	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestOpenRedis(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"localhost:6379", "/run/redis.sock", "redis://user:word@host:1/2", "rediss://user:word@host:1"} {
		rdb, err := cache.OpenRedis(cache.RedisConfig{Addr: addr}, telemetry.Discard())
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		_ = rdb.Close()
	}
	ca, _ := selfSigned(t)
	notOne := filepath.Join(t.TempDir(), "ca.pem")
	write(t, notOne, []byte("no certificate"))
	for _, cfg := range []cache.RedisConfig{
		{Addr: "ftp://x"},
		{Addr: "redis://host:1", CA: ca},
		{Addr: "host:1", CA: ca},
		{Addr: "rediss://host:1", CA: ca + ".lost"},
		{Addr: "rediss://host:1", CA: notOne},
	} {
		if _, err := cache.OpenRedis(cfg, telemetry.Discard()); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// Redis is believed by the authorities of the file alone, and by those that the file has
// when a connection is made.
func TestRedisCA(t *testing.T) {
	t.Parallel()
	ca, certificate := selfSigned(t)
	other, _ := selfSigned(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	copyFile(t, other, file)
	rdb, err := cache.OpenRedis(cache.RedisConfig{Addr: "rediss://catalog:word@" + serveRedis(t, certificate), CA: file, Timeout: 5 * time.Second}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	if err := rdb.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a certificate of another authority: %v", err)
	}
	copyFile(t, ca, file)
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the file has the authority now: %v", err)
	}
}

// selfSigned returns a file with a certificate for 127.0.0.1, and the certificate with
// its key.
func selfSigned(t *testing.T) (file string, certificate tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "cert.pem")
	write(t, file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, text)
}

// serveRedis answers every command but HELLO with PONG, by TLS.
func serveRedis(t *testing.T, certificate tls.Certificate) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					answer := ""
					switch strings.ToLower(lines.Text()) {
					case "hello":
						answer = "-ERR unknown command\r\n"
					case "auth", "ping", "client", "select":
						answer = "+PONG\r\n"
					}
					if _, err := conn.Write([]byte(answer)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestAnAbsentRedisIsMeasured: a cache whose Redis does not answer says so.
func TestAnAbsentRedisIsMeasured(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Start(t.Context(), "catalog", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.New(cache.Config{Name: "shop", Redis: cache.RedisConfig{Addr: filepath.Join(t.TempDir(), "none.sock"), Timeout: time.Second}}, tel)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answering := func() float64 {
		t.Helper()
		v, found := telemetrytest.Metric(t, tel.Registry, "souk_cache_redis_answering", "shop")
		if !found {
			t.Fatal("no metric")
		}
		return v
	}
	if answering() != 1 {
		t.Error("nothing was asked of it yet")
	}
	for range 3 {
		if _, err := cache.Get(t.Context(), c, query(func(context.Context) (string, error) { return "v", nil })); err != nil {
			t.Fatal(err)
		}
	}
	if answering() != 0 {
		t.Error("it answers")
	}
}

// TestRedisIsMeasuredWithoutLookups: what is measured is of now, and not of the last lookup.
func TestRedisIsMeasuredWithoutLookups(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan() && up.Load(); {
					answer := ""
					switch strings.ToLower(lines.Text()) {
					case "hello":
						answer = "-ERR unknown command\r\n"
					case "ping", "client", "select":
						answer = "+PONG\r\n"
					}
					if _, err := conn.Write([]byte(answer)); err != nil {
						return
					}
				}
			}()
		}
	}()
	tel, err := telemetry.Start(t.Context(), "catalog", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.New(cache.Config{Name: "shop", Redis: cache.RedisConfig{Addr: l.Addr().String(), Timeout: time.Second}}, tel)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	becomes := func(want float64) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if is, found := telemetrytest.Metric(t, tel.Registry, "souk_cache_redis_answering", "shop"); found && is == want {
				return
			}
			select {
			case <-tick.C:
			case <-t.Context().Done():
				t.Fatalf("it does not become %v", want)
			}
		}
	}
	becomes(0)
	up.Store(true)
	becomes(1)
}
