package outbound

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

// only allows one network, on all ports.
func only(network string) webhook.Guard {
	return webhook.Guard{HTTP: true, Ports: []uint16{0}, Networks: []netip.Prefix{netip.MustParsePrefix(network)}}
}

func sender(t *testing.T, change func(*Config)) *Sender {
	t.Helper()
	cfg := Config{Tracer: telemetry.Discard().Tracer(), Guard: only("127.0.0.0/8"), Timeout: 10 * time.Second, Connections: 2, Now: func() time.Time { return time.Unix(1e9, 0) }}
	if change != nil {
		change(&cfg)
	}
	s := New(cfg)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func receiver(t *testing.T, answer http.HandlerFunc) (url string, calls *atomic.Int64) {
	t.Helper()
	calls = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

func TestSend(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "thanks\x00")
	})
	res := sender(t, nil).Send(t.Context(), app.Request{
		URL: url, ID: "evt_1", Signature: "v1,abc", At: time.Unix(1e9, 0), Body: []byte(`{"a":1}`), TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	})
	if want := (app.Result{Answer: webhook.Answer{Status: 202, RetryAfter: 7 * time.Second}, Body: "thanks\uFFFD"}); res != want {
		t.Errorf("%+v", res)
	}
	if string(body) != `{"a":1}` || got.Method != "POST" {
		t.Errorf("%s %s", got.Method, body)
	}
	if trace := got.Header.Get("Traceparent"); !strings.HasPrefix(trace, "00-0af7651916cd43dd8448eb211c80319c-") {
		t.Error("the trace: " + trace)
	}
	for name, want := range map[string]string{
		"Webhook-Id": "evt_1", "Webhook-Timestamp": "1000000000", "Webhook-Signature": "v1,abc", "Content-Type": "application/json", "Accept-Encoding": "", "User-Agent": "Souk-Webhooks/1",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q", name, got.Header.Get(name))
		}
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	other, reached := receiver(t, func(http.ResponseWriter, *http.Request) {})
	redirect, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusTemporaryRedirect) })
	hangs, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	breaks, broken := receiver(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	slow, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + closed.Addr().String()
	_ = closed.Close()
	text, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = text.Close() })
	go func() {
		for {
			conn, err := text.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
			_ = conn.Close()
		}
	}()
	for name, tc := range map[string]struct{ url, want string }{
		"a redirect is not followed": {redirect, "answered 307"},
		"no answer":                  {hangs, "no answer within 200ms"},
		"closed":                     {breaks, "the connection was closed before an answer"},
		"refused":                    {refused, "the connection was refused"},
		"unknown authority":          {secure.URL, "the certificate is not valid: x509: certificate signed by unknown authority"},
		"another protocol":           {"http://" + text.Addr().String(), "no answer that is HTTP"},
		"loopback by IPv6":           {"http://[::1]:1", "webhooks are not sent to this address"},
		"metadata":                   {"http://169.254.169.254/latest/meta-data", "webhooks are not sent to this address"},
		"mapped":                     {"http://[::ffff:10.0.0.1]:1", "webhooks are not sent to this address"},
		"unspecified":                {"http://0.0.0.0:1", "webhooks are not sent to this address"},
	} {
		res := sender(t, func(c *Config) {
			c.Timeout = 10 * time.Second
			if name == "no answer" {
				c.Timeout = 200 * time.Millisecond
			}
		}).Send(t.Context(), app.Request{URL: tc.url, At: time.Unix(1e9, 0)})
		if res.Error != tc.want || res.OK() {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if reached.Load() != 0 {
		t.Error("a redirect was followed")
	}
	if broken.Load() != 1 {
		t.Errorf("sent %d times in one attempt", broken.Load())
	}
	// The status counts, whether or not the body ends.
	res := sender(t, func(c *Config) { c.Timeout = 200 * time.Millisecond }).Send(t.Context(), app.Request{URL: slow, At: time.Unix(1e9, 0)})
	if res.Status != 200 || res.Error != "" {
		t.Errorf("a body without an end: %+v", res)
	}
}

func TestNoProxyOfTheEnvironment(t *testing.T) {
	proxy, asked := receiver(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("HTTPS_PROXY", proxy)
	res := sender(t, nil).Send(t.Context(), app.Request{URL: "http://10.1.2.3/", At: time.Unix(1e9, 0)})
	if asked.Load() != 0 || res.Error != webhook.ErrAddressNotAllowed.Error() {
		t.Errorf("%d, %+v", asked.Load(), res)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	res := sender(t, func(c *Config) { c.Roots = roots }).Send(t.Context(), app.Request{URL: server.URL, At: time.Unix(1e9, 0)})
	if res.Status != 200 {
		t.Errorf("%+v", res)
	}
}

// A name that leads to an address that is allowed the first time and into the network the
// second: each connection is made to an address that was looked at.
func TestRebinding(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	lis, err := net.Listen("tcp", "0.0.0.0:0") //nolint:gosec // 127.0.0.1 and 127.0.0.2 are both to be reached
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		w.Header().Set("Connection", "close")
	})}
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(lis.Addr().String())

	for name, tc := range map[string]struct {
		guard webhook.Guard
		want  int64
	}{
		"both allowed": {only("127.0.0.0/8"), 2}, // the control: it does lead there
		"one allowed":  {only("127.0.0.1/32"), 1},
	} {
		reached.Store(0)
		names := nameserver(t, [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 2})
		s := sender(t, func(c *Config) {
			c.Guard = tc.guard
			c.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "udp", names)
			}}
		})
		first := s.Send(t.Context(), app.Request{URL: "http://rebinding.example:" + port, At: time.Unix(1e9, 0)})
		second := s.Send(t.Context(), app.Request{URL: "http://rebinding.example:" + port, At: time.Unix(1e9, 0)})
		if !first.OK() {
			t.Errorf("%s: first %+v", name, first)
		}
		if reached.Load() != tc.want || tc.want == 1 && second.Error != webhook.ErrAddressNotAllowed.Error() {
			t.Errorf("%s: reached %d times, second %+v", name, reached.Load(), second)
		}
	}
}

