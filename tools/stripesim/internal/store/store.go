// Package store keeps the simulator's payments. Its state follows from a
// journal on disk: a change is an entry of the journal, and nothing is answered
// before its entry is synced.
package store

import (
	"io"
	"sync"
	"time"
)

// Store is the state, its mutex and the journal.
type Store struct {
	mu    sync.Mutex
	state State
}

// Open rebuilds the state from the journal at path. Events are delivered to
// webhook endpoints 1 to endpoints.
func Open(path string, now func() time.Time, endpoints int) (*Store, error) {
	s := &Store{state: State{
		Intents: map[string]*Intent{}, Refunds: map[string]*Refund{}, Fired: map[string]int64{},
		now: now, keys: map[string]*stored{}, superseded: map[string]*Intent{},
		endpoints: endpoints, undelivered: map[Webhook]*Delivery{},
	}}
	st := &s.state
	j, err := openJournal(path, func(e *Entry) error {
		_, err := st.apply(e)
		return err
	})
	if err != nil {
		return nil, err
	}
	st.journal = j
	st.expire()
	for _, kept := range st.keys {
		kept.inFlight = false
	}
	return s, nil
}

// Close makes the journal durable and releases it.
func (s *Store) Close() error { return s.state.journal.close() }

// Update calls fn with the state locked.
func (s *Store) Update(fn func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.state)
}

// Read calls look with the state locked and returns its answer once everything
// in the state is on disk.
func (s *Store) Read(look func(*State) (any, *Error)) (any, *Error) {
	s.mu.Lock()
	object, refusal := look(&s.state)
	s.mu.Unlock()
	if err := s.state.journal.settled(); err != nil {
		return nil, Broken(err)
	}
	return object, refusal
}

// RecordFault writes down that a call has a fault, and returns once that is on
// disk.
func (s *Store) RecordFault(requestID string, f Fault) error {
	s.mu.Lock()
	durable := s.state.record(&Entry{Type: entryFault, RequestID: requestID, Fault: &f}, true)
	s.mu.Unlock()
	return durable.Wait()
}

// Journal syncs the journal and returns a reader of all its lines.
func (s *Store) Journal() (io.Reader, error) {
	if err := s.Sync(); err != nil {
		return nil, err
	}
	return s.state.journal.reader(), nil
}

// Sync returns when every entry is on disk.
func (s *Store) Sync() error { return s.state.journal.sync() }

// Request identifies a request that changes something.
type Request struct {
	ID string
	// IdempotencyKey may be empty; then Fingerprint is not used.
	IdempotencyKey string
	Fingerprint    Fingerprint
	// Override is answered, and kept under the key, instead of the result.
	Override *Error
}

// Result is the outcome of a request that was executed: an object as it was
// then, or an error.
type Result struct {
	Object any // *Intent or *Refund
	Err    *Error
}

// Answer is the result of a request and where it is from.
type Answer struct {
	Result
	// Replayed says that the result was kept from an earlier request, and
	// Executed that the request has just been executed.
	Replayed bool
	Executed bool
	// OriginalRequest is the id of the request that was executed.
	OriginalRequest string
}

// Execute answers a request that changes something, once per idempotency key.
// decide is called with the state locked and returns the entry that follows
// from the request; Execute returns once that is on disk.
func (s *Store) Execute(req Request, decide func(*State) (*Entry, *Error)) Answer {
	st := &s.state
	s.mu.Lock()
	st.expire()
	if kept := st.keys[req.IdempotencyKey]; kept != nil {
		defer s.mu.Unlock()
		return kept.replay(req)
	}
	e, refusal := decide(st)
	if refusal != nil && !refusal.Kept {
		s.mu.Unlock()
		return Answer{Result: Result{Err: refusal}, OriginalRequest: req.ID}
	}
	if refusal != nil {
		e = &Entry{Type: entryFailed, Error: refusal}
		if refusal.Intent != nil {
			e.PaymentIntent = refusal.Intent.ID
		}
	}
	if req.Override != nil {
		e.Error = req.Override
		if e.Type == entryFailed {
			e.PaymentIntent = ""
		}
	}
	if eventTypes[e.Type] != "" {
		e.Webhooks = st.endpoints
	}
	st.stamp(e)
	e.RequestID, e.IdempotencyKey, e.Fingerprint = req.ID, req.IdempotencyKey, req.Fingerprint
	res, err := st.apply(e)
	if err != nil {
		s.mu.Unlock()
		return Answer{Result: Result{Err: Broken(err)}, OriginalRequest: req.ID}
	}
	durable := st.journal.append(e, true)
	st.announce(e, durable)
	kept := st.keys[req.IdempotencyKey]
	s.mu.Unlock()

	if err := durable.Wait(); err != nil {
		return Answer{Result: Result{Err: Broken(err)}, OriginalRequest: req.ID}
	}
	if kept != nil {
		s.mu.Lock()
		kept.inFlight = false
		s.mu.Unlock()
	}
	return Answer{Result: res, Executed: true, OriginalRequest: req.ID}
}
