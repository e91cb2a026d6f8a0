package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"go.opentelemetry.io/otel/trace"
)

// WriteProblem answers an error with a problem document. It is the only way
// errors leave the API.
func (a *API) WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	e := problem.As(err)
	ctx := r.Context()
	if e.Type.Status == http.StatusInternalServerError {
		a.log.ErrorContext(ctx, "request failed", "method", r.Method, "path", edge.PathOf(r, false), "request_id", edge.RequestID(ctx), "error", err)
	}
	h := w.Header()
	switch {
	case e.Type == problem.Unauthorized: // no credentials: no error (RFC 6750, section 3.1)
		h.Set("WWW-Authenticate", `Bearer realm="souk"`)
	case e.Type == problem.InvalidToken:
		h.Set("WWW-Authenticate", `Bearer realm="souk", error="invalid_token", error_description="`+e.Detail+`"`)
	case e.Type == problem.Forbidden:
		h.Set("WWW-Authenticate", `Bearer realm="souk", error="insufficient_scope", error_description="`+e.Detail+`"`)
	case e.Type == problem.MissingScope:
		h.Set("WWW-Authenticate", `Bearer realm="souk", error="insufficient_scope", scope="`+e.Scope+`", error_description="`+e.Detail+`"`)
	case h["Retry-After"] != nil:
	case e.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(e.Seconds()))
	case e.Type.Status == http.StatusServiceUnavailable, e.Type == problem.IdempotencyKeyInFlight:
		h.Set("Retry-After", "1")
	}
	sendProblem(ctx, w, newProblem(e))
}

func newProblem(e *problem.Error) *Problem {
	p := &Problem{Type: e.Type.URI(), Title: e.Type.Title, Status: e.Type.Status, Detail: e.Detail, Limit: e.Limit, Scope: e.Scope}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, FieldError{Field: f.Field, Detail: f.Detail})
	}
	for _, s := range e.Shortages {
		p.Shortages = append(p.Shortages, Shortage{SKU: s.SKU, Requested: s.Requested, Available: s.Available})
	}
	p.PriceChange = newPriceDifference(e.PriceChange)
	return p
}

func newPriceDifference(in *problem.PriceChange) *PriceDifference {
	if in == nil {
		return nil
	}
	line := func(l *problem.PricedLine) *PricedLine {
		if l == nil {
			return nil
		}
		return &PricedLine{Name: l.Name, Quantity: l.Quantity, UnitPrice: newMoney(l.UnitPrice)}
	}
	out := &PriceDifference{Before: newMoney(in.Before), Now: newMoney(in.Now)}
	if more := int64(in.More); more > 0 {
		out.MoreLines = &more
	}
	for _, l := range in.Lines {
		out.Lines = append(out.Lines, LineChange{SKU: l.SKU, Before: line(l.Before), Now: line(l.Now)})
	}
	return out
}

func sendProblem(ctx context.Context, w http.ResponseWriter, p *Problem) {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		p.TraceID = sc.TraceID().String()
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"type":"/problems/internal","title":"Something went wrong","status":500}`)
	}
	h := w.Header()
	h.Del("ETag")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client may be gone
}
