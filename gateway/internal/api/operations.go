package api

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

// access says whose token an operation takes.
type access uint8

const (
	anyone     access = iota
	guest             // a shopper, or nobody yet
	shopper           // a shopper
	owner             // a shopper for what is theirs, the operator for everything
	operatorly        // the operator
)

// operation is what the generated code does not know of openapi.yaml. A test
// compares the table with the document.
type operation struct {
	access   access
	query    []string       // the parameters there are
	body     func() checker // of a JSON body
	optional bool           // the body may be left out
	csv      bool
}

var operations = map[string]*operation{
	"GET /v1/products": {query: []string{"q", "category", "min_price", "max_price", "in_stock", "sort", "limit", "cursor", "facets"}},

	"GET /v1/products/{sku}":         {},
	"GET /v1/products/{sku}/related": {query: []string{"limit"}},
	"GET /v1/categories":             {},

	"POST /v1/carts":                         {access: guest, body: func() checker { return new(NewCart) }, optional: true},
	"GET /v1/carts/{cart_id}":                {access: shopper},
	"PUT /v1/carts/{cart_id}/lines":          {access: shopper, body: func() checker { return new(Lines) }},
	"POST /v1/carts/{cart_id}/lines":         {access: shopper, body: func() checker { return new(Line) }},
	"PUT /v1/carts/{cart_id}/lines/{sku}":    {access: shopper, body: func() checker { return new(Quantity) }},
	"DELETE /v1/carts/{cart_id}/lines/{sku}": {access: shopper},

	"POST /v1/orders":                    {access: shopper, body: func() checker { return new(Checkout) }},
	"GET /v1/orders":                     {access: owner, query: []string{"limit", "cursor"}},
	"GET /v1/orders/{order_id}":          {access: owner},
	"POST /v1/orders/{order_id}/cancel":  {access: owner},
	"GET /v1/orders/{order_id}/events":   {access: owner},
	"POST /v1/orders/{order_id}/refunds": {access: operatorly, body: func() checker { return new(RefundInput) }},

	"PUT /v1/products/{sku}":     {access: operatorly, body: func() checker { return new(ProductInput) }},
	"POST /v1/products/import":   {access: operatorly, csv: true},
	"POST /v1/stock-adjustments": {access: operatorly, body: func() checker { return new(StockAdjustment) }},
	"POST /v1/prices":            {access: operatorly, body: func() checker { return new(PriceChanges) }},

	"POST /v1/reconciliations":                    {access: operatorly, body: func() checker { return new(ReconciliationWindow) }, optional: true},
	"GET /v1/reconciliations/{reconciliation_id}": {access: operatorly},
}

// admit lets a request through to its handler when the caller may make it and
// its query and body are in order. The path's and query's known parameters were
// bound before.
func (a *API) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := chi.RouteContext(r.Context()).RoutePattern()
		edge.SetRoute(r.Context(), route)
		op := operations[r.Method+" "+route]
		if err := op.admits(auth.FromContext(r.Context())); err != nil {
			a.WriteProblem(w, r, err)
			return
		}
		if r.URL.RawQuery != "" {
			if err := op.checkQuery(r.URL.RawQuery); err != nil {
				a.WriteProblem(w, r, err)
				return
			}
		}
		switch {
		case op.csv:
			if err := importBody(w, r); err != nil {
				a.WriteProblem(w, r, err)
				return
			}
		case op.body != nil:
			data, some, err := readJSON(w, r, op.body())
			if err == nil && !some && !op.optional {
				err = problem.Newf(problem.BodyMalformed, "The body is missing.")
			}
			if err != nil {
				a.WriteProblem(w, r, err)
				return
			}
			// The generated code decodes it once more.
			r.Body = io.NopCloser(bytes.NewReader(data))
		}
		next.ServeHTTP(w, r)
	})
}

func (op *operation) admits(id auth.Identity) error {
	if id.Forged && (!id.Cookie || op.access != anyone) {
		return problem.Newf(problem.InvalidToken, "The token was not made by this shop.")
	}
	switch op.access {
	case operatorly:
		if !id.Operator && id.Known {
			return problem.Newf(problem.Forbidden, "This needs the operator's token.")
		}
		if !id.Operator {
			return problem.Newf(problem.Unauthorized, "This needs the operator's token.")
		}
	case owner:
		if !id.Operator && !id.Known {
			return problem.Newf(problem.Unauthorized, "This needs a shopper's token. POST /v1/carts gives one.")
		}
	case shopper, guest:
		if id.Operator {
			return problem.Newf(problem.Forbidden, "This is for a shopper: send a shopper's token.")
		}
		if op.access == shopper && !id.Known {
			return problem.Newf(problem.Unauthorized, "This needs a shopper's token. POST /v1/carts gives one.")
		}
	}
	return nil
}

// checkQuery refuses parameters that are unknown, there twice, or no text.
func (op *operation) checkQuery(raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return invalid(problem.Field{Field: "query", Detail: "is not a valid query string"})
	}
	var c checks
	for name, vs := range values {
		switch {
		case !cleanParam(name):
			c.add("query", "has a name that is not text")
		case !known(op.query, name):
			c.add(name, "is not a known parameter")
		case len(vs) > 1:
			c.add(name, "is there more than once")
		case !cleanParam(vs[0]):
			c.add(name, "must be UTF-8 text without control characters")
		}
	}
	if len(c) > 0 {
		return invalid(c...)
	}
	return nil
}

func known(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// cleanParam reports that s is UTF-8 without control characters.
func cleanParam(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// importTime is how long an import may take, upload included.
const importTime = 5 * time.Minute

// importBody limits an import's body, which the handler reads as it comes.
func importBody(w http.ResponseWriter, r *http.Request) error {
	if err := mediaType(r, "text/csv"); err != nil {
		return err
	}
	if r.ContentLength > maxImport {
		return bodyTooLarge(maxImport)
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(importTime)) // not every test writer can
	_ = control.SetWriteDeadline(time.Now().Add(importTime))
	r.Body = http.MaxBytesReader(w, r.Body, maxImport)
	return nil
}
