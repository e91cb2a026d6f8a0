package api

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"

	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// The endpoints here are the simulator's own, without authentication.

// serveJournal streams the journal's lines.
func (a *API) serveJournal(w http.ResponseWriter, _ *http.Request) {
	lines, err := a.store.Journal()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = io.Copy(w, lines) // the reader is gone if it fails
}

// serveSummary answers with the figures of an audit.
func (a *API) serveSummary(w http.ResponseWriter, _ *http.Request) {
	sum, err := a.store.Read(func(st *store.State) (any, *store.Error) { return st.Summary(), nil })
	if err != nil {
		http.Error(w, err.Message, err.Status)
		return
	}
	writeReport(w, sum)
}

// serveWebhooks reports on the webhooks.
func (a *API) serveWebhooks(w http.ResponseWriter, _ *http.Request) {
	writeReport(w, a.dispatcher.Report())
}

// flushWebhooks sends the webhooks that wait for their time. What was delivered
// before is in the journal then.
func (a *API) flushWebhooks(w http.ResponseWriter, _ *http.Request) {
	flushed := a.dispatcher.Flush()
	if err := a.store.Sync(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	report := a.dispatcher.Report()
	report.Flushed = flushed
	writeReport(w, report)
}

// faultsReport is what /_sim/faults answers.
type faultsReport struct {
	Rules []fault.Usage `json:"rules"`
	// Fired counts by kind over the whole journal.
	Fired map[string]int64 `json:"fired"`
}

func (a *API) reportFaults() (out faultsReport) {
	a.store.Update(func(st *store.State) { out.Fired = maps.Clone(st.Fired) })
	out.Rules = a.faults.Usage()
	return out
}

func (a *API) serveFaults(w http.ResponseWriter, _ *http.Request) { writeReport(w, a.reportFaults()) }

// replaceFaults ends all rules and starts those of the body.
func (a *API) replaceFaults(w http.ResponseWriter, r *http.Request) {
	rules, err := a.faults.Parse(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.faults.Replace(rules)
	writeReport(w, a.reportFaults())
}

// endFaults ends all rules and answers with their last report.
func (a *API) endFaults(w http.ResponseWriter, _ *http.Request) {
	report := a.reportFaults()
	a.faults.Replace(nil)
	writeReport(w, report)
}

func writeReport(w http.ResponseWriter, report any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(report) // the reader is gone if it fails
}
