// Package admin serves what an operator looks at from inside the network:
// metrics, a liveness answer and, if asked for, profiles. Never expose it.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is where the listener is and what it shows.
type Config struct {
	// Listen is the address, such as "127.0.0.1:9464"; empty turns it off.
	Listen string `env:"LISTEN"`
	// Listener is listened on instead, if set.
	Listener net.Listener
	// Profiles adds /debug/pprof/.
	Profiles bool `env:"PROFILES"`
}

// Serve answers /metrics, /healthz and perhaps /debug/pprof/ until ctx is done.
// Turned off it only waits for ctx.
func Serve(ctx context.Context, cfg Config, tel *telemetry.Telemetry) error {
	lis := cfg.Listener
	switch {
	case lis != nil:
	case cfg.Listen == "":
		<-ctx.Done()
		return nil
	default:
		var err error
		if lis, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
			return fmt.Errorf("admin: %w", err)
		}
	}
	srv := &http.Server{
		Handler:           handler(cfg, tel),
		ReadHeaderTimeout: 5 * time.Second,
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	select {
	case err := <-done:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := srv.Shutdown(stopCtx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close() // a profile under way is not worth waiting for
	}
	if serveErr := <-done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

func handler(cfg Config, tel *telemetry.Telemetry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(tel.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	if cfg.Profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}
