package store

import (
	"net/http"
	"time"
)

// keyWindow is how long the result of an idempotency key is kept.
const keyWindow = 24 * time.Hour

// stored is the response that is kept under an idempotency key.
type stored struct {
	key         string
	fingerprint Fingerprint
	requestID   string
	at          int64 // Unix seconds
	inFlight    bool  // the entry is not on disk yet
	result      Result
}

// keep stores the result of the request that made an entry.
func (st *State) keep(e *Entry, res Result) {
	s := &stored{
		key: e.IdempotencyKey, fingerprint: e.Fingerprint, requestID: e.RequestID, at: e.At.Unix(),
		inFlight: true, result: res,
	}
	st.keys[s.key] = s
	st.keyOrder = append(st.keyOrder, s)
}

// expire drops the responses and the events that Stripe would not have any more.
func (st *State) expire() {
	limit := st.now().Add(-keyWindow).Unix()
	for len(st.keyOrder) > 0 && st.keyOrder[0].at <= limit {
		delete(st.keys, st.keyOrder[0].key)
		st.keyOrder[0] = nil
		st.keyOrder = st.keyOrder[1:]
	}
	limit = st.now().Add(-EventWindow).Unix()
	for len(st.Events) > 0 && st.Events[0].At <= limit {
		st.Events[0] = nil
		st.Events = st.Events[1:]
	}
}

// replay answers a request whose key was used before.
func (s *stored) replay(req Request) Answer {
	switch {
	case s.fingerprint != req.Fingerprint:
		err := Invalid("", "", "Keys for idempotent requests can only be used with the same parameters they were first used with. "+
			"Try using a key other than '%s' if you meant to execute a different request.", s.key)
		err.Type = IdempotencyError
		return Answer{Result: Result{Err: err}, OriginalRequest: req.ID}
	case s.inFlight:
		err := Invalid("", "idempotency_key_in_use", "There is currently another in-progress request using this Idempotent Key "+
			"(that probably means you submitted twice, and the other request is still going through): %s. "+
			"Please try again later.", s.key)
		err.Status, err.Type = http.StatusConflict, IdempotencyError
		return Answer{Result: Result{Err: err}, OriginalRequest: req.ID}
	default:
		return Answer{Result: s.result, Replayed: true, OriginalRequest: s.requestID}
	}
}
