package run

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func processConfig(a admin.Config) Config {
	return Config{Name: "shop", Telemetry: telemetry.Config{LogOutput: io.Discard}, Admin: a}
}

func unready(context.Context) error { return errors.New("not ready") }

// TestServe: the server stops first, then what build added, the last one first, and
// what it closes at the end. The admin listener answers while the server drains.
func TestServe(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var j journal
	ctx, cancel := context.WithCancel(t.Context())
	serving := make(chan struct{})
	part := func(name string) func(context.Context) error {
		return func(ctx context.Context) error { <-ctx.Done(); j.add(name + " stopped"); return ctx.Err() }
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, processConfig(admin.Config{Listener: lis}), func(p *Process) (Server, error) {
			if p.Telemetry.Service != "shop" || p.Log != p.Telemetry.Log {
				t.Errorf("built with %+v", p)
			}
			for _, name := range []string{"pool", "connection"} {
				p.Close(func() error { j.add(name + " closed"); return nil })
			}
			p.Add("jobs", part("jobs"))
			p.Add("webhooks", part("webhooks"))
			return Server{Ready: unready, Serve: func(ctx context.Context) error {
				close(serving)
				<-ctx.Done()
				res, err := http.Get("http://" + lis.Addr().String() + "/readyz")
				if err != nil {
					return err
				}
				if res.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("readyz: %s", res.Status)
				}
				j.add("server stopped")
				return res.Body.Close()
			}}, nil
		})
	}()
	<-serving
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	want := []string{"server stopped", "webhooks stopped", "jobs stopped", "connection closed", "pool closed"}
	if got := j.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestServeFails: what was opened is closed when build or a part fails, and no error
// is lost.
func TestServeFails(t *testing.T) {
	t.Parallel()
	broken, unclosed := errors.New("broken"), errors.New("not closed")
	for _, test := range []struct {
		name   string
		build  error
		server func(context.Context) error
	}{
		{"build", broken, nil},
		{"server", nil, func(context.Context) error { return broken }},
	} {
		closed := 0
		err := Serve(t.Context(), processConfig(admin.Config{}), func(p *Process) (Server, error) {
			p.Close(func() error { closed++; return unclosed })
			return Server{test.server, unready}, test.build
		})
		if !errors.Is(err, broken) || !errors.Is(err, unclosed) || closed != 1 {
			t.Errorf("%s: %v, closed %d times", test.name, err, closed)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = Serve(t.Context(), processConfig(admin.Config{Listen: taken.Addr().String()}), func(*Process) (Server, error) {
		return Server{func(ctx context.Context) error { <-ctx.Done(); return nil }, unready}, nil
	})
	if err == nil || !strings.Contains(err.Error(), "admin") {
		t.Errorf("the admin listener's address is taken: %v", err)
	}
}
