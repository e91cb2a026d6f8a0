// Package fault decides which API calls and which webhooks go wrong, and how.
// It only chooses: packages api and webhook make the faults happen.
package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kinds of faults of an API call.
const (
	Latency          = "latency"
	Hang             = "hang"
	Drop             = "drop"
	Unavailable      = "unavailable"
	RateLimit        = "rate_limit"
	HangAfterCommit  = "hang_after_commit"
	DropAfterCommit  = "drop_after_commit"
	ErrorAfterCommit = "error_after_commit"
)

// Kinds of faults of a webhook.
const (
	Triple  = "webhook_triple"
	Reorder = "webhook_reorder"
	Delay   = "webhook_delay"
	Never   = "webhook_never"
)

// CallKinds and WebhookKinds are the kinds that a rule can have.
var (
	CallKinds    = []string{Latency, Hang, Drop, Unavailable, RateLimit, HangAfterCommit, DropAfterCommit, ErrorAfterCommit}
	WebhookKinds = []string{Triple, Reorder, Delay, Never}
)

// Operations of the API, as rules name them.
const (
	OpIntentCreate           = "payment_intents.create"
	OpIntentConfirm          = "payment_intents.confirm"
	OpIntentCapture          = "payment_intents.capture"
	OpIntentCancel           = "payment_intents.cancel"
	OpIntentRetrieve         = "payment_intents.retrieve"
	OpIntentList             = "payment_intents.list"
	OpIntentSearch           = "payment_intents.search"
	OpChargeRetrieve         = "charges.retrieve"
	OpChargeList             = "charges.list"
	OpBalanceTransactionList = "balance_transactions.list"
	OpEventRetrieve          = "events.retrieve"
	OpEventList              = "events.list"
	OpRefundCreate           = "refunds.create"
	OpRefundRetrieve         = "refunds.retrieve"
	OpRefundList             = "refunds.list"
)

// Operations are all operations of the API.
var Operations = []string{
	OpIntentCreate, OpIntentConfirm, OpIntentCapture, OpIntentCancel, OpIntentRetrieve, OpIntentList, OpIntentSearch,
	OpChargeRetrieve, OpChargeList, OpBalanceTransactionList, OpEventRetrieve, OpEventList, OpRefundCreate, OpRefundRetrieve, OpRefundList,
}

// Defaults of what a rule leaves out.
const (
	defaultLatency    = 30 * time.Second
	defaultRetryAfter = time.Second
	defaultDelay      = time.Hour
	// defaultReorder is how long a webhook waits for one that could overtake it.
	defaultReorder = 10 * time.Second

	maxRules = 100
)

// Duration is a time.Duration that JSON has as a string, such as "1m30s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil && v < 0 {
		err = fmt.Errorf("duration %s is negative", text)
	}
	*d = Duration(v)
	return err
}

// Rule says which calls or webhooks go wrong, and how.
type Rule struct {
	// Operation is a pattern of path.Match for the operation of a call, or for
	// the type of the event in a webhook; empty matches all.
	Operation string `json:"operation,omitempty"`
	Kind      string `json:"kind"`
	// Rate is the share of the matching calls, from 0 to 1; 1 when nil.
	Rate *float64 `json:"rate,omitempty"`
	// Count bounds how often the rule fires; 0 is no bound.
	Count int64 `json:"count,omitempty"`
	// Latency is how long the kinds latency and webhook_delay wait, and how long
	// webhook_reorder waits at most.
	Latency Duration `json:"latency,omitzero"`
	// RetryAfter is the Retry-After header of an answer of 429, in whole seconds.
	RetryAfter Duration `json:"retry_after,omitzero"`
	// Seed makes the choice of calls repeatable.
	Seed uint64 `json:"seed,omitempty"`
}

