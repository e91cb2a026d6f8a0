package stripesim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what the simulator needs, from variables named SOUK_STRIPESIM_...
type Config struct {
	// Listen is the address to serve HTTP on.
	Listen string `env:"LISTEN, default=:12111"`
	// Listener is served instead of Listen if it is set.
	Listener net.Listener
	// Journal is the path of the journal; its folder is made.
	Journal string `env:"JOURNAL, required"`
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Webhooks says who is told of events.
	Webhooks WebhookConfig `env:", prefix=WEBHOOK_"`

	Admin     admin.Config `env:", prefix=ADMIN_"`
	Telemetry telemetry.Config
}

// drainTimeout bounds the wait for requests under way at the end.
const drainTimeout = 10 * time.Second

// Run serves until ctx is done, answers what is under way and closes the
// journal. A journal that is damaged or in use is an error.
func Run(ctx context.Context, cfg Config) (err error) {
	tel, err := telemetry.Start(ctx, "stripesim", cfg.Telemetry)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, tel.Shutdown(end))
	}()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.Webhooks.check(); err != nil {
		return err
	}
	began := time.Now()
	listener := cfg.Listener
	if listener == nil {
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	b, err := openBank(cfg.Journal, cfg.Now, len(cfg.Webhooks.URLs))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, b.journal.close()) }()
	tel.Log.InfoContext(ctx, "serving", "address", listener.Addr().String(), "journal", cfg.Journal,
		"events", b.seq, "webhooks_pending", len(b.pending), "read_in", time.Since(began))
	g := run.NewGroup(tel.Log)
	g.Add("admin", func(ctx context.Context) error { return admin.Serve(ctx, cfg.Admin, tel) })
	if len(cfg.Webhooks.URLs) > 0 {
		g.Add("webhooks", newCourier(b, cfg.Webhooks, tel.Log).run)
	}
	g.Add("http", func(ctx context.Context) error { return serve(ctx, listener, b) })
	return g.Run(ctx)
}

func serve(ctx context.Context, listener net.Listener, b *bank) error {
	server := &http.Server{Handler: b.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	server.RegisterOnShutdown(b.stop)
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
