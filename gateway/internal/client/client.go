// Package client is how the gateway calls the services: the connections, the
// timeout of an attempt, the repetition of calls of an unavailable service, and
// the translation of their errors into package problem's.
package client

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// Config of a Caller; the zero value works.
type Config struct {
	// Timeout of an attempt of a call that does not wait for an order. 0 means
	// five seconds.
	Timeout time.Duration
	// RetryBudget is how long a call is repeated while its service is unavailable;
	// not at all below 1.
	RetryBudget time.Duration
}

// maxWaiting bounds the calls that wait for a service to recover, and so the
// memory that an outage costs; a call beyond it fails at once.
const maxWaiting = 1000

// backoff is the pause between attempts.
var backoff = retry.Backoff{Initial: 20 * time.Millisecond, Max: 320 * time.Millisecond}

// Caller makes calls under one policy. Safe for concurrent use.
type Caller struct {
	// Timeout is that of an attempt.
	Timeout time.Duration
	budget  time.Duration
	waiting atomic.Int64
}

// New makes a Caller.
func New(cfg Config) *Caller {
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	return &Caller{Timeout: cfg.Timeout, budget: cfg.RetryBudget}
}

// Call makes an RPC, each attempt under the Caller's timeout and a longer wait,
// which is how long the service itself may wait. It repeats the RPC within the
// retry budget while the service is unavailable: a service or a database that is
// being replaced makes requests slower and fails none. So the RPC must be
// idempotent. The error is a *problem.Error.
func Call[Req, Res any](ctx context.Context, c *Caller, wait time.Duration, rpc func(context.Context, Req, ...grpc.CallOption) (Res, error), req Req) (Res, error) {
	retries := Retries{caller: c, until: time.Now().Add(c.budget)}
	for {
		res, err := attempt(ctx, c.Timeout+wait, rpc, req)
		if err == nil {
			return res, nil
		}
		if !retries.Again(ctx, err) {
			var none Res
			return none, Error(ctx, err)
		}
	}
}

// Once makes an RPC that must not be repeated, under the timeout. The error is a
// *problem.Error.
func Once[Req, Res any](ctx context.Context, timeout time.Duration, rpc func(context.Context, Req, ...grpc.CallOption) (Res, error), req Req) (Res, error) {
	res, err := attempt(ctx, timeout, rpc, req)
	if err != nil {
		return res, Error(ctx, err)
	}
	return res, nil
}

func attempt[Req, Res any](ctx context.Context, timeout time.Duration, rpc func(context.Context, Req, ...grpc.CallOption) (Res, error), req Req) (Res, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return rpc(ctx, req)
}

// Retries are the repetitions of one call.
type Retries struct {
	caller   *Caller
	failures int
	until    time.Time
}

// Retries starts a call whose budget begins with its first failure.
func (c *Caller) Retries() *Retries { return &Retries{caller: c} }

// Succeeded renews the budget.
func (r *Retries) Succeeded() { r.failures, r.until = 0, time.Time{} }

// Again reports whether a call that failed with this error is to be repeated, and
// pauses before it does. The pause is 10 to 20 ms first and doubles up to 320 ms.
func (r *Retries) Again(ctx context.Context, err error) bool {
	if !retryable(err) {
		return false
	}
	if r.failures++; r.until.IsZero() {
		r.until = time.Now().Add(r.caller.budget)
	}
	defer r.caller.waiting.Add(-1)
	if r.caller.waiting.Add(1) > maxWaiting {
		return false
	}
	return retry.Sleep(ctx, backoff.Delay(r.failures)) == nil && time.Now().Before(r.until)
}

// retryable distinguishes an unavailable service from one that answered. A reason says
// that it did answer, other than with its own unavailability. A replica of the version
// before, which does not know the RPC, is being replaced.
func retryable(err error) bool {
	switch status.Code(err) {
	case codes.Unimplemented:
		return true
	case codes.Unavailable:
	default:
		return false
	}
	return rpc.Info(err) == nil || rpc.Reason[errorv1.ErrorReason](err) == errorv1.ErrorReason_ERROR_REASON_UNAVAILABLE
}
