package edge_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/services/chassis/filewatch"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

// TestTheCertificateIsRenewedUnderLoad: clients that connect for each request, and such
// that keep their connection, are all answered while certificate and key are replaced,
// one after the other; new handshakes show the new one, and half a pair is not shown.
func TestTheCertificateIsRenewedUnderLoad(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Certificate())
	certFile, keyFile := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	first := identitytest.Issue(t, ca, "gateway")
	identitytest.Write(t, certFile, first)
	identitytest.Write(t, keyFile, first)
	tel, log := telemetry.Discard(), &telemetrytest.Log{}
	tel.Log = slog.New(slog.NewTextHandler(log, nil))
	shown, err := edge.OpenCertificate(certFile, keyFile, tel)
	if err != nil {
		t.Fatal(err)
	}
	e := serveAs(t, shown, hello)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = shown.Run(ctx) })

	var answered [2]atomic.Int64
	for kept := range answered {
		for range 4 {
			running.Go(func() {
				client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
					TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "gateway.souk"}, DisableKeepAlives: kept == 0, ForceAttemptHTTP2: kept == 1,
				}}
				defer client.CloseIdleConnections()
				for ctx.Err() == nil {
					res, err := client.Get("https://" + e.addr)
					if err != nil {
						t.Errorf("a request failed: %v", err)
						return
					}
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
					if err != nil || res.StatusCode != http.StatusOK {
						t.Errorf("%s, %v", res.Status, err)
						return
					}
					answered[kept].Add(1)
				}
			})
		}
	}
	serial := func() string {
		conn, err := tls.Dial("tcp", e.addr, &tls.Config{RootCAs: roots, ServerName: "gateway.souk"})
		if err != nil {
			t.Error(err)
			return ""
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Text(16)
	}
	for range 2 {
		before, next := serial(), identitytest.Issue(t, ca, "gateway")
		identitytest.Write(t, certFile, next)
		if err := retry.Sleep(ctx, 3*filewatch.Interval/2); err != nil { // at least one look finds half of it
			t.Fatal(err)
		}
		if got := serial(); got != before {
			t.Errorf("half a pair is shown: %s, not %s", got, before)
		}
		identitytest.Write(t, keyFile, next)
		want := pair(t, next).Leaf.SerialNumber.Text(16)
		for deadline := time.Now().Add(10 * time.Second); serial() != want; _ = retry.Sleep(ctx, 10*time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the new certificate is not shown: %s", log)
			}
		}
	}
	stop()
	running.Wait()
	for kept := range answered {
		if answered[kept].Load() == 0 {
			t.Error("there was no load")
		}
	}
	if got := strings.Count(log.String(), "certificate for HTTPS loaded"); got != 3 {
		t.Errorf("loaded %d times: %s", got, log)
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

func TestOpenCertificate(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	good, other, nonsense := filepath.Join(t.TempDir(), "good"), filepath.Join(t.TempDir(), "other"), filepath.Join(t.TempDir(), "nonsense")
	identitytest.Write(t, good, identitytest.Issue(t, ca, "gateway"))
	identitytest.Write(t, other, identitytest.Issue(t, ca, "gateway"))
	identitytest.Write(t, nonsense, []byte("nonsense"))
	for _, test := range []struct{ cert, key, want string }{
		{"", "", ""},
		{good, good, ""},
		{good, "", "SOUK_GATEWAY_HTTPS_KEY is required"},
		{"", good, "SOUK_GATEWAY_HTTPS_CERT is required"},
		{good, other, "SOUK_GATEWAY_HTTPS_CERT"},
		{nonsense, good, "SOUK_GATEWAY_HTTPS_CERT"},
		{good, "none", `SOUK_GATEWAY_HTTPS_KEY is "none"`},
	} {
		_, err := edge.OpenCertificate(test.cert, test.key, telemetry.Discard())
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q, %q: %v", test.cert, test.key, err)
		}
	}
}
