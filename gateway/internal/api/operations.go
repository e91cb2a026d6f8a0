package api

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// access says whose token an operation takes: its security in openapi.yaml.
type access uint8

const (
	anyone     access = iota
	guest             // a shopper, or a caller without a token
	shopper           // a shopper
	owner             // a shopper for what is theirs, an operator for everything
	operatorly        // an operator
)

// operation is one of openapi.yaml. Its handler reads the request, which is of a
// caller who may make it.
type operation struct {
	id, method, path string
	access           access
	scope            operators.Scope // that an operator needs; 0 for none
	handle           func(w http.ResponseWriter, r *http.Request) (answer, error)
	deprecation      *deprecation
}

// deprecation has the days since when an operation is deprecated and from when it
// may be gone, in Unix time.
type deprecation struct{ since, sunset int64 }

// announce sets the headers of RFC 9745 and RFC 8594.
func (d *deprecation) announce(h http.Header) {
	if d == nil {
		return
	}
	h.Set("Deprecation", "@"+strconv.FormatInt(d.since, 10))
	h.Set("Sunset", time.Unix(d.sunset, 0).UTC().Format(http.TimeFormat))
	h.Add("Link", `</docs>; rel="deprecation"; type="text/html"`)
}

// serve answers the requests of an operation.
func (a *API) serve(op operation) http.HandlerFunc {
	name := op.method + " " + op.path
	return func(w http.ResponseWriter, r *http.Request) {
		edge.SetRoute(r.Context(), op.path)
		telemetry.Profiled(name)
		op.deprecation.announce(w.Header())
		id := auth.FromContext(r.Context())
		if err := op.admits(id); err != nil {
			a.refused(r, op, id, err)
			a.WriteProblem(w, r, err)
			return
		}
		if id.Operator != nil {
			var done context.CancelFunc
			if w, r, done = a.operated(w, r, op, id); done != nil {
				defer done()
			}
		}
		out, err := op.handle(w, r)
		if err != nil {
			a.WriteProblem(w, r, err)
			return
		}
		out.write(w)
	}
}

// admits refuses who may not make the operation. An operator's token must have its scope,
// also where others need no token: without it nothing that it says of the bearer counts.
func (op *operation) admits(id auth.Identity) error {
	if id.Forged && (!id.Cookie || op.access != anyone) {
		e := problem.New(problem.InvalidToken)
		e.Detail = cmp.Or(id.Why, e.Detail)
		return e
	}
	switch op.access {
	case operatorly:
		if id.Operator == nil && id.Known {
			return problem.New(problem.Forbidden)
		}
		if id.Operator == nil {
			return problem.Newf(problem.Unauthorized, "This needs an operator's token.")
		}
	case owner:
		if id.Operator == nil && !id.Known {
			return problem.New(problem.Unauthorized)
		}
	case shopper, guest:
		if id.Operator != nil {
			return problem.Newf(problem.Forbidden, "This is for a shopper: send a shopper's token.")
		}
		if op.access == shopper && !id.Known {
			return problem.New(problem.Unauthorized)
		}
	}
	if id.Operator != nil && !id.Operator.Has(op.scope) {
		e := problem.Newf(problem.MissingScope, "This needs an operator's token with the scope %s.", op.scope)
		e.Scope = op.scope.String()
		return e
	}
	return nil
}
