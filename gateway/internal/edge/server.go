package edge

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// The limits of the server. A request may wait for an order for 30 s and a bit;
// streams and imports set deadlines of their own.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 90 * time.Second
	idleTimeout       = 2 * time.Minute
	// maxHeaderBytes is that of a request line with all header fields; a browser's is a
	// few KiB, with 4 KiB of cookies.
	maxHeaderBytes = 16 << 10
)

// ServerConfig is where and how the gateway listens.
type ServerConfig struct {
	Handler http.Handler
	// Listen is the address, host:port. Listener is used instead, if set.
	Listen   string
	Listener net.Listener
	// Certificate is what browsers are shown; nil serves without TLS.
	Certificate *Certificate
	// Limits are those of its connections.
	Limits ConnectionLimits
	// MaxConnectionAge is that of NewConnections.
	MaxConnectionAge time.Duration

	// Stopping is called when ctx ends, Draining after DrainDelay more. Requests are
	// still accepted between the two.
	Stopping, Draining func()
	DrainDelay         time.Duration
	// DrainTimeout bounds the wait for requests under way.
	DrainTimeout time.Duration

	Log *slog.Logger
}

// Serve listens until ctx is done, then drains: it lets the requests under way
// finish.
func Serve(ctx context.Context, cfg ServerConfig) error {
	lis := cfg.Listener
	if lis == nil {
		var err error
		if lis, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
			return err
		}
	}
	lis = cfg.Limits.guard(lis, cfg.Certificate == nil)
	connections := NewConnections(cfg.MaxConnectionAge)
	srv := &http.Server{
		Handler: cfg.Handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		HTTP2:    http2Config(),
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	connections.Attach(srv)
	done := make(chan error, 1)
	go func() {
		if cfg.Certificate != nil {
			srv.TLSConfig = cfg.Certificate.config()
			done <- srv.ServeTLS(lis, "", "")
		} else {
			done <- srv.Serve(lis)
		}
	}()
	cfg.Log.InfoContext(ctx, "serving", "address", lis.Addr().String())
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ctx = context.WithoutCancel(ctx)
	connections.Drain()
	cfg.Stopping()
	_ = retry.Sleep(ctx, cfg.DrainDelay) // ctx does not end
	cfg.Draining()
	ctx, cancel := context.WithTimeout(ctx, cfg.DrainTimeout)
	defer cancel()
	err := lis.Close()
	if served := <-done; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	cut := connections.Shutdown(ctx, srv)
	if errors.Is(cut, context.DeadlineExceeded) {
		cfg.Log.WarnContext(ctx, "requests cut off", "after", cfg.DrainTimeout)
		cut = srv.Close()
	}
	return errors.Join(err, cut)
}
