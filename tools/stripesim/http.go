package stripesim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxBody = 1 << 20
	// apiVersion is answered when the caller names none.
	apiVersion = "2026-03-25.dahlia"
	maxKey     = 255
)

// handler returns the simulator's HTTP interface.
func (b *bank) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /v1/payment_intents", b.post(opIntentCreate, func(_ string, p *params) (*event, *apiError) { return b.create(p) }))
	mux.Handle("POST /v1/payment_intents/{id}/confirm", b.post(opIntentConfirm, b.confirm))
	mux.Handle("POST /v1/payment_intents/{id}/capture", b.post(opIntentCapture, b.capture))
	mux.Handle("POST /v1/payment_intents/{id}/cancel", b.post(opIntentCancel, b.cancel))
	mux.Handle("POST /v1/refunds", b.post(opRefundCreate, func(_ string, p *params) (*event, *apiError) { return b.refund(p) }))
	mux.Handle("GET /v1/payment_intents", b.get(opIntentList, b.listIntents))
	mux.Handle("GET /v1/payment_intents/search", b.get(opIntentSearch, b.searchIntents))
	mux.Handle("GET /v1/payment_intents/{id}", b.get(opIntentRetrieve, b.getIntent))
	mux.Handle("GET /v1/charges", b.get(opChargeList, b.listCharges))
	mux.Handle("GET /v1/charges/{id}", b.get(opChargeRetrieve, b.getCharge))
	mux.Handle("GET /v1/refunds", b.get(opRefundList, b.listRefunds))
	mux.Handle("GET /v1/refunds/{id}", b.get(opRefundRetrieve, b.getRefund))
	mux.Handle("GET /v1/balance_transactions", b.get(opMovementList, b.listMovements))
	mux.Handle("GET /v1/events", b.get(opNoticeList, b.listNotices))
	mux.Handle("GET /v1/events/{id}", b.get(opNoticeRetrieve, b.getNotice))
	mux.HandleFunc("GET /_sim/payment_intents/{id}/authenticate", b.serveAuthenticate)
	mux.HandleFunc("POST /_sim/payment_intents/{id}/authenticate", b.serveAuthenticate)
	mux.HandleFunc("GET /_sim/webhooks", b.serveWebhooks)
	mux.HandleFunc("POST /_sim/webhooks/flush", b.serveWebhooks)
	mux.HandleFunc("GET /_sim/faults", b.serveFaults)
	mux.HandleFunc("PUT /_sim/faults", b.serveFaults)
	mux.HandleFunc("DELETE /_sim/faults", b.serveFaults)
	mux.HandleFunc("GET /_sim/journal", b.serveJournal)
	mux.HandleFunc("GET /_sim/summary", b.serveSummary)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		err := invalid("", "", "Unrecognized request URL (%s: %s).", r.Method, r.URL.Path)
		err.Status = http.StatusNotFound
		writeError(w, newID("req_"), err)
	})
	return mux
}

// post answers a request that changes something.
func (b *bank) post(operation string, decide func(id string, p *params) (*event, *apiError)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := request{id: newID("req_"), key: strings.Clone(r.Header.Get("Idempotency-Key"))}
		form, err := readForm(w, r)
		c, faultErr := b.misbehave(operation, req, cmp.Or(r.Header.Get(faultHeader), form.Get(faultMetadata)))
		if faultErr != nil {
			writeError(w, req.id, faultErr)
			return
		}
		if !c.before(w, r) {
			return
		}
		if err == nil {
			err = authorize(r)
		}
		if err == nil && len(req.key) > maxKey {
			err = invalid("", "", "Idempotency keys must be at most %d characters.", maxKey)
			err.Type = idempotencyError
		}
		p := newParams(form)
		p.origin = strings.Clone(origin(r))
		expand, expandErr := expansionOf(p)
		if err == nil {
			err = expandErr
		}
		if err != nil {
			c.after(r, false)
			writeError(w, req.id, err)
			return
		}
		if req.key != "" {
			req.fingerprint = fingerprintOf(r.Method, r.URL.Path, form)
			w.Header().Set("Idempotency-Key", req.key)
		}
		if v := r.Header.Get("Stripe-Version"); v != "" {
			w.Header().Set("Stripe-Version", v)
		}
		if c.is(faultErrorAfterCommit) {
			req.instead = afterCommit()
		}
		answer := b.execute(req, func() (*event, *apiError) { return decide(r.PathValue("id"), p) })
		c.after(r, answer.executed || answer.replayed && req.instead == nil)
		if req.key != "" {
			w.Header().Set("Original-Request", answer.original)
		}
		if answer.replayed {
			w.Header().Set("Idempotent-Replayed", "true")
		}
		if answer.err != nil {
			writeError(w, req.id, answer.err)
			return
		}
		writeJSON(w, req.id, http.StatusOK, render(answer.object, expand))
	})
}

