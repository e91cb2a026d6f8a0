package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

// access says whose token an operation takes: its security in openapi.yaml.
type access uint8

const (
	anyone     access = iota
	guest             // a shopper, or a caller without a token
	shopper           // a shopper
	owner             // a shopper for what is theirs, the operator for everything
	operatorly        // the operator
)

// operation is one of openapi.yaml. Its handler reads the request, which is of a
// caller who may make it.
type operation struct {
	method, path string
	access       access
	handle       func(w http.ResponseWriter, r *http.Request) (answer, error)
	deprecation  *deprecation
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
	return func(w http.ResponseWriter, r *http.Request) {
		edge.SetRoute(r.Context(), op.path)
		op.deprecation.announce(w.Header())
		err := op.access.admits(auth.FromContext(r.Context()))
		if err != nil {
			a.WriteProblem(w, r, err)
			return
		}
		out, err := op.handle(w, r)
		if err != nil {
			a.WriteProblem(w, r, err)
			return
		}
		out.write(w)
	}
}

func (a access) admits(id auth.Identity) error {
	if id.Forged && (!id.Cookie || a != anyone) {
		return problem.New(problem.InvalidToken)
	}
	switch a {
	case operatorly:
		if !id.Operator && id.Known {
			return problem.Newf(problem.Forbidden, "This needs the operator's token.")
		}
		if !id.Operator {
			return problem.Newf(problem.Unauthorized, "This needs the operator's token.")
		}
	case owner:
		if !id.Operator && !id.Known {
			return problem.New(problem.Unauthorized)
		}
	case shopper, guest:
		if id.Operator {
			return problem.Newf(problem.Forbidden, "This is for a shopper: send a shopper's token.")
		}
		if a == shopper && !id.Known {
			return problem.New(problem.Unauthorized)
		}
	}
	return nil
}
