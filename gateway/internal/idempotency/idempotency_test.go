package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
	"github.com/souk-shop/souk/gateway/internal/problem"
	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// keeper notes what it is asked; the attempts must be one.
type keeper struct {
	t         *testing.T
	begin     func() (*answerv1.BeginResponse, error)
	complete  error
	attempt   string
	begins    int
	abandoned []bool // nothing done?
}

func (k *keeper) Begin(_ context.Context, r *answerv1.BeginRequest, _ ...grpc.CallOption) (*answerv1.BeginResponse, error) {
	if k.begins++; k.begins > 1 && r.GetAttemptId() != k.attempt {
		k.t.Error("renewed by another attempt")
	}
	k.attempt = r.GetAttemptId()
	return k.begin()
}

func (k *keeper) Complete(ctx context.Context, r *answerv1.CompleteRequest, _ ...grpc.CallOption) (*answerv1.CompleteResponse, error) {
	if ctx.Err() != nil {
		k.t.Error("completed under the context of a client that is gone")
	}
	return &answerv1.CompleteResponse{Answer: r.GetAnswer()}, k.complete
}

func (k *keeper) Abandon(ctx context.Context, r *answerv1.AbandonRequest, _ ...grpc.CallOption) (*answerv1.AbandonResponse, error) {
	if ctx.Err() != nil || r.GetAttemptId() != k.attempt {
		k.t.Errorf("abandoned with %v, attempt %q of %q", ctx.Err(), r.GetAttemptId(), k.attempt)
	}
	k.abandoned = append(k.abandoned, r.GetNothingDone())
	return &answerv1.AbandonResponse{}, nil
}

// An operation that is not completed is abandoned whatever happened, so that no repeat
// waits for its lease; its key is free only where certainly nothing was done.
func TestUnfinishedOperationsAreAbandoned(t *testing.T) {
	t.Parallel()
	begun := &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_BEGUN, OperationId: "01a22126-a22a-764d-8681-c26c3ec22d74"}
	resumed := &answerv1.BeginResponse{Outcome: begun.GetOutcome(), OperationId: begun.GetOperationId(), Resumed: true}
	lost := status.Error(codes.DeadlineExceeded, "")
	refused := problem.New(problem.NotFound)
	for name, tc := range map[string]struct {
		begun     *answerv1.BeginResponse
		begin     error
		performed error
		complete  error
		gone      bool
		abandoned []bool
	}{
		"completed":                           {begun: begun},
		"completed for a client that is gone": {begun: begun, gone: true},
		"begun, the reply lost":               {begin: lost, abandoned: []bool{false}},
		"refused":                             {begun: begun, performed: refused, abandoned: []bool{true}},
		"refused after an unknown outcome":    {begun: resumed, performed: refused, abandoned: []bool{false}},
		"outcome unknown":                     {begun: begun, performed: lost, abandoned: []bool{false}},
		"done, the answer not kept":           {begun: begun, complete: lost, abandoned: []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			k := &keeper{t: t, complete: tc.complete, begin: func() (*answerv1.BeginResponse, error) { return tc.begun, tc.begin }}
			_, _, err := idempotency.Once(ctx, k, client.New(client.Config{RetryBudget: -1}), idempotency.Request{Scope: "s", Key: "k"},
				func(context.Context) (idempotency.Answer, error) {
					if tc.gone {
						cancel()
					}
					return idempotency.Answer{Status: 200}, tc.performed
				})
			if want := errors.Join(tc.begin, tc.performed, tc.complete); (err != nil) != (want != nil) {
				t.Errorf("got %v, want %v", err, want)
			}
			if len(k.abandoned) != len(tc.abandoned) || len(k.abandoned) == 1 && k.abandoned[0] != tc.abandoned[0] {
				t.Errorf("abandoned %v, want %v", k.abandoned, tc.abandoned)
			}
		})
	}
}

// A long operation keeps its lease; one whose gateway has died is free after it.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{t: t, begin: func() (*answerv1.BeginResponse, error) {
			return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_BEGUN, OperationId: "01a22126-a22a-764d-8681-c26c3ec22d74"}, nil
		}}
		_, _, err := idempotency.Once(t.Context(), k, client.New(client.Config{}), idempotency.Request{Scope: "s", Key: "k"},
			func(ctx context.Context) (idempotency.Answer, error) {
				return idempotency.Answer{Status: 200}, retry.Sleep(ctx, time.Minute)
			})
		if err != nil || k.begins < 1+60/10 {
			t.Errorf("begun %d times, %v", k.begins, err)
		}
	})
}
