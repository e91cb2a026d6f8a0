package render

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"go.opentelemetry.io/otel/metric"
)

// What became of a picture, for the metric: the renderer drew it, or the gateway itself did,
// and why.
const (
	here      = "here"      // no renderer is configured
	there     = "renderer"  // the renderer drew it
	away      = "away"      // it did not answer in time, or with an error of its own
	paused    = "paused"    // it was away lately, and is not asked
	refused   = "refused"   // it answered with a client's error: another edition, another key
	malformed = "malformed" // it answered with what is no picture
)

// The pauses of Remote while the renderer fails.
const (
	firstPause = time.Second
	longest    = time.Minute
)

// maxBody bounds what is read of an answer, in bytes; the largest drawing has less than half.
const maxBody = 64 << 10

// idleConns are kept open between requests: a page has up to 24 pictures.
const idleConns = 32

// RemoteConfig is how a renderer is reached.
type RemoteConfig struct {
	// URL is the renderer's without Path; empty draws in this process.
	URL string
	// Key is the private key that requests are signed with, as NewKey writes it; empty
	// does not sign.
	Key string
	// Timeout bounds one request.
	Timeout time.Duration
}

// Remote draws pictures by a renderer elsewhere, and in this process when there is none or it
// cannot. Both give the same bytes: a renderer of another edition of the drawings refuses.
type Remote struct {
	base    string
	key     ed25519.PrivateKey
	timeout time.Duration
	http    *http.Client
	log     *slog.Logger
	drawn   metric.Int64Counter
	outages telemetry.Outages
	breaker *retry.Breaker
}

// NewRemote makes a Remote. It does not call the renderer. An error names the field.
func NewRemote(cfg RemoteConfig, tel *telemetry.Telemetry) (*Remote, error) {
	r := &Remote{timeout: cfg.Timeout, log: tel.Log}
	var err error
	r.drawn, err = tel.Meter().Int64Counter("souk.picture.drawn", metric.WithUnit("{picture}"),
		metric.WithDescription("Pictures that were drawn, because no copy was kept"))
	if err != nil {
		return nil, err
	}
	if cfg.Key != "" {
		if r.key, err = parseKey(cfg.Key); err != nil {
			return nil, fmt.Errorf("RENDERER_KEY: %w", err)
		}
	}
	if cfg.URL == "" {
		return r, nil
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("RENDERER_URL: %q: want a URL such as https://renderer.example", cfg.URL)
	}
	if cfg.Timeout <= 0 {
		return nil, fmt.Errorf("RENDERER_TIMEOUT: %s: want more than 0", cfg.Timeout)
	}
	r.base = strings.TrimRight(cfg.URL, "/")
	r.breaker = retry.NewBreaker(retry.BreakerConfig{Pause: firstPause, MaxPause: longest, Trial: cfg.Timeout})
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idleConns
	r.http = &http.Client{
		Transport: transport,
		// Another place is not the renderer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r, nil
}

// Draw returns the picture of a seed and words. It never fails.
func (r *Remote) Draw(ctx context.Context, seed, words string) []byte {
	body, outcome := r.ask(ctx, seed, words)
	r.drawn.Add(ctx, 1, metric.WithAttributes(semconv.PictureOutcome.String(outcome)))
	if body == nil {
		body = picture.SVG(seed, words)
	}
	return body
}

// ask asks the renderer, and says what came of it; nil for no picture.
func (r *Remote) ask(ctx context.Context, seed, words string) ([]byte, string) {
	if r.base == "" {
		return nil, here
	}
	if !r.breaker.Allow() {
		return nil, paused
	}
	body, outcome, err := r.fetch(ctx, seed, words)
	switch {
	case ctx.Err() != nil: // a caller that gave up says nothing of the renderer
	case outcome == away || outcome == malformed:
		r.breaker.Done(false)
		if tell, left := r.outages.Tell("renderer", time.Now()); tell {
			r.log.WarnContext(ctx, "the picture renderer does not draw", "error", err, "left_out", left)
		}
	case outcome == refused:
		r.breaker.Done(true)
		if tell, left := r.outages.Tell("refused", time.Now()); tell {
			r.log.WarnContext(ctx, "the picture renderer refuses to draw", "error", err, "left_out", left)
		}
	default:
		r.breaker.Done(true)
	}
	return body, outcome
}

func (r *Remote) fetch(ctx context.Context, seed, words string) (body []byte, outcome string, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+Path+"?"+query(seed, words, picture.Version(seed, words), r.key), nil)
	if err != nil {
		return nil, malformed, err
	}
	res, err := r.http.Do(req)
	if err != nil {
		return nil, away, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, away, err
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500:
		return nil, away, errors.New(res.Status)
	case res.StatusCode >= 400:
		return nil, refused, fmt.Errorf("%s: %.200s", res.Status, body)
	case res.StatusCode != http.StatusOK, !strings.HasPrefix(res.Header.Get("Content-Type"), "image/svg+xml"), len(body) == 0:
		return nil, malformed, fmt.Errorf("%s, %q, %d bytes", res.Status, res.Header.Get("Content-Type"), len(body))
	case len(body) > maxBody:
		return nil, malformed, fmt.Errorf("more than %d bytes", maxBody)
	}
	return body, there, nil
}
