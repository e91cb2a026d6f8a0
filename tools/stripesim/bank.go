package stripesim

import (
	"net/http"
	"sync"
	"time"
)

// Statuses of a payment intent.
const (
	requiresPaymentMethod = "requires_payment_method"
	requiresConfirmation  = "requires_confirmation"
	requiresAction        = "requires_action"
	requiresCapture       = "requires_capture"
	succeeded             = "succeeded"
	canceled              = "canceled"
)

// header is what never changes of a payment intent; its versions share it.
type header struct {
	id          string
	amount      int64 // minor units
	currency    string
	created     int64 // Unix seconds
	manual      bool  // captured by a call of its own
	description string
	suffix      string // of the payer's statement
	metadata    metadata
}

// intent is one version of a payment intent. It is immutable: the result that
// an idempotency key keeps is the version of its time.
type intent struct {
	*header
	status       string
	card         *card
	failure      *decline // of the latest attempt to pay
	action       *action  // of the latest that the payer had to act on
	charges      int      // made so far, refused ones included
	charged      int64    // when the latest was, Unix seconds
	refused      *decline // of the latest charge
	received     int64    // captured, minor units
	refunded     int64    // minor units
	canceledAt   int64
	cancelReason string
}

// refund is immutable: refunds of cards succeed at once.
type refund struct {
	id       string
	intent   *header
	charge   int // which charge of the intent
	amount   int64
	created  int64
	reason   string
	metadata metadata
}

// keyWindow is how long the result of a key is kept.
const keyWindow = 24 * time.Hour

// stored is the result that an idempotency key keeps.
type stored struct {
	key         string
	fingerprint fingerprint
	requestID   string
	at          int64 // Unix seconds
	inFlight    bool  // not answered yet
	result      result
}

// bank is the state: payments, refunds and the results of keys. Everything in
// it follows from the journal.
type bank struct {
	now func() time.Time
	// stopping ends calls that were told to wait.
	stopping chan struct{}
	stop     func() // closes stopping
	faults   faults

	mu          sync.Mutex
	journal     *journal
	seq         int64 // of the latest event
	intents     map[string]*intent
	order       []*header // oldest first
	refunds     map[string]*refund
	refundOrder []*refund
	keys        map[string]*stored
	keyOrder    []*stored          // oldest first
	fired       map[string]int64   // faults by kind
	charges     []chargeRef        // oldest first
	superseded  map[string]*intent // versions whose charge was not the last, by the charge's id
	movements   []movement         // oldest first
	notices     []*notice          // oldest first
	endpoints   int                // that are told of notices, now
	pending     map[target]*delivery
	delivered   int64
	givenUp     int64
	courier     *courier // nil without endpoints, and while the journal is read
}

