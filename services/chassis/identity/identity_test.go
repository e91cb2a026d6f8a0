package identity_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

func telemetryTo(t *testing.T, part string, log *telemetrytest.Log) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), part, telemetry.Config{LogOutput: log, LogFormat: "json", LogLevel: slog.LevelDebug})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

func open(t *testing.T, part string, cfg identity.Config, log *telemetrytest.Log) *identity.Identity {
	t.Helper()
	id, err := identity.Open(part, cfg, telemetryTo(t, part, log))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// shake is the server's side of a handshake with a client, over TCP.
func shake(t *testing.T, server credentials.TransportCredentials, client func(net.Conn) error) (credentials.AuthInfo, error) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	done := make(chan error, 1)
	go func() {
		raw, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			done <- err
			return
		}
		defer raw.Close()
		done <- client(raw)
	}()
	raw, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	conn, info, err := server.ServerHandshake(raw)
	if err != nil {
		raw.Close()
		<-done
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	return info, <-done
}

// shakeAnd is shake with a connection that stays open until the client is done.
func shakeAnd(t *testing.T, id *identity.Identity, client func(net.Conn) error) {
	t.Helper()
	in, out := net.Pipe()
	done := make(chan error, 1)
	go func() { defer in.Close(); done <- client(in) }()
	conn, _, err := id.ServerCredentials().ServerHandshake(out)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// counted is a metric's value for one of its attributes' values.
func counted(t *testing.T, from prometheus.Gatherer, name, attribute string) float64 {
	t.Helper()
	value, found := telemetrytest.Metric(t, from, name, attribute)
	if !found {
		t.Fatalf("no metric %s of %s", name, attribute)
	}
	return value
}

// as dials as an identity and reads a byte, by which it knows that it was accepted.
func as(creds credentials.TransportCredentials) func(net.Conn) error {
	return func(raw net.Conn) error {
		_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
		conn, _, err := creds.ClientHandshake(context.Background(), "", raw)
		if err != nil {
			return err
		}
		_, err = conn.Read(make([]byte, 1))
		return err
	}
}

// raw dials with a TLS configuration, as a stranger does.
func raw(cfg *tls.Config) func(net.Conn) error {
	return func(c net.Conn) error {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		conn := tls.Client(c, cfg)
		_, err := conn.Read(make([]byte, 1))
		return err
	}
}

func pair(t *testing.T, text []byte) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// own makes a certificate that no authority of the shop would make.
func own(t *testing.T, template x509.Certificate) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
}

func TestTheCallerIsTheCertificatesPart(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	server := identitytest.Open(t, ca, "order")
	for _, part := range []string{"gateway", "ops"} {
		info, err := shake(t, server.ServerCredentials(), as(identitytest.Open(t, ca, part).ClientCredentials("order")))
		if err != nil {
			t.Fatal(err)
		}
		if got := identity.Caller(peer.NewContext(t.Context(), &peer.Peer{AuthInfo: info})); got != part {
			t.Errorf("%s is %q", part, got)
		}
	}
	if got := identity.Caller(t.Context()); got != "" {
		t.Errorf("no peer is %q", got)
	}
}

// TestRefusedHandshakesAreInTheSecurityLog: who is not a part of the shop gets nothing,
// and the server's log says why and from where.
func TestRefusedHandshakesAreInTheSecurityLog(t *testing.T) {
	t.Parallel()
	ca, other := identitytest.Authority(t), identitytest.Authority(t)
	revoked := identitytest.Issue(t, ca, "cart")
	expired, err := ca.Issue("cart", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	later, err := ca.Issue("cart", time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	nameless := own(t, x509.Certificate{DNSNames: []string{"gateway.example"}})
	several := own(t, x509.Certificate{DNSNames: []string{"gateway.souk", "order.souk"}})
	wild := own(t, x509.Certificate{DNSNames: []string{"*.souk"}})
	usage := own(t, x509.Certificate{DNSNames: []string{"gateway.souk"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	show := func(text []byte) func(net.Conn) error {
		return raw(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair(t, text)}, NextProtos: []string{"h2"}}) //nolint:gosec // a stranger
	}
	for name, test := range map[string]struct {
		client  func(net.Conn) error
		subject string
	}{
		"no certificate":     {raw(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}), "no certificate"}, //nolint:gosec // a stranger
		"unknown authority":  {show(identitytest.Issue(t, other, "gateway")), "certificate of an unknown authority"},
		"self-signed":        {show(own(t, x509.Certificate{DNSNames: []string{"gateway.souk"}})), "certificate of an unknown authority"},
		"expired":            {show(expired), "certificate expired"},
		"not valid yet":      {show(later), "certificate expired"},
		"revoked":            {show(revoked), "certificate revoked"},
		"no part":            {show(nameless), "certificate of no part"},
		"two parts":          {show(several), "certificate of no part"},
		"all parts":          {show(wild), "certificate of no part"},
		"not for clients":    {show(usage), "certificate invalid"},
		"TLS 1.2":            {raw(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}), "handshake failed"}, //nolint:gosec // a stranger
		"plain text":         {func(c net.Conn) error { _, err := c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); return err }, "no TLS"},
		"the server refused": {raw(&tls.Config{ServerName: "order.souk", NextProtos: []string{"h2"}}), "own certificate refused"}, // a stranger
		"another part":       {as(identitytest.Open(t, ca, "gateway").ClientCredentials("cart")), "own certificate refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := identitytest.Files(t, identitytest.Issue(t, ca, "order"), ca)
			// The strangers' own certificates are authorities here: what is wrong with them is
			// their names and their usage.
			identitytest.Write(t, cfg.TLSCA, bytes.Join([][]byte{ca.Certificate(), nameless, several, wild, usage}, nil))
			list, err := ca.Revoke(revoked)
			if err != nil {
				t.Fatal(err)
			}
			cfg.TLSCRL = filepath.Join(t.TempDir(), "revoked.pem")
			identitytest.Write(t, cfg.TLSCRL, list)
			log := &telemetrytest.Log{}
			if _, err := shake(t, open(t, "order", cfg, log).ServerCredentials(), test.client); err == nil {
				t.Fatal("it was let in")
			}
			for _, want := range []string{`"log":"security"`, `"event":"authn_login_fail"`, `"subject":"` + test.subject + `"`, `"peer":"127.0.0.1:`, `"reason":"`} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("no %s in %s", want, log)
				}
			}
		})
	}
}

