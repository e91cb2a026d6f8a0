package gateway

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/souk-shop/souk/gateway/renderer"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// TestPicturesByARenderer: a gateway that is told to use a renderer shows the same bytes as one
// that draws itself, and when the renderer is away it draws itself.
func TestPicturesByARenderer(t *testing.T) {
	t.Parallel()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := &countingListener{Listener: lis}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- renderer.Run(ctx, renderer.Config{Listener: accepted, Telemetry: telemetry.Config{LogOutput: io.Discard}})
	}()
	t.Cleanup(stop)

	s := start(t)
	told := s.gateway(func(c *Config) { c.RendererURL = "http://" + lis.Addr().String() })
	picture := func(base, path string) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
		}
		return body
	}
	const product, category = "/pictures/SKU03.svg", "/pictures/categories/lighting.svg"
	if !bytes.Equal(picture(told, product), picture(s.url, product)) {
		t.Error("the renderer's picture is another one")
	}
	if accepted.n.Load() == 0 {
		t.Error("the renderer was not asked")
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the renderer: %v", err)
	}
	if !bytes.Equal(picture(told, category), picture(s.url, category)) {
		t.Error("without the renderer the picture is another one")
	}
}

type countingListener struct {
	net.Listener
	n atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}
