package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := retry.Sleep(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if err := retry.Sleep(t.Context(), -1); err != nil {
			t.Errorf("no time: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if err := retry.Sleep(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if err := retry.Sleep(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no time and no context: %v", err)
		}
	})
}

func TestDelay(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, test := range []struct {
		backoff retry.Backoff
		longest []time.Duration // of the delays after the first failures
	}{
		{retry.Backoff{Initial: 100 * ms, Max: 500 * ms}, []time.Duration{100 * ms, 200 * ms, 400 * ms, 500 * ms, 500 * ms}},
		{retry.Backoff{Initial: 100 * ms, Max: 1000 * ms, Factor: 3}, []time.Duration{100 * ms, 300 * ms, 900 * ms, 1000 * ms}},
		{retry.Backoff{Initial: 100 * ms}, []time.Duration{100 * ms, 100 * ms}},
		{retry.Backoff{Initial: 100 * ms, Max: 500 * ms, Factor: 1}, []time.Duration{100 * ms, 100 * ms}},
		{retry.Backoff{}, []time.Duration{0, 0}},
	} {
		for i, longest := range test.longest {
			least, most := time.Duration(1<<62), time.Duration(0)
			for range 200 {
				d := test.backoff.Delay(i + 1)
				least, most = min(least, d), max(most, d)
			}
			if least < longest/2 || most > longest {
				t.Errorf("%+v: delay %d between %s and %s, want %s at most and half of it at least", test.backoff, i+1, least, most, longest)
			}
			if longest > 0 && most-least < longest/4 {
				t.Errorf("%+v: delay %d is not random: %s to %s", test.backoff, i+1, least, most)
			}
		}
	}
	limited := retry.Backoff{Initial: ms, Max: time.Hour}
	if d := limited.Delay(1 << 30); d > time.Hour || d < time.Hour/2 {
		t.Errorf("after a billion failures: %s", d)
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	failed, fatal := errors.New("failed"), errors.New("fatal")
	once := retry.Backoff{Initial: time.Second, Max: time.Second}
	for _, test := range []struct {
		name   string
		policy retry.Policy
		errs   []error // what fn returns, the last one from then on
		want   []error // what the error is; none for success
		calls  int
	}{
		{"success", retry.Policy{Backoff: once}, []error{nil}, nil, 1},
		{"success at last", retry.Policy{Backoff: once}, []error{failed, failed, nil}, nil, 3},
		{"attempts", retry.Policy{Backoff: once, Attempts: 4}, []error{failed}, []error{failed}, 4},
		{"not repeated", retry.Policy{Backoff: once, If: func(err error) bool { return !errors.Is(err, fatal) }},
			[]error{failed, fatal}, []error{fatal}, 2},
		// An attempt takes no time, and a pause a second at most: 11 fit into 5.5 s at most.
		{"the end of the context", retry.Policy{Backoff: once}, []error{failed}, []error{context.DeadlineExceeded, failed}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
				defer cancel()
				calls := 0
				err := retry.Do(ctx, test.policy, func(context.Context) error {
					calls++
					return test.errs[min(calls, len(test.errs))-1]
				})
				if len(test.want) == 0 && err != nil {
					t.Errorf("got %v", err)
				}
				for _, want := range test.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				}
				if test.calls > 0 && calls != test.calls || calls > 11 || test.calls == 0 && calls < 5 {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}

// TestDoKeepsTheCause: the failure that the end of the context makes does not
// hide the one that was repeated.
func TestDoKeepsTheCause(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := retry.Do(ctx, retry.Policy{}, func(ctx context.Context) error {
		if calls++; calls == 1 {
			return refused
		}
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, refused) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
