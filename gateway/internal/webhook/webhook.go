// Package webhook is the endpoint of the payment provider.
package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/gateway/internal/problem"
)

const (
	// maxBody is the largest body, in bytes.
	maxBody = 256 << 10
	// maxConcurrent is how many events are handled at once. A limit by address would
	// hit the provider, which sends many events from few addresses.
	maxConcurrent = 64
)

// Payments stores the events.
type Payments interface {
	HandleWebhook(ctx context.Context, payload []byte, signature string) error
}

// Config of a Handler.
type Config struct {
	Payments Payments
	// Problem answers a request with an error.
	Problem func(http.ResponseWriter, *http.Request, error)
	Log     *slog.Logger
}

// Handler answers POST /webhooks/stripe, where the payment provider reports. The
// provider has no token; the signature of the body authenticates it. An answer of
// 2xx means that the event is stored; after any other the provider repeats it, so
// the answer is 503 when the event is not the cause.
type Handler struct {
	cfg   Config
	slots chan struct{}
}

// New makes a Handler.
func New(cfg Config) *Handler {
	return &Handler{cfg: cfg, slots: make(chan struct{}, maxConcurrent)}
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.handle(w, r); err != nil {
		h.cfg.Problem(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) handle(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return problem.Newf(problem.MethodNotAllowed, "Webhooks are posted.")
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return problem.Newf(problem.BodyTooLarge, "A webhook's body is at most 256 KiB.")
	}
	if err != nil {
		return problem.Newf(problem.BodyMalformed, "The body was cut off.")
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return problem.New(problem.Unavailable)
	}
	if err := h.cfg.Payments.HandleWebhook(r.Context(), payload, r.Header.Get("Stripe-Signature")); err != nil {
		return h.refusal(r, err)
	}
	return nil
}

// refusal is what the provider gets for an error.
func (h *Handler) refusal(r *http.Request, err error) error {
	switch problem.As(err).Type.Status {
	case http.StatusBadRequest:
		return err
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout, problem.Canceled.Status:
		h.cfg.Log.WarnContext(r.Context(), "webhook not stored", "error", err)
	default:
		h.cfg.Log.ErrorContext(r.Context(), "webhook failed", "error", err)
	}
	if problem.Is(err, problem.WebhooksOff) {
		return err
	}
	return problem.New(problem.Unavailable)
}
