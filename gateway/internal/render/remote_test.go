package render

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

// remote is a Remote over a round trip of the test.
func remote(t *testing.T, cfg RemoteConfig, answer func(*http.Request) (*http.Response, error)) (*Remote, func(outcome string) float64) {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), "gateway", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Stop(context.Background()) })
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Second
	}
	r, err := NewRemote(cfg, tel)
	if err != nil {
		t.Fatal(err)
	}
	if answer != nil {
		r.http.Transport = roundTrip(answer)
	}
	return r, func(outcome string) float64 {
		t.Helper()
		n, _ := telemetrytest.Metric(t, tel.Registry, "souk_picture_drawn_total", outcome)
		return n
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answered is what a handler answers, without a network.
func answered(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// TestRemoteDraws: the renderer's bytes are the gateway's own, signed or not.
func TestRemoteDraws(t *testing.T) {
	t.Parallel()
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	r, counted := remote(t, RemoteConfig{URL: "http://renderer/", Key: private}, func(req *http.Request) (*http.Response, error) {
		return answered(Renderer{Key: key}, req), nil
	})
	for _, words := range hostile {
		if !bytes.Equal(r.Draw(t.Context(), "85123A", words), picture.SVG("85123A", words)) {
			t.Errorf("%.30q: other bytes", words)
		}
	}
	if n := counted(there); n != float64(len(hostile)) {
		t.Errorf("the renderer drew %v of %d", n, len(hostile))
	}
}

// TestRemoteFails: whatever the renderer answers, the gateway shows its own picture, and
// counts why.
func TestRemoteFails(t *testing.T) {
	t.Parallel()
	svg := func(body string) *http.Response {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}
	}
	text := func(status int) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(strings.NewReader("<html>"))}
	}
	_, other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ParsePublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		answer  func(*http.Request) (*http.Response, error)
		outcome string
	}{
		"refused":      {func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, away},
		"500":          {func(*http.Request) (*http.Response, error) { return text(500), nil }, away},
		"throttled":    {func(*http.Request) (*http.Response, error) { return text(429), nil }, away},
		"a page":       {func(*http.Request) (*http.Response, error) { return text(200), nil }, malformed},
		"a redirect":   {func(*http.Request) (*http.Response, error) { return text(302), nil }, malformed},
		"nothing":      {func(*http.Request) (*http.Response, error) { return svg(""), nil }, malformed},
		"too much":     {func(*http.Request) (*http.Response, error) { return svg(strings.Repeat("x", maxBody+1)), nil }, malformed},
		"another key":  {func(r *http.Request) (*http.Response, error) { return answered(Renderer{Key: stranger}, r), nil }, refused},
		"no such path": {func(r *http.Request) (*http.Response, error) { r.URL.Path = "/"; return answered(Renderer{}, r), nil }, refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, counted := remote(t, RemoteConfig{URL: "http://renderer"}, c.answer)
			if !bytes.Equal(r.Draw(t.Context(), "1", "Mug"), picture.SVG("1", "Mug")) {
				t.Error("other bytes")
			}
			if counted(c.outcome) != 1 {
				t.Errorf("not counted as %s", c.outcome)
			}
		})
	}
	r, counted := remote(t, RemoteConfig{}, nil)
	if !bytes.Equal(r.Draw(t.Context(), "1", "Mug"), picture.SVG("1", "Mug")) || counted(here) != 1 {
		t.Error("without a renderer")
	}
}

// TestRemotePauses: a renderer that hangs costs three waits, and then one try after each
// pause, until it answers again.
func TestRemotePauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		hangs := true
		r, err := NewRemote(RemoteConfig{URL: "http://renderer", Timeout: time.Second}, telemetry.Discard())
		if err != nil {
			t.Fatal(err)
		}
		r.http.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
			asked.Add(1)
			if hangs {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return answered(Renderer{}, req), nil
		})
		draw := func(want int64, took time.Duration) {
			t.Helper()
			began := time.Now()
			if !bytes.Equal(r.Draw(t.Context(), "1", "Mug"), picture.SVG("1", "Mug")) {
				t.Error("other bytes")
			}
			if n := asked.Load(); n != want || time.Since(began) != took {
				t.Errorf("asked %d times, waited %s; want %d and %s", n, time.Since(began), want, took)
			}
		}
		pause := func(d time.Duration) {
			t.Helper()
			if err := retry.Sleep(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		for range 5 { // who gives up says nothing of the renderer
			r.Draw(gone, "1", "Mug")
		}
		asked.Store(0)
		for i := range int64(retry.BreakAfter) {
			draw(i+1, time.Second)
		}
		draw(3, 0)
		pause(firstPause)
		draw(4, time.Second)
		pause(firstPause) // the second pause is longer
		draw(4, 0)
		pause(firstPause)
		hangs = false
		draw(5, 0)
		draw(6, 0)
	})
}

// TestRemoteConfig: what is wrong is named.
func TestRemoteConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  RemoteConfig
		want string
	}{
		{RemoteConfig{URL: "renderer:8080", Timeout: 1}, "RENDERER_URL"}, {RemoteConfig{URL: "http://a/?b", Timeout: 1}, "RENDERER_URL"},
		{RemoteConfig{URL: "http://u:p@a/", Timeout: 1}, "RENDERER_URL"}, {RemoteConfig{URL: "http://a", Timeout: -1}, "RENDERER_TIMEOUT"},
		{RemoteConfig{Key: "secret"}, "RENDERER_KEY"},
	} {
		if _, err := NewRemote(c.cfg, telemetry.Discard()); err == nil || !strings.HasPrefix(err.Error(), c.want+": ") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}