// check returns why the rule can't be used, and fills in what was left out.
// eventTypes are the types that a rule for webhooks can match.
func (r *Rule) check(eventTypes []string) error {
	if r.Operation == "" {
		r.Operation = "*"
	}
	names := Operations
	if r.webhook() {
		names = eventTypes
	} else if !slices.Contains(CallKinds, r.Kind) {
		return fmt.Errorf("unknown kind %q; there are %s", r.Kind, strings.Join(slices.Concat(CallKinds, WebhookKinds), ", "))
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
		r.Latency = Duration(map[string]time.Duration{
			Latency: defaultLatency, Delay: defaultDelay, Reorder: defaultReorder,
		}[r.Kind])
	}
	if r.RetryAfter == 0 && r.Kind == RateLimit {
		r.RetryAfter = Duration(defaultRetryAfter)
	}
	if time.Duration(r.RetryAfter)%time.Second != 0 {
		return fmt.Errorf("retry_after %s is not in whole seconds", time.Duration(r.RetryAfter))
	}
	return nil
}

// webhook reports whether the rule is for webhooks, not for calls.
func (r *Rule) webhook() bool { return slices.Contains(WebhookKinds, r.Kind) }

func (r *Rule) matches(operation string) bool {
	ok, err := path.Match(r.Operation, operation)
	return ok && err == nil
}

// Active is a rule in use.
type Active struct {
	Rule
	Number  int // from 1; 0 if a single call asked for the fault
	random  *rand.Rand
	matched int64
	fired   int64
	planned int64 // planned, and neither fired nor missed yet
}

// Set is the rules in use.
type Set struct {
	eventTypes []string

	mu    sync.Mutex
	rules []*Active
}

// NewSet returns a set without rules. eventTypes are the types of the events
// that webhooks carry.
func NewSet(eventTypes []string) *Set { return &Set{eventTypes: eventTypes} }

// Parse reads a JSON list of rules, all of it or nothing.
func (s *Set) Parse(body io.Reader) ([]Rule, error) {
	in := json.NewDecoder(body)
	in.DisallowUnknownFields()
	var rules []Rule
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
		if err := rules[i].check(s.eventTypes); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return rules, nil
}

// ParseCall reads what a single call asks for: "KIND" or "KIND=DURATION". The
// fault is planned.
func ParseCall(s string) (*Active, error) {
	kind, wait, has := strings.Cut(s, "=")
	r := Rule{Kind: kind}
	if r.webhook() {
		return nil, fmt.Errorf("%s is not a fault of a call", r.Kind)
	}
	if has {
		var d Duration
		if err := d.UnmarshalText([]byte(wait)); err != nil {
			return nil, err
		}
		switch kind {
		case Latency:
			r.Latency = d
		case RateLimit:
			r.RetryAfter = d
		default:
			return nil, fmt.Errorf("%s takes no duration", kind)
		}
	}
	if err := r.check(nil); err != nil {
		return nil, err
	}
	return &Active{Rule: r, planned: 1}, nil
}

// Replace ends the rules in use and starts others, which Parse has returned.
func (s *Set) Replace(rules []Rule) {
	next := make([]*Active, len(rules))
	for i, r := range rules {
		next[i] = &Active{Rule: r, Number: i + 1, random: rand.New(rand.NewPCG(r.Seed, uint64(i)))} // no secret: it must be repeatable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = next
}

// PlanCall plans the faults of a call: any number of latencies, and after them
// at most one other fault. The caller reports each with Fired or Missed.
func (s *Set) PlanCall(operation string) []*Active { return s.plan(operation, false) }

// PlanWebhook plans the fault of a webhook; nil is none. The caller reports it
// with Fired or Missed.
func (s *Set) PlanWebhook(eventType string) *Active {
	if planned := s.plan(eventType, true); len(planned) > 0 {
		return planned[0]
	}
	return nil
}

func (s *Set) plan(operation string, webhook bool) []*Active {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Active
	for _, r := range s.rules {
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
		if r.Kind != Latency {
			break
		}
	}
	return out
}

// Fired says that a planned fault happens.
func (s *Set) Fired(r *Active) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.planned--
	r.fired++
}

// Missed says that a planned fault could not happen.
func (s *Set) Missed(r *Active) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.planned--
}

// Usage is a rule and how often it matched and fired.
type Usage struct {
	Rule
	Matched int64 `json:"matched"`
	Fired   int64 `json:"fired"`
}

// Usage returns the rules in use, in their order.
func (s *Set) Usage() []Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Usage, 0, len(s.rules))
	for _, r := range s.rules {
		out = append(out, Usage{r.Rule, r.matched, r.fired})
	}
	return out
}