// nameserver answers each question for IPv4 with the next address, and for others with none.
func nameserver(t *testing.T, addresses ...[4]byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA && len(addresses) > 0 {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: addresses[0]},
				}}
				if len(addresses) > 1 {
					addresses = addresses[1:]
				}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	s := sender(t, nil)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "12": 12 * time.Second, "-3": 0, "soon": 0, "1e3": 0,
		"Sun, 09 Sep 2001 01:47:40 GMT": time.Minute, "Sun, 09 Sep 2001 01:45:40 GMT": 0,
	} {
		if got := s.retryAfter(value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	var written atomic.Int64
	done := make(chan struct{})
	url, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(done)
		chunk := strings.Repeat("é", 1<<15)
		for range 1 << 12 { // 256 MiB
			n, err := io.WriteString(w, "x"+chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	res := sender(t, nil).Send(t.Context(), app.Request{URL: url, At: time.Unix(1e9, 0)})
	<-done
	if len(res.Body) > keep || len(res.Body) < keep-utf8.UTFMax || !utf8.ValidString(res.Body) || strings.Contains(res.Body, "\uFFFD") {
		t.Errorf("%d bytes", len(res.Body))
	}
	if written.Load() > 64<<20 {
		t.Errorf("%d bytes were taken", written.Load())
	}
	headers, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	if res := sender(t, nil).Send(t.Context(), app.Request{URL: headers, At: time.Unix(1e9, 0)}); res.OK() {
		t.Errorf("%+v", res)
	}
}

// TestEndpointsOfOneHost: calls that one endpoint leaves without an answer, more than the
// connections that are kept, delay no other endpoint of the same host.
func TestEndpointsOfOneHost(t *testing.T) {
	t.Parallel()
	const dead = 4
	reached, release := make(chan struct{}, dead), make(chan struct{})
	url, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/dead" {
			reached <- struct{}{}
			<-release
		}
	})
	s := sender(t, nil)
	var calls sync.WaitGroup
	for range dead {
		calls.Go(func() { s.Send(t.Context(), app.Request{URL: url + "/dead"}) })
	}
	for range dead {
		select {
		case <-reached:
		case <-time.After(5 * time.Second):
			close(release)
			t.Fatal("a call of the dead endpoint waits for the others")
		}
	}
	if res := s.Send(t.Context(), app.Request{URL: url + "/good"}); res.Status != http.StatusOK {
		t.Errorf("the other endpoint: %+v", res)
	}
	close(release)
	calls.Wait()
}

func TestStopping(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if res := sender(t, nil).Send(ctx, app.Request{URL: url, At: time.Unix(1e9, 0)}); !strings.HasPrefix(res.Error, "interrupted") || errors.Is(ctx.Err(), nil) {
		t.Errorf("%+v", res)
	}
}
