package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/souk-shop/souk/gateway/internal/problem"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/reason"
)

func failure(t *testing.T, r protoreflect.Enum) error {
	t.Helper()
	info := reason.Of(r)
	st, err := status.New(info.Code, "").WithDetails(&errdetails.ErrorInfo{Reason: info.Name, Domain: info.Domain})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

// answers is a service that fails so often with an error, and then answers.
type answers struct {
	err      error
	failures int
	calls    int
}

func (a *answers) call(context.Context, int, ...grpc.CallOption) (int, error) {
	if a.calls++; a.calls <= a.failures {
		return 0, a.err
	}
	return a.calls, nil
}

// Calls are repeated while the service is unavailable, and only then: an error
// with another reason is an answer.
func TestCallRepeats(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err    error
		budget time.Duration
		calls  int
		want   *problem.Type
	}{
		"no connection":     {status.Error(codes.Unavailable, ""), time.Minute, 4, nil},
		"its own trouble":   {failure(t, errorv1.ErrorReason_ERROR_REASON_UNAVAILABLE), time.Minute, 4, nil},
		"another reason":    {failure(t, paymentv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN), time.Minute, 1, problem.Unavailable},
		"an older version":  {status.Error(codes.Unimplemented, ""), time.Minute, 4, nil},
		"an old service":    {status.Error(codes.Unimplemented, ""), -1, 1, problem.Unavailable},
		"too late":          {status.Error(codes.DeadlineExceeded, ""), time.Minute, 1, problem.Timeout},
		"a broken contract": {status.Error(codes.Internal, ""), time.Minute, 1, problem.Internal},
		"no budget":         {status.Error(codes.Unavailable, ""), -1, 1, problem.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				service := &answers{err: tc.err, failures: 3}
				_, err := Call(t.Context(), New(Config{RetryBudget: tc.budget}), 0, service.call, 1)
				if service.calls != tc.calls || (err != nil) != (tc.want != nil) || tc.want != nil && !problem.Is(err, tc.want) {
					t.Errorf("%d calls, %v; want %d", service.calls, err, tc.calls)
				}
			})
		})
	}
}

// An outage ends with the budget, and a caller that leaves ends it before.
func TestBudgetEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{RetryBudget: 10 * time.Second})
		down := &answers{err: status.Error(codes.Unavailable, ""), failures: 1 << 30}
		start := time.Now()
		if _, err := Call(t.Context(), c, 0, down.call, 1); !problem.Is(err, problem.Unavailable) || time.Since(start) < 10*time.Second || time.Since(start) > 11*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := Call(ctx, c, 0, down.call, 1); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// No more than a number of calls wait for a service to recover.
func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{RetryBudget: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		down := func(context.Context, int, ...grpc.CallOption) (int, error) {
			return 0, status.Error(codes.Unavailable, "")
		}
		done := make(chan error, maxWaiting)
		for range maxWaiting {
			go func() { _, err := Call(ctx, c, 0, down, 1); done <- err }()
		}
		synctest.Wait()
		start := time.Now()
		if _, err := Call(ctx, c, 0, down, 1); !problem.Is(err, problem.Unavailable) || time.Since(start) != 0 {
			t.Errorf("one more: %v after %s", err, time.Since(start))
		}
		cancel()
		for range maxWaiting {
			if err := <-done; !problem.Is(err, problem.Unavailable) {
				t.Errorf("a call that waited got %v", err)
			}
		}
	})
}
