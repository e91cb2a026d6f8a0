package api

import (
	"cmp"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/id"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/wire"
)

const (
	maxBody = 1 << 20 // bytes
	maxKey  = 255     // characters
)

// request is what a handler knows of a call of the API.
type request struct {
	id     string // in the path; empty if there is none
	params *params
	origin string // the simulator as the caller reaches it
}

// post answers a request that changes something. decide is called with the
// store locked.
func (a *API) post(operation string, decide func(*store.State, request) (*store.Entry, *store.Error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := store.Request{ID: id.New("req_"), IdempotencyKey: strings.Clone(r.Header.Get("Idempotency-Key"))}
		form, err := readForm(w, r)
		c, faultErr := a.planFaults(operation, req, cmp.Or(r.Header.Get(faultHeader), form.Get(faultMetadata)))
		if faultErr != nil {
			writeError(w, req.ID, faultErr)
			return
		}
		if !c.before(w, r) {
			return
		}
		if err == nil {
			err = authorize(r)
		}
		if err == nil && len(req.IdempotencyKey) > maxKey {
			err = store.Invalid("", "", "Idempotency keys must be at most %d characters.", maxKey)
			err.Type = store.IdempotencyError
		}
		p := newParams(form)
		expand, expandErr := expansionOf(p)
		if err == nil {
			err = expandErr
		}
		if err != nil {
			c.after(r, false)
			writeError(w, req.ID, err)
			return
		}
		if req.IdempotencyKey != "" {
			req.Fingerprint = store.FingerprintOf(r.Method, r.URL.Path, form)
			w.Header().Set("Idempotency-Key", req.IdempotencyKey)
		}
		if v := r.Header.Get("Stripe-Version"); v != "" {
			w.Header().Set("Stripe-Version", v)
		}
		if c.is(fault.ErrorAfterCommit) {
			req.Override = errorAfterCommit()
		}
		answer := a.store.Execute(req, func(st *store.State) (*store.Entry, *store.Error) {
			return decide(st, request{r.PathValue("id"), p, strings.Clone(origin(r))})
		})
		c.after(r, answer.Executed || answer.Replayed && req.Override == nil)
		if req.IdempotencyKey != "" {
			w.Header().Set("Original-Request", answer.OriginalRequest)
		}
		if answer.Replayed {
			w.Header().Set("Idempotent-Replayed", "true")
		}
		if answer.Err != nil {
			writeError(w, req.ID, answer.Err)
			return
		}
		writeJSON(w, req.ID, http.StatusOK, render(answer.Object, expand))
	})
}

// get answers a request that only reads. look is called with the store locked.
func (a *API) get(operation string, look func(*store.State, request) (any, *store.Error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requestID := id.New("req_")
		c, faultErr := a.planFaults(operation, store.Request{ID: requestID}, r.Header.Get(faultHeader))
		if faultErr != nil {
			writeError(w, requestID, faultErr)
			return
		}
		if !c.before(w, r) {
			return
		}
		form, parseErr := url.ParseQuery(r.URL.RawQuery)
		err := authorize(r)
		if err == nil && parseErr != nil {
			err = store.Invalid("", "", "Invalid query string.")
		}
		p := newParams(form)
		expand, expandErr := expansionOf(p)
		if err == nil {
			err = expandErr
		}
		if err != nil {
			c.after(r, false)
			writeError(w, requestID, err)
			return
		}
		object, err := a.store.Read(func(st *store.State) (any, *store.Error) {
			return look(st, request{id: r.PathValue("id"), params: p})
		})
		c.after(r, true)
		if c.is(fault.ErrorAfterCommit) {
			err = errorAfterCommit()
		}
		if err != nil {
			writeError(w, requestID, err)
			return
		}
		writeJSON(w, requestID, http.StatusOK, render(object, expand))
	})
}

// readForm reads the body of a POST: a form.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *store.Error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/x-www-form-urlencoded" {
			return nil, store.Invalid("", "", "Invalid request (check that your POST content type is application/x-www-form-urlencoded).")
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, store.Invalid("", "", "Invalid request: the body can't be read.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, store.Invalid("", "", "Invalid request: the body is no form.")
	}
	return form, nil
}

// authorize accepts any secret key of test mode, as bearer token or as user of
// basic authentication.
func authorize(r *http.Request) *store.Error {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if user, _, basic := r.BasicAuth(); basic {
		key, ok = user, true
	}
	err := &store.Error{Status: http.StatusUnauthorized, Type: store.InvalidRequest}
	switch {
	case !ok || key == "":
		err.Message = "You did not provide an API key. You need to provide your API key in the Authorization header, " +
			"using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
	case !strings.HasPrefix(key, "sk_test_") || len(key) == len("sk_test_"):
		err.Message = "Invalid API Key provided: " + mask(key)
	default:
		return nil
	}
	return err
}

// mask hides a key but for its ends.
func mask(key string) string {
	const shown = 4
	if len(key) <= 2*shown {
		return strings.Repeat("*", len(key))
	}
	return key[:shown] + strings.Repeat("*", len(key)-2*shown) + key[len(key)-shown:]
}

// origin is the simulator as the caller of a request reaches it.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// expandable are the fields that can be asked for as objects.
var expandable = map[string]bool{"latest_charge": true, "data.latest_charge": true, "data.source": true}

func expansionOf(p *params) (wire.Expansion, *store.Error) {
	var out wire.Expansion
	for _, field := range p.list("expand") {
		if !expandable[field] {
			return nil, store.Invalid("", "", "This property cannot be expanded (%s).", field)
		}
		if out == nil {
			out = wire.Expansion{}
		}
		out[field] = true
	}
	return out, nil
}

// chargeOf is the latest charge of a version of an intent.
type chargeOf struct{ intent *store.Intent }

// pendingEvent is an event and the number of endpoints that it is not
// delivered to yet.
type pendingEvent struct {
	event   *store.Event
	pending int
}

// render turns an object of the store into Stripe's. The store's objects are
// immutable, so that this needs no lock.
func render(object any, expand wire.Expansion) any {
	switch o := object.(type) {
	case *store.Intent:
		return wire.NewPaymentIntent(o, expand)
	case *store.Refund:
		return wire.NewRefund(o)
	case chargeOf:
		return wire.NewCharge(o.intent)
	case store.BalanceTransaction:
		return wire.NewBalanceTransaction(o, expand)
	case pendingEvent:
		return wire.NewEvent(o.event, o.pending)
	case wire.List:
		for i := range o.Data {
			o.Data[i] = render(o.Data[i], expand.Under("data"))
		}
		return o
	case wire.SearchResult:
		for i := range o.Data {
			o.Data[i] = render(o.Data[i], expand.Under("data"))
		}
		return o
	default:
		return o
	}
}

func writeError(w http.ResponseWriter, requestID string, err *store.Error) {
	body := wire.NewError(err)
	body.RequestLogURL = "https://dashboard.stripe.com/test/logs/" + requestID
	writeJSON(w, requestID, err.Status, map[string]any{"error": body})
}

func writeJSON(w http.ResponseWriter, requestID string, status int, body any) {
	if w.Header().Get("Stripe-Version") == "" {
		w.Header().Set("Stripe-Version", wire.APIVersion)
	}
	w.Header().Set("Request-Id", requestID)
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":{"type":"api_error","message":"unencodable"}}`)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller is gone if it fails
}
