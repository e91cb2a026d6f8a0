// Package renderer is the picture renderer as a program of its own: a process that serves
// HTTP, also under Knative, or an AWS Lambda function. What it answers is gateway/internal/render's.
package renderer

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/clientaddr"
	"github.com/souk-shop/souk/gateway/internal/render"
	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what the operator of the renderer configures; its variables start with
// SOUK_RENDERER_. A zero gets the default.
type Config struct {
	// Listen is the address, host:port or :port. Serve takes :$PORT instead, if
	// that is set, as Knative does.
	Listen string `env:"LISTEN, default=:8080"`
	// Listener is listened on instead, if set; the renderer closes it.
	Listener net.Listener
	// PublicKey is that of the gateway's RENDERER_KEY. Without it the renderer draws for
	// everyone who reaches it.
	PublicKey string `env:"PUBLIC_KEY"`
	// DrainDelay is how long requests are still accepted after SIGTERM, DrainTimeout bounds the
	// wait for requests under way.
	DrainDelay   time.Duration `env:"DRAIN_DELAY, default=0s"`
	DrainTimeout time.Duration `env:"DRAIN_TIMEOUT, default=5s"`

	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
}

// renderer makes the function.
func (c *Config) renderer() (render.Renderer, error) {
	if c.PublicKey == "" {
		return render.Renderer{}, nil
	}
	key, err := render.ParsePublicKey(c.PublicKey)
	if err != nil {
		return render.Renderer{}, fmt.Errorf("SOUK_RENDERER_PUBLIC_KEY: %w", err)
	}
	return render.Renderer{Key: key}, nil
}

// platform is what those who start the program say without its prefix.
type platform struct {
	// Port is where Knative asks.
	Port string `env:"PORT"`
	// RuntimeAPI is there where AWS Lambda starts the program.
	RuntimeAPI string `env:"AWS_LAMBDA_RUNTIME_API"`
}

// Serve is Run or Lambda, whichever the platform wants.
func Serve(ctx context.Context, cfg Config) error {
	var p platform
	if err := config.Load(ctx, "", &p); err != nil {
		return err
	}
	if p.RuntimeAPI != "" {
		return Lambda(ctx, cfg)
	}
	if p.Port != "" {
		cfg.Listen = ":" + p.Port
	}
	return Run(ctx, cfg)
}

// Run serves by HTTP until ctx is done, then drains.
func Run(ctx context.Context, cfg Config) error {
	if err := config.Complete(&cfg); err != nil {
		return err
	}
	draw, err := cfg.renderer()
	if err != nil {
		return err
	}
	return run.Serve(ctx, run.Config{Name: "renderer", Telemetry: cfg.Telemetry, Admin: cfg.Admin}, func(p *run.Process) (run.Server, error) {
		addresses, err := clientaddr.New(clientaddr.Config{Log: p.Log})
		if err != nil {
			return run.Server{}, err
		}
		failed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		observer, err := edge.NewObserver(p.Telemetry, failed, addresses, false)
		if err != nil {
			return run.Server{}, err
		}
		health := edge.NewHealth(nil)
		mux := http.NewServeMux()
		mux.Handle("/", draw)
		mux.HandleFunc("/healthz", health.Live)
		mux.HandleFunc("/readyz", health.Ready)
		server := edge.ServerConfig{
			Handler: observer.Observe(mux), Listen: cfg.Listen, Listener: cfg.Listener, MaxConnectionAge: -1,
			Limits:     edge.ConnectionLimits{Trusts: addresses.Trusts}, // none: who reaches it is the platform's
			DrainDelay: cfg.DrainDelay, DrainTimeout: cfg.DrainTimeout, Stopping: health.Stop, Draining: func() {}, Log: p.Log,
		}
		return run.Server{
			Serve: func(ctx context.Context) error { return edge.Serve(ctx, server) },
			Ready: health.Check,
		}, nil
	})
}

// Key prints a new pair of keys.
func Key(context.Context) error {
	private, public, err := render.NewKey()
	if err != nil {
		return err
	}
	_, err = fmt.Printf("SOUK_GATEWAY_RENDERER_KEY=%s\nSOUK_RENDERER_PUBLIC_KEY=%s\n", private, public)
	return err
}
