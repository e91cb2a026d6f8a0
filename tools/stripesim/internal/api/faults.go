package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// With faultHeader or faultMetadata a call asks for its own fault: "KIND" or
// "KIND=DURATION".
const (
	faultHeader   = "Souk-Sim-Fault"
	faultMetadata = "metadata[souk_sim_fault]"
)

// call is a request of the API and its planned faults.
type call struct {
	api       *API
	operation string
	request   store.Request
	waits     []*fault.Active
	fault     *fault.Active // nil: none
}

// planFaults plans the faults of a call; own is the one that the call asks for.
func (a *API) planFaults(operation string, req store.Request, own string) (*call, *store.Error) {
	c := &call{api: a, operation: operation, request: req}
	planned := a.faults.PlanCall(operation)
	if own != "" {
		one, err := fault.ParseCall(own)
		if err != nil {
			for _, rule := range planned {
				a.faults.Missed(rule)
			}
			return nil, store.Invalid("", "", "%s: %v", faultHeader, err)
		}
		planned = slices.Insert(planned, 0, one)
	}
	for _, rule := range planned {
		switch {
		case rule.Kind == fault.Latency:
			c.waits = append(c.waits, rule)
		case c.fault == nil:
			c.fault = rule
		default:
			a.faults.Missed(rule)
		}
	}
	return c, nil
}

// fire counts a fault and returns once the journal has it.
func (c *call) fire(rule *fault.Active) *store.Error {
	c.api.faults.Fired(rule)
	if err := c.api.store.RecordFault(c.request.ID, store.Fault{
		Kind: rule.Kind, Operation: c.operation, Rule: rule.Number, IdempotencyKey: c.request.IdempotencyKey,
	}); err != nil {
		return store.Broken(err)
	}
	return nil
}

// is reports whether the call has a fault of the kind.
func (c *call) is(kind string) bool { return c.fault != nil && c.fault.Kind == kind }

// before makes the faults happen that precede the request. It reports whether
// the request goes on; if not, it was answered. It panics with
// http.ErrAbortHandler to leave the request without an answer.
//
// A call that waits is executed afterwards even if its caller has gone: that
// is how a slow provider charges a card after its client's timeout.
func (c *call) before(w http.ResponseWriter, r *http.Request) bool {
	for _, wait := range c.waits {
		if err := c.fire(wait); err != nil {
			writeError(w, c.request.ID, err)
			return false
		}
		timer := time.NewTimer(time.Duration(wait.Latency))
		select {
		case <-timer.C:
		case <-c.api.stopping:
			timer.Stop()
			panic(http.ErrAbortHandler)
		}
	}
	if c.fault == nil {
		return true
	}
	refusal := &store.Error{Type: store.ServerError}
	switch c.fault.Kind {
	case fault.Hang, fault.Drop:
	case fault.Unavailable:
		refusal.Status, refusal.Message = http.StatusServiceUnavailable, "The service is unavailable. (A fault of the simulator.)"
	case fault.RateLimit:
		refusal.Status, refusal.Type, refusal.Code = http.StatusTooManyRequests, store.InvalidRequest, "rate_limit"
		refusal.Message = "Request rate limit exceeded."
		w.Header().Set("Stripe-Rate-Limited-Reason", "global-rate")
	default:
		return true
	}
	if after := time.Duration(c.fault.RetryAfter); after > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(after/time.Second), 10))
	}
	if err := c.fire(c.fault); err != nil {
		refusal = err
	}
	switch c.fault.Kind {
	case fault.Hang:
		c.hang(r)
	case fault.Drop:
		panic(http.ErrAbortHandler)
	}
	writeError(w, c.request.ID, refusal)
	return false
}

// after makes the fault happen that follows the request; executed says that the
// request was executed, now or earlier under the same key.
func (c *call) after(r *http.Request, executed bool) {
	switch {
	case c.fault == nil:
	case !executed:
		c.api.faults.Missed(c.fault)
	default:
		// A failure of the journal shows in the request's own answer, if there is one.
		_ = c.fire(c.fault)
		switch c.fault.Kind {
		case fault.HangAfterCommit:
			c.hang(r)
		case fault.DropAfterCommit:
			panic(http.ErrAbortHandler)
		}
	}
}

// hang waits until the caller goes or the simulator stops, and answers nothing.
func (c *call) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-c.api.stopping:
	}
	panic(http.ErrAbortHandler)
}

// errorAfterCommit is the answer of error_after_commit. Stripe keeps the first
// status and body of a key, "including 500 errors":
// https://docs.stripe.com/api/idempotent_requests
func errorAfterCommit() *store.Error {
	return &store.Error{
		Status: http.StatusInternalServerError, Type: store.ServerError,
		Message: "An unknown error occurred. (A fault of the simulator.)",
	}
}