// get answers a request that only reads.
func (b *bank) get(operation string, look func(id string, p *params) (any, *apiError)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := newID("req_")
		c, faultErr := b.misbehave(operation, request{id: id}, r.Header.Get(faultHeader))
		if faultErr != nil {
			writeError(w, id, faultErr)
			return
		}
		if !c.before(w, r) {
			return
		}
		form, parseErr := url.ParseQuery(r.URL.RawQuery)
		err := authorize(r)
		if err == nil && parseErr != nil {
			err = invalid("", "", "Invalid query string.")
		}
		p := newParams(form)
		expand, expandErr := expansionOf(p)
		if err == nil {
			err = expandErr
		}
		if err != nil {
			c.after(r, false)
			writeError(w, id, err)
			return
		}
		object, err := b.read(func() (any, *apiError) { return look(r.PathValue("id"), p) })
		c.after(r, true)
		if c.is(faultErrorAfterCommit) {
			err = afterCommit()
		}
		if err != nil {
			writeError(w, id, err)
			return
		}
		writeJSON(w, id, http.StatusOK, render(object, expand))
	})
}

// readForm reads the body of a POST: a form.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *apiError) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/x-www-form-urlencoded" {
			return nil, invalid("", "", "Invalid request (check that your POST content type is application/x-www-form-urlencoded).")
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, invalid("", "", "Invalid request: the body can't be read.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalid("", "", "Invalid request: the body is no form.")
	}
	return form, nil
}

// authorize takes any secret key of test mode, as bearer or as basic user.
func authorize(r *http.Request) *apiError {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if user, _, basic := r.BasicAuth(); basic {
		key, ok = user, true
	}
	err := &apiError{Status: http.StatusUnauthorized, Type: invalidRequest}
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

// expandable are the fields that can be asked for as objects.
var expandable = map[string]bool{"latest_charge": true, "data.latest_charge": true, "data.source": true}

func expansionOf(p *params) (expansion, *apiError) {
	var out expansion
	for _, field := range p.list("expand") {
		if !expandable[field] {
			return nil, invalid("", "", "This property cannot be expanded (%s).", field)
		}
		if out == nil {
			out = expansion{}
		}
		out[field] = true
	}
	return out, nil
}

// render turns a state's object into Stripe's.
func render(object any, expand expansion) any {
	switch o := object.(type) {
	case *intent:
		return o.render(expand)
	case *refund:
		return o.render()
	case chargeOf:
		return o.renderCharge()
	case movement:
		return o.render(expand)
	case noticeOf:
		return o.render(o.pending)
	case listObject:
		for i := range o.Data {
			o.Data[i] = render(o.Data[i], expand.under("data"))
		}
		return o
	case searchResult:
		for i := range o.Data {
			o.Data[i] = render(o.Data[i], expand.under("data"))
		}
		return o
	default:
		return o
	}
}

func writeError(w http.ResponseWriter, id string, err *apiError) {
	body := err.render()
	body.RequestLogURL = "https://dashboard.stripe.com/test/logs/" + id
	writeJSON(w, id, err.Status, map[string]any{"error": body})
}

func writeJSON(w http.ResponseWriter, id string, status int, body any) {
	if w.Header().Get("Stripe-Version") == "" {
		w.Header().Set("Stripe-Version", apiVersion)
	}
	w.Header().Set("Request-Id", id)
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":{"type":"api_error","message":"unencodable"}}`)
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller is gone if it fails
}

// serveJournal streams the events that are on disk.
func (b *bank) serveJournal(w http.ResponseWriter, _ *http.Request) {
	if err := b.journal.sync(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = io.Copy(w, b.journal.reader()) // the reader is gone if it fails
}

// serveSummary answers with the figures of an audit.
func (b *bank) serveSummary(w http.ResponseWriter, _ *http.Request) {
	sum, err := b.read(func() (any, *apiError) { return b.summary(), nil })
	if err != nil {
		http.Error(w, errors.New(err.Message).Error(), err.Status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(sum) // the reader is gone if it fails
}
