package edge_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/budget"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// tlsEdge is a server that speaks HTTP/2, and the limits that it recorded.
type tlsEdge struct {
	addr string
	mu   sync.Mutex
	met  []budget.Limit
}

func (e *tlsEdge) recorded() []budget.Limit {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]budget.Limit(nil), e.met...)
}

func serveTLS(t *testing.T, handler http.HandlerFunc) *tlsEdge {
	t.Helper()
	now := time.Now()
	ca, err := authority.New(now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := ca.Issue("gateway", now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tls.pem")
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	shown, err := edge.OpenCertificate(file, file, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return serveAs(t, shown, handler)
}

func serveAs(t *testing.T, shown *edge.Certificate, handler http.HandlerFunc) *tlsEdge {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &tlsEdge{addr: lis.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- edge.Serve(ctx, edge.ServerConfig{
			Handler: handler, Listener: lis, Certificate: shown, Log: slog.New(slog.DiscardHandler),
			Stopping: func() {}, Draining: func() {}, DrainTimeout: time.Millisecond,
			Limits: edge.ConnectionLimits{
				Trusts: func(netip.Addr) bool { return false }, Bytes: budget.NewPool[netip.Addr](64<<20, 0),
				Record: func(_ context.Context, limit budget.Limit, _ slog.Attr) {
					e.mu.Lock()
					defer e.mu.Unlock()
					e.met = append(e.met, limit)
				},
			},
		})
	}()
	t.Cleanup(func() { stop(); <-done })
	return e
}

// peer speaks HTTP/2 frame by frame.
type peer struct {
	*http2.Framer
	conn   net.Conn
	header bytes.Buffer
	hpack  *hpack.Encoder
	stream uint32
}

func (e *tlsEdge) dial(t *testing.T) *peer {
	t.Helper()
	conn, err := tls.Dial("tcp", e.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // the test's own certificate
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	p := &peer{Framer: http2.NewFramer(conn, conn), conn: conn, stream: 1}
	p.hpack = hpack.NewEncoder(&p.header)
	if err := p.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) block(method string, more ...string) []byte {
	p.header.Reset()
	for _, f := range [][2]string{{":method", method}, {":scheme", "https"}, {":authority", "souk"}, {":path", "/"}} {
		_ = p.hpack.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	for i := 0; i < len(more); i += 2 {
		_ = p.hpack.WriteField(hpack.HeaderField{Name: more[i], Value: more[i+1], Sensitive: true})
	}
	return bytes.Clone(p.header.Bytes())
}

// ask begins a request and returns its stream.
func (p *peer) ask(method string, end bool) (uint32, error) {
	id := p.stream
	p.stream += 2
	return id, p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(method), EndHeaders: true, EndStream: end})
}

// read reads until the connection ends, and returns the last GOAWAY's code.
func (p *peer) read() (code http2.ErrCode, err error) {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return code, err
		}
		if away, ok := f.(*http2.GoAwayFrame); ok {
			code = away.ErrCode
		}
	}
}

// The limits of HTTP/2 are said to each client.
func TestHTTP2LimitsAreSaid(t *testing.T) {
	t.Parallel()
	p := serveTLS(t, hello).dial(t)
	f, err := p.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := f.(*http2.SettingsFrame)
	if !ok {
		t.Fatal(f)
	}
	for id, want := range map[http2.SettingID]uint32{
		http2.SettingMaxConcurrentStreams: 64, http2.SettingMaxFrameSize: 16 << 10,
		http2.SettingInitialWindowSize: 256 << 10, http2.SettingMaxHeaderListSize: 16<<10 + 320,
	} {
		if have, ok := settings.Value(id); !ok || have != want {
			t.Errorf("%v: %d, want %d", id, have, want)
		}
	}
}

// Frames that ask for nothing end the connection, also beside a request that is under way; a
// client that sends as many bytes of bodies stays.
func TestHTTP2ControlFrames(t *testing.T) {
	t.Parallel()
	const frames = 500_000
	wait := make(chan struct{})
	t.Cleanup(func() { close(wait) })
	for name, send := range map[string]func(p *peer) error{
		"ping":          func(p *peer) error { return p.WritePing(false, [8]byte{}) },
		"settings":      func(p *peer) error { return p.WriteSettings() },
		"window update": func(p *peer) error { return p.WriteWindowUpdate(0, 1) },
		"priority":      func(p *peer) error { return p.WritePriority(1001, http2.PriorityParam{}) },
		"unknown":       func(p *peer) error { return p.WriteRawFrame(0xbe, 0, 0, make([]byte, 1<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := serveTLS(t, func(http.ResponseWriter, *http.Request) { <-wait })
			p := e.dial(t)
			if _, err := p.ask("GET", true); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _, _ = p.read() }()
			sent := 0
			for ; sent < frames; sent++ {
				if send(p) != nil {
					break
				}
			}
			<-ended
			answered := name == "ping" || name == "settings" // and ended for answers that are not read, if these are more first
			if met := e.recorded(); sent == frames || len(met) == 0 && !answered || len(met) > 0 && met[0] != budget.HTTP2Frames {
				t.Errorf("after %d frames: %v", sent, met)
			}
		})
	}
	t.Run("bodies", func(t *testing.T) {
		t.Parallel()
		e := serveTLS(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // as above
		for range 4 {
			res, err := client.Post("https://"+e.addr, "text/plain", strings.NewReader(strings.Repeat("x", 4<<20)))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
		if met := e.recorded(); len(met) != 0 {
			t.Error(met)
		}
	})
}

// Streams that are reset at once (CVE-2023-44487) have no more handlers at work than a
// connection may have, and end it.
func TestHTTP2RapidReset(t *testing.T) {
	t.Parallel()
	var atWork, most atomic.Int64
	wait := make(chan struct{})
	t.Cleanup(func() { close(wait) })
	e := serveTLS(t, func(http.ResponseWriter, *http.Request) {
		n := atWork.Add(1)
		for {
			if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		<-wait
	})
	p := e.dial(t)
	go func() {
		for range 100_000 {
			id, err := p.ask("GET", true)
			if err != nil || p.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
				return
			}
		}
	}()
	code, err := p.read()
	if code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("ended with %v, %v", code, err)
	}
	if n := most.Load(); n == 0 || n > 64 {
		t.Errorf("%d handlers at once", n)
	}
}

// Streams that are reset end the connection also if their handlers end with them, as the
// shop's do, and none is ever too many.
func TestHTTP2ResetsAreCounted(t *testing.T) {
	t.Parallel()
	e := serveTLS(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	p := e.dial(t)
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = p.read() }()
	const requests = 200_000
	sent := 0
	for ; sent < requests; sent++ {
		id, err := p.ask("GET", true)
		if err != nil || p.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	<-ended
	if met := e.recorded(); sent == requests || len(met) > 0 && met[0] != budget.HTTP2Frames {
		t.Errorf("after %d requests: %v", sent, met)
	}
}

// A browser that leaves a page resets what it waits for, and goes on with its connection.
func TestHTTP2LeavingPages(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 30)
	e := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			return
		}
		asked <- struct{}{}
		<-r.Context().Done()
	})
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // as above
	get := func(ctx context.Context, path string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+e.addr+path, http.NoBody)
		if err != nil {
			return nil, err
		}
		req.Header.Set("User-Agent", strings.Repeat("Mozilla ", 50))
		return client.Do(req)
	}
	for range 40 {
		res, err := get(t.Context(), "/page")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		ctx, leave := context.WithCancel(t.Context())
		var images sync.WaitGroup
		for range 30 {
			images.Go(func() {
				if res, err := get(ctx, "/image"); err == nil {
					res.Body.Close()
				}
			})
		}
		for range 30 {
			<-asked
		}
		leave()
		images.Wait()
	}
	if met := e.recorded(); len(met) != 0 {
		t.Error(met)
	}
}

