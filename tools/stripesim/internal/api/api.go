// Package api serves Stripe's HTTP API, as far as payments by card need it,
// and the simulator's control endpoints under /_sim/.
package api

import (
	"net/http"
	"sync"

	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/id"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/webhook"
)

// API is the simulator's HTTP interface.
type API struct {
	// Stop ends the calls that a fault keeps waiting.
	Stop func()

	store      *store.Store
	faults     *fault.Set
	dispatcher *webhook.Dispatcher
	stopping   chan struct{} // closed by Stop
}

// New returns the HTTP interface of a store.
func New(s *store.Store, faults *fault.Set, dispatcher *webhook.Dispatcher) *API {
	stopping := make(chan struct{})
	return &API{
		Stop:  sync.OnceFunc(func() { close(stopping) }),
		store: s, faults: faults, dispatcher: dispatcher, stopping: stopping,
	}
}

// Handler returns the routes.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /v1/payment_intents", a.post(fault.OpIntentCreate, createIntent))
	mux.Handle("POST /v1/payment_intents/{id}/confirm", a.post(fault.OpIntentConfirm, confirmIntent))
	mux.Handle("POST /v1/payment_intents/{id}/capture", a.post(fault.OpIntentCapture, captureIntent))
	mux.Handle("POST /v1/payment_intents/{id}/cancel", a.post(fault.OpIntentCancel, cancelIntent))
	mux.Handle("POST /v1/refunds", a.post(fault.OpRefundCreate, createRefund))
	mux.Handle("GET /v1/payment_intents", a.get(fault.OpIntentList, listIntents))
	mux.Handle("GET /v1/payment_intents/search", a.get(fault.OpIntentSearch, searchIntents))
	mux.Handle("GET /v1/payment_intents/{id}", a.get(fault.OpIntentRetrieve, getIntent))
	mux.Handle("GET /v1/charges", a.get(fault.OpChargeList, listCharges))
	mux.Handle("GET /v1/charges/{id}", a.get(fault.OpChargeRetrieve, getCharge))
	mux.Handle("GET /v1/refunds", a.get(fault.OpRefundList, listRefunds))
	mux.Handle("GET /v1/refunds/{id}", a.get(fault.OpRefundRetrieve, getRefund))
	mux.Handle("GET /v1/balance_transactions", a.get(fault.OpBalanceTransactionList, listBalanceTransactions))
	mux.Handle("GET /v1/events", a.get(fault.OpEventList, listEvents))
	mux.Handle("GET /v1/events/{id}", a.get(fault.OpEventRetrieve, getEvent))
	mux.HandleFunc("GET /_sim/payment_intents/{id}/authenticate", a.showAuthenticate)
	mux.HandleFunc("POST /_sim/payment_intents/{id}/authenticate", a.authenticate)
	mux.HandleFunc("GET /_sim/webhooks", a.serveWebhooks)
	mux.HandleFunc("POST /_sim/webhooks/flush", a.flushWebhooks)
	mux.HandleFunc("GET /_sim/faults", a.serveFaults)
	mux.HandleFunc("PUT /_sim/faults", a.replaceFaults)
	mux.HandleFunc("DELETE /_sim/faults", a.endFaults)
	mux.HandleFunc("GET /_sim/journal", a.serveJournal)
	mux.HandleFunc("GET /_sim/summary", a.serveSummary)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		err := store.Invalid("", "", "Unrecognized request URL (%s: %s).", r.Method, r.URL.Path)
		err.Status = http.StatusNotFound
		writeError(w, id.New("req_"), err)
	})
	return mux
}
