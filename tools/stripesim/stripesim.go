// Package stripesim is a payment provider for development, tests and audits: it
// speaks Stripe's HTTP API as far as payments by card need it, and keeps a
// journal of its own on disk. The documentation of command stripesim says how
// it is configured and how faults are set.
package stripesim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/stripesim/internal/api"
	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/webhook"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Config is the simulator's configuration, from variables named SOUK_STRIPESIM_...
type Config struct {
	// Listen is the address to serve HTTP on.
	Listen string `env:"LISTEN, default=:12111"`
	// Listener is served instead of Listen if it is set.
	Listener net.Listener
	// Journal is the path of the journal; its folder is created.
	Journal string `env:"JOURNAL, required"`
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// WebhookURLs are the endpoints that events are sent to, in a fixed order:
	// the journal knows them by their number. None turns webhooks off.
	WebhookURLs []string `env:"WEBHOOK_URLS"`
	// WebhookSecret signs webhooks, such as "whsec_..."; required with WebhookURLs.
	WebhookSecret config.Secret `env:"WEBHOOK_SECRET"`

	Admin     admin.Config `env:", prefix=ADMIN_"`
	Telemetry telemetry.Config
}

// drainTimeout bounds the wait for requests under way at the end.
const drainTimeout = 10 * time.Second

// Run serves until ctx is done, answers what is under way and closes the
// journal. A journal that is damaged or in use is an error.
func Run(ctx context.Context, cfg Config) error {
	if err := config.Complete(&cfg); err != nil {
		return err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	process := run.Config{Name: "stripesim", Telemetry: cfg.Telemetry, Admin: cfg.Admin}
	return run.Serve(ctx, process, func(p *run.Process) (_ run.Server, err error) {
		faults := fault.NewSet(store.EventTypes())
		webhooks := webhook.Config{URLs: cfg.WebhookURLs, Secret: cfg.WebhookSecret, Faults: faults, Now: cfg.Now, Log: p.Log}
		if err := webhooks.Check(); err != nil {
			return run.Server{}, err
		}
		began := time.Now()
		listener := cfg.Listener
		if listener == nil {
			if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen); err != nil {
				return run.Server{}, fmt.Errorf("listen: %w", err)
			}
		}
		webhooks.Store, err = store.Open(cfg.Journal, cfg.Now, len(cfg.WebhookURLs))
		if err != nil {
			return run.Server{}, errors.Join(err, listener.Close())
		}
		p.Close(webhooks.Store.Close)
		dispatcher := webhook.New(webhooks)
		p.Log.InfoContext(ctx, "serving", "address", listener.Addr().String(), "journal", cfg.Journal,
			"webhooks_pending", dispatcher.Report().Pending, "read_in", time.Since(began))
		p.Add("webhooks", dispatcher.Run)
		return run.Server{
			Serve: func(ctx context.Context) error {
				return serve(ctx, listener, api.New(webhooks.Store, faults, dispatcher), p.Telemetry)
			},
			Ready: func(context.Context) error { return nil }, // it needs nothing but its journal
		}, nil
	})
}

// traced has a span of each call of the provider's API in the trace of the caller, which is ours.
// Calls that look at the simulator itself have none.
func traced(next http.Handler, tel *telemetry.Telemetry) http.Handler {
	named := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { // a fault may have the call end with a panic
			if r.Pattern != "" {
				span := trace.SpanFromContext(r.Context())
				span.SetName(r.Pattern)
				_, route, _ := strings.Cut(r.Pattern, " ")
				span.SetAttributes(attribute.String("http.route", route))
			}
		}()
		next.ServeHTTP(w, r)
	})
	return otelhttp.NewHandler(named, "",
		otelhttp.WithServerName("stripesim"), // else the header Host, of which a client makes any number of series
		otelhttp.WithTracerProvider(tel.Tracers),
		otelhttp.WithMeterProvider(tel.Meters),
		otelhttp.WithPropagators(tel.Propagator),
		otelhttp.WithFilter(func(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/_sim/") }),
	)
}

func serve(ctx context.Context, listener net.Listener, a *api.API, tel *telemetry.Telemetry) error {
	server := &http.Server{Handler: traced(a.Handler(), tel), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	server.RegisterOnShutdown(a.Stop)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(end)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}