// openBank rebuilds the state from the journal at path. endpoints is how many
// are told of events.
func openBank(path string, now func() time.Time, endpoints int) (*bank, error) {
	b := &bank{
		now: now, stopping: make(chan struct{}), intents: map[string]*intent{}, refunds: map[string]*refund{},
		keys: map[string]*stored{}, fired: map[string]int64{}, superseded: map[string]*intent{},
		endpoints: endpoints, pending: map[target]*delivery{},
	}
	b.stop = sync.OnceFunc(func() { close(b.stopping) })
	j, err := openJournal(path, func(ev *event) error {
		_, err := b.apply(ev)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.journal = j
	b.forget()
	for _, s := range b.keys {
		s.inFlight = false
	}
	return b, nil
}

// request is who asks: its id, and its idempotency key if it has one.
type request struct {
	id          string
	key         string
	fingerprint fingerprint
	// instead is answered, and kept, instead of what the request came to.
	instead *apiError
}

// answer is the result of a request and whether it was kept from an earlier one.
type answer struct {
	result
	replayed bool
	// executed says that it has just been executed.
	executed bool
	// original is the id of the request that was executed.
	original string
}

// execute answers a request that changes something, once per key. decide says
// what happens, by the state as it is; nothing is answered before it is on disk.
func (b *bank) execute(req request, decide func() (*event, *apiError)) answer {
	b.mu.Lock()
	b.forget()
	if kept := b.keys[req.key]; kept != nil {
		defer b.mu.Unlock()
		return kept.replay(req)
	}
	ev, refusal := decide()
	if refusal != nil && !refusal.stored {
		b.mu.Unlock()
		return answer{result: result{err: refusal}, original: req.id}
	}
	if refusal != nil {
		ev = &event{Event: eventFailed, Error: refusal}
		if refusal.intent != nil {
			ev.PaymentIntent = refusal.intent.id
		}
	}
	if req.instead != nil {
		ev.Error = req.instead
		if ev.Event == eventFailed {
			ev.PaymentIntent = ""
		}
	}
	if noticeTypes[ev.Event] != "" {
		ev.Webhooks = b.endpoints
	}
	b.stamp(ev)
	ev.RequestID, ev.IdempotencyKey, ev.Fingerprint = req.id, req.key, req.fingerprint
	res, err := b.apply(ev)
	if err != nil {
		b.mu.Unlock()
		return answer{result: result{err: broken(err)}, original: req.id}
	}
	durable := b.journal.append(ev, true)
	b.announce(ev, durable)
	kept := b.keys[req.key]
	b.mu.Unlock()

	if err := durable.wait(); err != nil {
		return answer{result: result{err: broken(err)}, original: req.id}
	}
	if kept != nil {
		b.mu.Lock()
		kept.inFlight = false
		b.mu.Unlock()
	}
	return answer{result: res, executed: true, original: req.id}
}

// stamp gives an event its place and time; the caller holds b.mu.
func (b *bank) stamp(ev *event) {
	ev.Seq, ev.At = b.seq+1, b.now().UTC().Truncate(time.Millisecond)
}

// record adds an event that no request decides on, and returns the batch to
// wait for.
func (b *bank) record(ev *event) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.note(ev, true)
}

// note is record for who holds b.mu. What is in no hurry is on disk with the
// next event that is.
func (b *bank) note(ev *event, hurry bool) *batch {
	b.stamp(ev)
	if _, err := b.apply(ev); err != nil {
		return failedBatch(err)
	}
	return b.journal.append(ev, hurry)
}

// read answers from the state, once everything in it is on disk.
func (b *bank) read(look func() (any, *apiError)) (any, *apiError) {
	b.mu.Lock()
	object, refusal := look()
	b.mu.Unlock()
	if err := b.journal.settled(); err != nil {
		return nil, broken(err)
	}
	return object, refusal
}

func broken(err error) *apiError {
	return &apiError{Status: http.StatusInternalServerError, Type: serverError, Message: "The simulator failed: " + err.Error()}
}

// keep stores a request's result under its key; the caller holds b.mu.
func (b *bank) keep(ev *event, res result) {
	s := &stored{
		key: ev.IdempotencyKey, fingerprint: ev.Fingerprint, requestID: ev.RequestID, at: ev.At.Unix(),
		inFlight: true, result: res,
	}
	b.keys[s.key] = s
	b.keyOrder = append(b.keyOrder, s)
}

// forget drops the results and notices whose time is over; the caller holds b.mu.
func (b *bank) forget() {
	limit := b.now().Add(-keyWindow).Unix()
	for len(b.keyOrder) > 0 && b.keyOrder[0].at <= limit {
		delete(b.keys, b.keyOrder[0].key)
		b.keyOrder[0] = nil
		b.keyOrder = b.keyOrder[1:]
	}
	limit = b.now().Add(-noticeWindow).Unix()
	for len(b.notices) > 0 && b.notices[0].at <= limit {
		b.notices[0] = nil
		b.notices = b.notices[1:]
	}
}

// replay answers a request whose key was seen before.
func (s *stored) replay(req request) answer {
	switch {
	case s.fingerprint != req.fingerprint:
		err := invalid("", "", "Keys for idempotent requests can only be used with the same parameters they were first used with. "+
			"Try using a key other than '%s' if you meant to execute a different request.", s.key)
		err.Type = idempotencyError
		return answer{result: result{err: err}, original: req.id}
	case s.inFlight:
		err := invalid("", "idempotency_key_in_use", "There is currently another in-progress request using this Idempotent Key "+
			"(that probably means you submitted twice, and the other request is still going through): %s. "+
			"Please try again later.", s.key)
		err.Status, err.Type = http.StatusConflict, idempotencyError
		return answer{result: result{err: err}, original: req.id}
	default:
		return answer{result: s.result, replayed: true, original: s.requestID}
	}
}