// TestAPeerThatGoesAwayIsNoAttack: balancers and port scans do that all day.
func TestAPeerThatGoesAwayIsNoAttack(t *testing.T) {
	t.Parallel()
	ca, log := identitytest.Authority(t), &telemetrytest.Log{}
	id := open(t, "order", identitytest.Files(t, identitytest.Issue(t, ca, "order"), ca), log)
	if _, err := shake(t, id.ServerCredentials(), func(net.Conn) error { return nil }); err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(log.String(), "security") {
		t.Error(log)
	}
}

func TestSessionsAreNotResumed(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	server := identitytest.Open(t, ca, "order")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Certificate())
	client := &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "order.souk", NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{pair(t, identitytest.Issue(t, ca, "gateway"))}, ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	for range 2 {
		_, err := shake(t, server.ServerCredentials(), func(c net.Conn) error {
			conn := tls.Client(c, client)
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				return err
			}
			if conn.ConnectionState().DidResume {
				t.Error("a session was resumed")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenNamesTheVariable(t *testing.T) {
	t.Parallel()
	ca, other := identitytest.Authority(t), identitytest.Authority(t)
	good := identitytest.Files(t, identitytest.Issue(t, ca, "order"), ca)
	of := func(certificate []byte, authorities ...*authority.Authority) identity.Config {
		return identitytest.Files(t, certificate, authorities...)
	}
	expired, err := ca.Issue("order", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := other.Revoke()
	if err != nil {
		t.Fatal(err)
	}
	nonsense := filepath.Join(t.TempDir(), "nonsense.pem")
	identitytest.Write(t, nonsense, []byte("nonsense"))
	passedOver := good
	passedOver.TLSCRL = filepath.Join(t.TempDir(), "other.pem")
	identitytest.Write(t, passedOver.TLSCRL, forged)
	for name, test := range map[string]struct {
		cfg  identity.Config
		want string // in the error; "" for none
	}{
		"nothing":              {identity.Config{}, "environment variable SOUK_ORDER_TLS_CERT is required"},
		"off":                  {identity.Config{TLSOff: true}, ""},
		"off and on":           {identity.Config{TLSOff: true, TLSCA: good.TLSCA}, "SOUK_ORDER_TLS_OFF and SOUK_ORDER_TLS_CA contradict"},
		"off and a list":       {identity.Config{TLSOff: true, TLSCRL: nonsense}, "SOUK_ORDER_TLS_OFF and SOUK_ORDER_TLS_CRL contradict"},
		"no key":               {identity.Config{TLSCert: good.TLSCert, TLSCA: good.TLSCA}, "SOUK_ORDER_TLS_KEY is required"},
		"no authorities":       {identity.Config{TLSCert: good.TLSCert, TLSKey: good.TLSKey}, "SOUK_ORDER_TLS_CA is required"},
		"good":                 {good, ""},
		"no such certificate":  {identity.Config{TLSCert: "none", TLSKey: good.TLSKey, TLSCA: good.TLSCA}, `SOUK_ORDER_TLS_CERT is "none"`},
		"no such key":          {identity.Config{TLSCert: good.TLSCert, TLSKey: "none", TLSCA: good.TLSCA}, `SOUK_ORDER_TLS_KEY is "none"`},
		"another's key":        {identity.Config{TLSCert: good.TLSCert, TLSKey: of(identitytest.Issue(t, ca, "order"), ca).TLSKey, TLSCA: good.TLSCA}, "SOUK_ORDER_TLS_CERT"},
		"nonsense authorities": {identity.Config{TLSCert: good.TLSCert, TLSKey: good.TLSKey, TLSCA: nonsense}, "SOUK_ORDER_TLS_CA"},
		"nonsense list":        {identity.Config{TLSCert: good.TLSCert, TLSKey: good.TLSKey, TLSCA: good.TLSCA, TLSCRL: nonsense}, "SOUK_ORDER_TLS_CRL"},
		"another's list":       {passedOver, ""},
		"another part's":       {of(identitytest.Issue(t, ca, "cart"), ca), "the certificate is of cart.souk, and this is order.souk"},
		"another authority's":  {of(identitytest.Issue(t, other, "order"), ca), "SOUK_ORDER_TLS_CERT"},
		"expired":              {of(expired, ca), "SOUK_ORDER_TLS_CERT"},
	} {
		_, err := identity.Open("order", test.cfg, telemetry.Discard())
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
