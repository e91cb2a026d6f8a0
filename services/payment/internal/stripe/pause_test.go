package stripe

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status   int
		header   string
		least    time.Duration // until the next call goes out
		deadline time.Duration // of the next call
		made     bool
	}{
		"429":                      {429, "2", 2 * time.Second, time.Minute, true},
		"503":                      {503, "2", 2 * time.Second, time.Minute, true},
		"429 of a short call":      {429, "20", 0, 10 * time.Second, false},
		"429 for a day":            {429, "86400", time.Minute, time.Hour, true},
		"429 without Retry-After":  {429, "", 0, time.Minute, true},
		"429 until a date":         {429, "Wed, 21 Oct 2026 07:28:00 GMT", 0, time.Minute, true},
		"429 for a negative while": {429, "-3", 0, time.Minute, true},
		"200":                      {200, "2", 0, time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				p := &pausing{next: roundTrip(func(*http.Request) (*http.Response, error) {
					calls++
					return &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {c.header}}, Body: http.NoBody}, nil
				})}
				call := func(d time.Duration) error {
					ctx, cancel := context.WithTimeout(t.Context(), d)
					defer cancel()
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://provider", nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := p.RoundTrip(req)
					if err == nil {
						resp.Body.Close()
					}
					return err
				}
				if err := call(time.Minute); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				err := call(c.deadline)
				waited := time.Since(start)
				if (err == nil) != c.made || calls != map[bool]int{true: 2, false: 1}[c.made] {
					t.Errorf("%d calls, %v", calls, err)
				}
				if waited < c.least || waited > c.least+c.least/4 {
					t.Errorf("waited %s, want %s", waited, c.least)
				}
			})
		})
	}
}
