package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// operated is a request of an operator under way. A read ends soon after the token stops
// working, also one that takes long: an export, or a stream of events. A write is finished
// and, when done is called, in the security log: who, what, of which object, and
// how it was answered.
func (a *API) operated(w http.ResponseWriter, r *http.Request, op operation, id auth.Identity) (http.ResponseWriter, *http.Request, context.CancelFunc) {
	if op.method == http.MethodGet {
		ctx, cancel := a.session.While(r.Context())
		return w, r.WithContext(ctx), cancel
	}
	answered := &statusWriter{ResponseWriter: w}
	return answered, r, func() {
		a.security.Record(r.Context(), telemetry.AuthzAdmin, op.id,
			append(who(id), slog.String("object", r.URL.Path), slog.Int("status", answered.status))...)
	}
}

// refused records a known caller who may not do this. Callers without a token are as many
// as the internet likes, and a token that is refused was recorded when it was.
func (a *API) refused(r *http.Request, op operation, id auth.Identity, err error) {
	if problem.Is(err, problem.Forbidden, problem.MissingScope) {
		a.security.Record(r.Context(), telemetry.AuthzFail, op.id, append(who(id), slog.String("error", err.Error()))...)
	}
}

// who is the caller of a request, for the security log.
func who(id auth.Identity) []slog.Attr {
	if id.Operator != nil {
		return []slog.Attr{slog.String("operator", id.Operator.Name), slog.String("token_id", id.Operator.Token), slog.String("client", id.Client)}
	}
	return []slog.Attr{slog.String("shopper", id.Shopper.ID.String())}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