// A header without an end (CVE-2023-45288) ends the connection.
func TestHTTP2Continuation(t *testing.T) {
	t.Parallel()
	asked := atomic.Bool{}
	e := serveTLS(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	p := e.dial(t)
	if err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block("GET")}); err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range 100_000 {
			p.header.Reset()
			_ = p.hpack.WriteField(hpack.HeaderField{Name: "x", Value: string(binary.BigEndian.AppendUint64(nil, uint64(i))) + strings.Repeat("y", 4<<10), Sensitive: true})
			if p.WriteContinuation(1, false, p.header.Bytes()) != nil {
				return
			}
		}
	}()
	if _, err := p.read(); errors.Is(err, os.ErrDeadlineExceeded) || asked.Load() {
		t.Errorf("it goes on: %v, asked %v", err, asked.Load())
	}
}

// Without TLS there is no HTTP/2: a preface is answered as a last request of HTTP/1.
func TestNoHTTP2InTheClear(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- edge.Serve(ctx, edge.ServerConfig{
			Handler: http.HandlerFunc(hello), Listener: lis, Log: slog.New(slog.DiscardHandler), Stopping: func() {}, Draining: func() {},
			Limits: edge.ConnectionLimits{Trusts: func(netip.Addr) bool { return false }, Bytes: budget.NewPool[netip.Addr](0, 0)},
		})
	}()
	t.Cleanup(func() { stop(); <-done })
	conn, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 ") || !strings.Contains(string(answer), "Connection: close\r\n") {
		t.Errorf("%q, %v", answer, err)
	}
}
