package metricstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/tools/internal/dashboards"
	"github.com/souk-shop/souk/tools/internal/storeserver"
)

// QueryPath answers PromQL over a range as Prometheus' API does, so that its tools can ask.
const QueryPath = "/api/v1/query_range"

const (
	// askers is how many are answered at a time, which bounds their memory.
	askers = 2
	// answerTimeout bounds an answer, and the wait for its turn.
	answerTimeout = 8 * time.Second
	// maxPoints is how many points of each series a query may ask for, and maxQuery how long it is, in bytes.
	maxPoints = 2000
	maxQuery  = 8 << 10
)

// handler answers for a store.
type handler struct {
	evaluator
	slots chan struct{}
}

// NewServer makes a server of a store: dashboards and queries, for those who have its token.
func NewServer(store *Store, token string, log *slog.Logger) *storeserver.Server {
	h := &handler{
		evaluator: evaluator{store: store, engine: newEngine(log), log: log, all: dashboards.All()},
		slots:     make(chan struct{}, askers),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metrics.DashboardPath+"{id}", h.inTurn(h.serveDashboard))
	mux.HandleFunc("GET "+QueryPath, h.inTurn(h.serveQuery))
	return storeserver.New(mux, token)
}

// inTurn bounds how many are answered at a time, and for how long.
func (h *handler) inTurn(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
			next(w, r.WithContext(ctx))
		case <-ctx.Done():
			http.Error(w, "others are answered", http.StatusServiceUnavailable)
		}
	}
}

func (h *handler) serveDashboard(w http.ResponseWriter, r *http.Request) {
	q, err := metrics.ParseQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d, err := h.dashboard(r.Context(), r.PathValue("id"), q, time.Now())
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case d == nil:
		http.Error(w, metrics.ErrNotFound.Error(), http.StatusNotFound)
	default:
		storeserver.Answer(w, d)
	}
}

// answer is what Prometheus' API answers.
type answer struct {
	Status    string `json:"status"`
	Data      any    `json:"data,omitempty"`
	ErrorType string `json:"errorType,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (h *handler) serveQuery(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, kind string, err error) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		storeserver.Answer(w, answer{Status: "error", ErrorType: kind, Error: err.Error()})
	}
	asked := r.URL.Query()
	expr := asked.Get("query")
	start, err1 := parseTime("start", asked.Get("start"))
	end, err2 := parseTime("end", asked.Get("end"))
	step, err3 := parseStep(asked.Get("step"))
	err := errors.Join(err1, err2, err3)
	switch {
	case err != nil:
	case expr == "" || len(expr) > maxQuery:
		err = fmt.Errorf("query: want PromQL of at most %d bytes", maxQuery)
	case end.Before(start):
		err = errors.New("end: want one that is not before start")
	case end.Sub(start)/step >= maxPoints:
		err = fmt.Errorf("step: want a longer one: a series has %d points at most", maxPoints)
	}
	if err != nil {
		refuse(http.StatusBadRequest, "bad_data", err)
		return
	}
	err = ranged(r.Context(), h.engine, h.store, expr, start, end, step, func(found promql.Matrix) {
		storeserver.Answer(w, answer{Status: "success", Data: map[string]any{"resultType": found.Type(), "result": found}})
	})
	if err != nil {
		refuse(http.StatusUnprocessableEntity, "execution", err)
	}
}

// parseTime reads seconds since 1970, or RFC 3339.
func parseTime(name, text string) (time.Time, error) {
	if s, err := strconv.ParseFloat(text, 64); err == nil && s >= 0 && s < 1e11 {
		return time.UnixMilli(int64(s * 1000)), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, fmt.Errorf("%s: want seconds since 1970, or a time such as 2026-11-29T12:00:00Z", name)
	}
	return at, nil
}

// parseStep reads seconds, or a duration.
func parseStep(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if s, secondsErr := strconv.ParseFloat(text, 64); secondsErr == nil && s < 1e9 {
		d, err = time.Duration(s*float64(time.Second)), nil
	}
	if err != nil || d < time.Millisecond {
		return 0, errors.New("step: want seconds, or a duration such as 10s")
	}
	return d, nil
}
