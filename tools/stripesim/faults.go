package stripesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kinds of faults of a call.
const (
	faultLatency          = "latency"
	faultHang             = "hang"
	faultDrop             = "drop"
	faultUnavailable      = "unavailable"
	faultRateLimit        = "rate_limit"
	faultHangAfterCommit  = "hang_after_commit"
	faultDropAfterCommit  = "drop_after_commit"
	faultErrorAfterCommit = "error_after_commit"
)

// callFaults are the kinds that a call can be told to have.
var callFaults = []string{
	faultLatency, faultHang, faultDrop, faultUnavailable, faultRateLimit,
	faultHangAfterCommit, faultDropAfterCommit, faultErrorAfterCommit,
}

// Operations of the API, as rules name them.
const (
	opIntentCreate   = "payment_intents.create"
	opIntentConfirm  = "payment_intents.confirm"
	opIntentCapture  = "payment_intents.capture"
	opIntentCancel   = "payment_intents.cancel"
	opIntentRetrieve = "payment_intents.retrieve"
	opIntentList     = "payment_intents.list"
	opIntentSearch   = "payment_intents.search"
	opChargeRetrieve = "charges.retrieve"
	opChargeList     = "charges.list"
	opMovementList   = "balance_transactions.list"
	opNoticeRetrieve = "events.retrieve"
	opNoticeList     = "events.list"
	opRefundCreate   = "refunds.create"
	opRefundRetrieve = "refunds.retrieve"
	opRefundList     = "refunds.list"
)

var operations = []string{
	opIntentCreate, opIntentConfirm, opIntentCapture, opIntentCancel, opIntentRetrieve, opIntentList, opIntentSearch,
	opChargeRetrieve, opChargeList, opMovementList, opNoticeRetrieve, opNoticeList, opRefundCreate, opRefundRetrieve, opRefundList,
}

const (
	// faultHeader and faultMetadata tell one call to go wrong: "<kind>" or
	// "<kind>=<duration>".
	faultHeader   = "Souk-Sim-Fault"
	faultMetadata = "metadata[souk_sim_fault]"

	defaultLatency    = 30 * time.Second
	defaultRetryAfter = time.Second
	maxRules          = 100
)

// duration is a time.Duration that JSON has as a string, such as "1m30s".
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil && v < 0 {
		err = fmt.Errorf("duration %s is negative", text)
	}
	*d = duration(v)
	return err
}

// rule says which calls go wrong, and how.
type rule struct {
	// Operation is a pattern of path.Match for the call, or for the type of the
	// event that a webhook tells; empty means all.
	Operation string `json:"operation,omitempty"`
	Kind      string `json:"kind"`
	// Rate is the share of the matching calls, from 0 to 1; 1 when nil.
	Rate *float64 `json:"rate,omitempty"`
	// Count bounds how often it fires; 0 is no bound.
	Count int64 `json:"count,omitempty"`
	// Latency is how long kinds wait that do, webhook_reorder at most.
	Latency duration `json:"latency,omitzero"`
	// RetryAfter is what an answer of 429 says, in whole seconds.
	RetryAfter duration `json:"retry_after,omitzero"`
	// Seed makes the choice of calls repeatable.
	Seed uint64 `json:"seed,omitempty"`
}

// check returns why the rule can't be used, and fills what was left out.
func (r *rule) check() error {
	if r.Operation == "" {
		r.Operation = "*"
	}
	names := operations
	if r.webhook() {
		names = slices.Sorted(maps.Values(noticeTypes))
	} else if !slices.Contains(callFaults, r.Kind) {
		return fmt.Errorf("unknown kind %q; there are %s", r.Kind, strings.Join(slices.Concat(callFaults, webhookFaults), ", "))
	}
	if !slices.ContainsFunc(names, r.matches) {
		return fmt.Errorf("operation %q matches none of %s", r.Operation, strings.Join(names, ", "))
	}
	if r.Rate != nil && !(*r.Rate >= 0 && *r.Rate <= 1) {
		return fmt.Errorf("rate %v is not from 0 to 1", *r.Rate)
	}
	if r.Count < 0 {
		return fmt.Errorf("count %d is negative", r.Count)
	}
	if r.Latency == 0 {
		r.Latency = duration(map[string]time.Duration{
			faultLatency: defaultLatency, faultDelay: defaultDelay, faultReorder: defaultHold,
		}[r.Kind])
	}
	if r.RetryAfter == 0 && r.Kind == faultRateLimit {
		r.RetryAfter = duration(defaultRetryAfter)
	}
	if time.Duration(r.RetryAfter)%time.Second != 0 {
		return fmt.Errorf("retry_after %s is not in whole seconds", time.Duration(r.RetryAfter))
	}
	return nil
}

