// Package stripe is the adapter to Stripe, through stripe-go, or to whatever
// speaks its wire. It tells a definitive no from an unknown outcome, and leaves
// repeating to the domain, which repeats under its own keys. An answer that may
// hide what came of a call, such as an error that a key keeps for a day, is not
// taken for one: the adapter looks at what the provider holds.
package stripe

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	stripego "github.com/stripe/stripe-go/v85"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is how the provider is reached.
type Config struct {
	// URL is the base of the API, without /v1.
	URL string
	// Key is the secret key.
	Key config.Secret
	// Timeout bounds one call; 10 s when 0.
	Timeout time.Duration
}

const (
	defaultTimeout = 10 * time.Second
	dialTimeout    = 3 * time.Second
	// idleConns are kept open between calls: as many as run at once at a peak.
	idleConns   = 128
	idleTimeout = 90 * time.Second
)

// Client implements app.Provider, app.Records and app.Statement.
type Client struct {
	api  *stripego.Client
	http *http.Client
	log  *slog.Logger
}

// New returns a client. It does not call the provider.
func New(cfg Config, tel *telemetry.Telemetry) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("STRIPE_URL %q is not a URL of http or https", cfg.URL)
	}
	if cfg.Key == "" {
		return nil, errors.New("STRIPE_KEY is required")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	c := &Client{http: newHTTPClient(cfg, tel), log: tel.Log}
	backend := stripego.GetBackendWithConfig(stripego.APIBackend, &stripego.BackendConfig{
		URL:               stripego.String(cfg.URL),
		HTTPClient:        c.http,
		MaxNetworkRetries: stripego.Int64(0),
		EnableTelemetry:   stripego.Bool(false),
		// The library's lines carry whole bodies; what matters is logged here.
		LeveledLogger: &stripego.LeveledLogger{Level: stripego.LevelNull},
	})
	c.api = stripego.NewClient(cfg.Key.Reveal(), stripego.WithBackends(&stripego.Backends{API: backend}))
	return c, nil
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func newHTTPClient(cfg Config, tel *telemetry.Telemetry) *http.Client {
	dialer := &net.Dialer{Timeout: min(dialTimeout, cfg.Timeout)}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        idleConns,
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     idleTimeout,
		TLSHandshakeTimeout: min(dialTimeout, cfg.Timeout),
	}
	return &http.Client{
		Timeout: cfg.Timeout,
		Transport: otelhttp.NewTransport(&pausing{next: transport},
			otelhttp.WithTracerProvider(tel.Tracers),
			otelhttp.WithMeterProvider(tel.Meters),
			otelhttp.WithPropagators(tel.Propagator),
		),
		// A redirected POST would lose its body; the API never redirects.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// failed says why an outcome is unknown.
func (c *Client) failed(call string, err error) error {
	problem, ok := errors.AsType[*stripego.Error](err)
	if !ok {
		return fmt.Errorf("%s: %w", call, err)
	}
	// Not the error itself: it has the whole payment in it.
	return fmt.Errorf("%s: status %d, type %q, code %q, request %q: %s",
		call, problem.HTTPStatusCode, problem.Type, problem.Code, problem.RequestID, problem.Msg)
}
