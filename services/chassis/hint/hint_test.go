package hint_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/chassis/hint"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// TestHint: an answer is kept for a minute, the lack of one for a moment, and a
// caller that gave up leaves nothing behind.
func TestHint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, away := 0, false
		h := hint.Of[string, int]{TTL: time.Minute, Timeout: time.Second, Pause: 5 * time.Second, Ask: func(ctx context.Context, key string) (int, error) {
			asked++
			if away {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			if key == "none" {
				return 0, errors.New("no answer")
			}
			return len(key), nil
		}}
		want := func(key string, value int, known bool, asks int) {
			t.Helper()
			if v, ok := h.Get(t.Context(), key); v != value || ok != known || asked != asks {
				t.Errorf("%s: %d %v after %d questions, want %d %v after %d", key, v, ok, asked, value, known, asks)
			}
		}
		pause := func(d time.Duration) {
			t.Helper()
			if err := retry.Sleep(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		want("GBP", 3, true, 1)
		want("GBP", 3, true, 1)
		want("none", 0, false, 2)
		want("none", 0, false, 2)
		pause(5 * time.Second)
		want("none", 0, false, 3)
		want("GBP", 3, true, 3)
		pause(time.Minute)
		away = true
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, ok := h.Get(gone, "GBP"); ok || asked != 4 {
			t.Errorf("known %v after %d questions", ok, asked)
		}
		began := time.Now()
		want("GBP", 0, false, 5)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %s", waited)
		}
		want("GBP", 0, false, 5)
		away = false
		pause(5 * time.Second)
		want("GBP", 3, true, 6)
	})
}