// webhook reports whether it is webhooks that go wrong.
func (r *rule) webhook() bool { return slices.Contains(webhookFaults, r.Kind) }

func (r *rule) matches(operation string) bool {
	ok, err := path.Match(r.Operation, operation)
	return ok && err == nil
}

// armed is a rule at work.
type armed struct {
	rule
	number  int // from 1; 0 if one call asked for it
	random  *rand.Rand
	matched int64
	fired   int64
	planned int64 // chosen, and not known yet whether it will fire
}

// faults are the rules at work.
type faults struct {
	mu    sync.Mutex
	rules []*armed
}

// set replaces the rules.
func (f *faults) set(rules []rule) {
	next := make([]*armed, len(rules))
	for i, r := range rules {
		next[i] = &armed{rule: r, number: i + 1, random: rand.New(rand.NewPCG(r.Seed, uint64(i)))} //nolint:gosec // no secret: it must be repeatable
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = next
}

// plan chooses what is to go wrong with a call: waits, and after them at most
// one other fault; or with a webhook of a type. What was chosen must be fired
// or missed.
func (f *faults) plan(operation string, webhook bool) []*armed {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*armed
	for _, r := range f.rules {
		if r.webhook() != webhook || !r.matches(operation) {
			continue
		}
		r.matched++
		if r.Rate != nil && r.random.Float64() >= *r.Rate {
			continue
		}
		if r.Count > 0 && r.fired+r.planned >= r.Count {
			continue
		}
		r.planned++
		out = append(out, r)
		if r.Kind != faultLatency {
			break
		}
	}
	return out
}

// fire says that a planned fault happens.
func (f *faults) fire(r *armed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.planned--
	r.fired++
}

// miss says that a planned fault could not happen.
func (f *faults) miss(r *armed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.planned--
}

// fired is the journal's note of a fault that happened.
type fired struct {
	Kind      string `json:"kind"`
	Operation string `json:"operation"`
	// Rule counts from 1; 0 if the call itself asked for the fault.
	Rule           int    `json:"rule"`
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	// Webhook and Endpoint say which webhook had it, and Until when it is to go.
	Webhook  string    `json:"webhook,omitempty"`
	Endpoint int       `json:"endpoint,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

// call is a request of the API that may go wrong.
type call struct {
	bank      *bank
	operation string
	request   request
	waits     []*armed
	fault     *armed // nil: none
}

// misbehave plans the faults of a call. own is what the call itself asks for.
func (b *bank) misbehave(operation string, req request, own string) (*call, *apiError) {
	c := &call{bank: b, operation: operation, request: req}
	planned := b.faults.plan(operation, false)
	if own != "" {
		one, err := parseFault(own)
		if err != nil {
			for _, r := range planned {
				b.faults.miss(r)
			}
			return nil, invalid("", "", "%s: %v", faultHeader, err)
		}
		planned = slices.Insert(planned, 0, one)
	}
	for _, r := range planned {
		switch {
		case r.Kind == faultLatency:
			c.waits = append(c.waits, r)
		case c.fault == nil:
			c.fault = r
		default:
			b.faults.miss(r)
		}
	}
	return c, nil
}

// parseFault reads "<kind>" or "<kind>=<duration>".
func parseFault(s string) (*armed, error) {
	kind, wait, has := strings.Cut(s, "=")
	r := rule{Kind: kind}
	if has {
		var d duration
		if err := d.UnmarshalText([]byte(wait)); err != nil {
			return nil, err
		}
		switch kind {
		case faultLatency:
			r.Latency = d
		case faultRateLimit:
			r.RetryAfter = d
		default:
			return nil, fmt.Errorf("%s takes no duration", kind)
		}
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.webhook() {
		return nil, fmt.Errorf("%s is no fault of a call", r.Kind)
	}
	return &armed{rule: r, planned: 1}, nil
}

// fire counts a fault and notes it in the journal; it returns once that is on disk.
func (c *call) fire(r *armed) *apiError {
	c.bank.faults.fire(r)
	if err := c.bank.record(&event{Event: eventFault, RequestID: c.request.id, Fault: &fired{
		Kind: r.Kind, Operation: c.operation, Rule: r.number, IdempotencyKey: c.request.key,
	}}).wait(); err != nil {
		return broken(err)
	}
	return nil
}

// is reports whether the call is to have a fault of the kind.
func (c *call) is(kind string) bool { return c.fault != nil && c.fault.Kind == kind }

// before does what goes wrong before the request is looked at. It reports
// whether the request goes on: if not, it has been answered. It panics with
// http.ErrAbortHandler to leave it without an answer.
//
// A call that waits is executed afterward even if its caller has gone: that is
// how a slow provider surprises.
func (c *call) before(w http.ResponseWriter, r *http.Request) bool {
	for _, wait := range c.waits {
		if err := c.fire(wait); err != nil {
			writeError(w, c.request.id, err)
			return false
		}
		timer := time.NewTimer(time.Duration(wait.Latency))
		select {
		case <-timer.C:
		case <-c.bank.stopping:
			timer.Stop()
			panic(http.ErrAbortHandler)
		}
	}
	if c.fault == nil {
		return true
	}
	refusal := &apiError{Type: serverError}
	switch c.fault.Kind {
	case faultHang, faultDrop:
	case faultUnavailable:
		refusal.Status, refusal.Message = http.StatusServiceUnavailable, "The service is unavailable. (Told to be by the simulator's faults.)"
	case faultRateLimit:
		refusal.Status, refusal.Type, refusal.Code = http.StatusTooManyRequests, invalidRequest, "rate_limit"
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
	case faultHang:
		c.hang(r)
	case faultDrop:
		panic(http.ErrAbortHandler)
	}
	writeError(w, c.request.id, refusal)
	return false
}

// after does what goes wrong once the request is executed; executed says that
// it was, now or under its key before.
func (c *call) after(r *http.Request, executed bool) {
	switch {
	case c.fault == nil:
	case !executed:
		c.bank.faults.miss(c.fault)
	default:
		// The journal's failure shows in the request's own answer, if there is one.
		_ = c.fire(c.fault)
		switch c.fault.Kind {
		case faultHangAfterCommit:
			c.hang(r)
		case faultDropAfterCommit:
			panic(http.ErrAbortHandler)
		}
	}
}

// hang waits until the caller goes or the simulator stops, and answers nothing.
func (c *call) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-c.bank.stopping:
	}
	panic(http.ErrAbortHandler)
}

// afterCommit is the answer of error_after_commit. Stripe keeps the first
// status and body of a key, "including 500 errors":
// https://docs.stripe.com/api/idempotent_requests
func afterCommit() *apiError {
	return &apiError{
		Status: http.StatusInternalServerError, Type: serverError,
		Message: "An unknown error occurred. (Told to by the simulator's faults.)",
	}
}

// ruleReport is a rule and how often it matched and fired.
type ruleReport struct {
	rule
	Matched int64 `json:"matched"`
	Fired   int64 `json:"fired"`
}

// faultsReport is what /_sim/faults answers.
type faultsReport struct {
	Rules []ruleReport `json:"rules"`
	// Fired counts by kind over the whole journal.
	Fired map[string]int64 `json:"fired"`
}

// serveFaults answers GET, PUT and DELETE of /_sim/faults.
func (b *bank) serveFaults(w http.ResponseWriter, r *http.Request) {
	var next []rule
	if r.Method == http.MethodPut {
		var err error
		if next, err = readRules(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	report := b.reportFaults()
	switch r.Method {
	case http.MethodPut:
		b.faults.set(next)
		report = b.reportFaults()
	case http.MethodDelete: // answers with what they came to
		b.faults.set(nil)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(report) // the reader is gone if it fails
}

func (b *bank) reportFaults() faultsReport {
	out := faultsReport{Rules: []ruleReport{}, Fired: map[string]int64{}}
	b.mu.Lock()
	for kind, n := range b.fired {
		out.Fired[kind] = n
	}
	b.mu.Unlock()
	b.faults.mu.Lock()
	defer b.faults.mu.Unlock()
	for _, r := range b.faults.rules {
		out.Rules = append(out.Rules, ruleReport{r.rule, r.matched, r.fired})
	}
	return out
}

// readRules reads a JSON list of rules, whole or not at all.
func readRules(body io.Reader) ([]rule, error) {
	in := json.NewDecoder(body)
	in.DisallowUnknownFields()
	var rules []rule
	if err := in.Decode(&rules); err != nil {
		return nil, fmt.Errorf("the rules are no JSON list of rules: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the list of rules")
	}
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%d rules are more than %d", len(rules), maxRules)
	}
	for i := range rules {
		if err := rules[i].check(); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return rules, nil
}
