package stripe

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// maxPause bounds what a Retry-After is believed.
	maxPause = time.Minute
	// spread is the share of a pause by which calls come back apart.
	spread = 0.25
)

// pausing is a transport that does what Retry-After asks: until then no call
// goes out. A call that has the time waits, another fails at once: it was not
// made, and its caller repeats it.
type pausing struct {
	next http.RoundTripper

	mu     sync.Mutex
	until  time.Time
	length time.Duration
}

// RoundTrip implements http.RoundTripper.
func (p *pausing) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := p.wait(r.Context()); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a transport's duty; it is in memory
		}
		return nil, err
	}
	resp, err := p.next.RoundTrip(r)
	if err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		p.pause(resp.Header.Get("Retry-After"))
	}
	return resp, err
}

// pause starts a pause of that many seconds; anything else is ignored.
func (p *pausing) pause(seconds string) {
	n, err := strconv.ParseInt(seconds, 10, 32)
	if err != nil || n <= 0 {
		return
	}
	length := min(time.Duration(n)*time.Second, maxPause)
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := time.Now().Add(length); until.After(p.until) {
		p.until, p.length = until, length
	}
}

// wait returns when the pause is over, also one that begins meanwhile, or an
// error if ctx ends before that.
func (p *pausing) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		left, length := time.Until(p.until), p.length
		p.mu.Unlock()
		if left <= 0 {
			return nil
		}
		if err := sleep(ctx, left, length); err != nil {
			return err
		}
	}
}

// sleep takes what is left of a pause of a length, and a bit.
func sleep(ctx context.Context, left, length time.Duration) error {
	left += time.Duration(rand.Float64() * spread * float64(length)) //nolint:gosec // no secret: it spreads load
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < left {
		return fmt.Errorf("the provider asked for a pause that lasts %s yet", left.Round(time.Millisecond))
	}
	return retry.Sleep(ctx, left)
}
