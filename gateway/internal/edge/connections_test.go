package edge_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge"
)

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	// reused makes two requests, one after the other, and reports whether the
	// second went over the connection of the first.
	reused := func(t *testing.T, c *edge.Connections) (reused bool) {
		t.Helper()
		server := httptest.NewUnstartedServer(http.HandlerFunc(hello))
		c.Attach(server.Config)
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

// TestShutdownAnswersConnectedClients: a request that was on its way when the server
// was stopped is answered, a connection from which none comes delays nothing.
func TestShutdownAnswersConnectedClients(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]bool{"one that asks": true, "one that never asks": false, "one that leaves": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c := edge.NewConnections(0)
			srv := &http.Server{Handler: http.HandlerFunc(hello), ReadHeaderTimeout: time.Minute}
			c.Attach(srv)
			accepted, attached := make(chan struct{}), srv.ConnContext
			srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
				defer close(accepted)
				return attached(ctx, conn)
			}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(lis) }()
			conn, err := net.Dial("tcp", lis.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			<-accepted
			lis.Close()
			if err := <-served; !errors.Is(err, net.ErrClosed) {
				t.Errorf("served: %v", err)
			}
			c.Drain()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			down := make(chan error, 1)
			stopping := make(chan struct{})
			go func() { close(stopping); down <- c.Shutdown(ctx, srv) }()
			<-stopping
			switch {
			case ask:
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: souk\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "Connection: close\r\n") || !strings.HasSuffix(string(answer), "hello") {
					t.Errorf("answer %q, %v", answer, err)
				}
			case name == "one that leaves":
				conn.Close()
			}
			if err := <-down; err != nil {
				t.Error(err)
			}
		})
	}
}
