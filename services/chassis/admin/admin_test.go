package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestServe(t *testing.T) {
	t.Parallel()
	for _, profiles := range []bool{false, true} {
		tel, err := telemetry.Start(t.Context(), "order", telemetry.Config{LogOutput: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		var ready atomic.Bool
		go func() {
			served <- Serve(ctx, Config{Listener: lis, Profiles: profiles}, tel, func(context.Context) error {
				if !ready.Load() {
					return errors.New("postgres: away")
				}
				return nil
			})
		}()
		get := func(path string) (int, string) {
			t.Helper()
			resp, err := http.Get("http://" + lis.Addr().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(body)
		}
		if code, body := get("/readyz"); code != http.StatusServiceUnavailable || body != "postgres: away\n" {
			t.Errorf("readyz: %d %q", code, body)
		}
		ready.Store(true)
		for _, path := range []string{"/livez", "/readyz"} {
			if code, body := get(path); code != http.StatusOK || body != "ok\n" {
				t.Errorf("%s: %d %q", path, code, body)
			}
		}
		if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, `service_name="order"`) {
			t.Errorf("metrics: %d %q", code, body)
		}
		want := http.StatusNotFound
		if profiles {
			want = http.StatusOK
		}
		if code, _ := get("/debug/pprof/goroutine?debug=1"); code != want {
			t.Errorf("profiles %v: %d", profiles, code)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestServeTurnedOffWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, Config{}, telemetry.Discard(), nil) }()
	select {
	case err := <-served:
		t.Errorf("returned %v", err)
	default:
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServeOnATakenAddressFails(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if err := Serve(t.Context(), Config{Listen: lis.Addr().String()}, telemetry.Discard(), nil); err == nil {
		t.Error("no error")
	}
}
