package edge_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge"
)

func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	// reused makes two requests, one after the other, and reports whether the
	// second went over the connection of the first.
	reused := func(t *testing.T, c *edge.Connections) (reused bool) {
		t.Helper()
		server := httptest.NewUnstartedServer(c.Limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello")
		})))
		server.Config.ConnContext = c.Context
		server.Start()
		defer server.Close()
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
		for range 2 {
			req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello" {
				t.Errorf("%q, %v", body, err)
			}
			res.Body.Close()
		}
		return reused
	}
	draining := edge.NewConnections(time.Hour)
	draining.Drain()
	for name, tc := range map[string]struct {
		connections *edge.Connections
		reused      bool
	}{
		"for ever": {edge.NewConnections(0), true},
		"young":    {edge.NewConnections(time.Hour), true},
		"old":      {edge.NewConnections(time.Nanosecond), false},
		"draining": {draining, false},
	} {
		if got := reused(t, tc.connections); got != tc.reused {
			t.Errorf("%s: reused is %v", name, got)
		}
	}
}
