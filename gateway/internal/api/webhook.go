package api

import (
	"errors"
	"io"
	"net/http"

	"github.com/souk-shop/souk/gateway/internal/shop"
)

// maxWebhooks is how many are under way at once. A limit by address would hit
// the provider, who has few and sends many.
const maxWebhooks = 64

// Webhook answers POST /webhooks/stripe, where the payment provider reports. It
// is no part of the API: the provider has no token, sends what it likes up to a
// size, and is believed by its signature alone. An answer of 2xx means that the
// event is kept; after any other the provider repeats it, so that what is not the
// event's fault is 503.
func (a *API) Webhook() http.Handler {
	slots := make(chan struct{}, maxWebhooks)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			f := fail(notAllowed, "Webhooks are posted.")
			f.allow = http.MethodPost
			a.writeProblem(w, r, f)
			return
		}
		payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, shop.MaxWebhook))
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			a.writeProblem(w, r, fail(tooLarge, "A webhook's body is at most 256 KiB."))
			return
		}
		if err != nil {
			a.writeProblem(w, r, fail(malformed, "The body was cut off."))
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			a.writeProblem(w, r, shop.NewError(shop.ReasonUnavailable))
			return
		}
		if err := a.shop.HandleWebhook(r.Context(), payload, r.Header.Get("Stripe-Signature")); err != nil {
			a.writeProblem(w, r, a.webhookProblem(r, err))
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})
}

// webhookProblem is what the provider is told of an error.
func (a *API) webhookProblem(r *http.Request, err error) error {
	switch e := shop.AsError(err); e.Kind {
	case shop.KindInvalid:
		return err
	case shop.KindUnavailable, shop.KindTimeout, shop.KindCanceled:
		a.log.WarnContext(r.Context(), "webhook not taken", "error", err)
	default:
		a.log.ErrorContext(r.Context(), "webhook failed", "error", err)
	}
	if shop.ReasonOf(err) == shop.ReasonWebhooksOff {
		return err
	}
	return shop.NewError(shop.ReasonUnavailable)
}
