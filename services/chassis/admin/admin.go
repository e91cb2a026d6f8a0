// Package admin serves what an operator looks at from inside the network:
// metrics, whether the process lives and is ready, the level of its log, which can be
// changed, and, if asked for, profiles. Never expose it: who reaches it is not asked for
// a credential. It speaks plain HTTP: what asks for health, a kubelet or a load balancer,
// has no certificate of the shop.
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

// Serve answers /metrics, /livez, /readyz, /loglevel and perhaps /debug/pprof/ until ctx is done.
// ready fails while the process cannot do its work, with the reason. Turned off, Serve
// only waits for ctx.
func Serve(ctx context.Context, cfg Config, tel *telemetry.Telemetry, ready func(context.Context) error) error {
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
		Handler:           handler(cfg, tel, ready),
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

func handler(cfg Config, tel *telemetry.Telemetry, ready func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	// OpenMetrics where it is asked for, as Prometheus does: only there have histograms exemplars,
	// the trace ids of calls that they counted.
	mux.Handle("GET /metrics", promhttp.HandlerFor(tel.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /loglevel", readLevel(tel))
	mux.HandleFunc("PUT /loglevel", setLevel(tel))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, ready(r.Context())) })
	if cfg.Profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok"
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = err.Error()
	}
	_, _ = fmt.Fprintln(w, text) // the asker may be gone
}
