package chaos

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// TestGapsAreFound: a write that comes back too late breaks the invariant, and so do reads that stop.
func TestGapsAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		gaps   Gaps
		broken int
	}{
		{Gaps{}, 0}, // of a fault that does not measure
		{Gaps{Writes: 24 * time.Second, Reads: time.Second, Within: lostWithin}, 0},
		{Gaps{Writes: 26 * time.Second, Reads: time.Second, Within: lostWithin}, 1},
		{Gaps{Writes: 4 * time.Second, Reads: 4 * time.Second, Within: plannedWithin}, 2},
	} {
		v := violations{}
		(&trial{gaps: c.gaps}).checkGaps(v)
		if got := len(v[BackInTime]); got != c.broken {
			t.Errorf("%+v: %v", c.gaps, v)
		}
	}
}

// TestAPulseMeasuresTheLongestGap, also that which nothing has ended, and not with an answer to what
// was asked before.
func TestAPulseMeasuresTheLongestGap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wait := func(d time.Duration) {
			if err := retry.Sleep(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		p := &pulse{shop: shopclient.New("http://127.0.0.1:1"), stop: func() {}, last: map[string]time.Time{}, gaps: map[string]time.Duration{}, writes: make(chan struct{})}
		before := time.Now()
		p.answered(aRead, before) // nothing has begun
		wait(time.Second)
		p.begin()
		wait(time.Second)
		p.answered(aWrite, before)
		wait(2 * time.Second)
		p.answered(aWrite, time.Now())
		p.answered(aRead, time.Now())
		wait(time.Second)
		p.answered(aWrite, time.Now())
		wait(4 * time.Second)
		if got, want := p.end(), (Gaps{Writes: 4 * time.Second, Reads: 5 * time.Second}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
