// Package webhook is the endpoint of the payment provider.
package webhook

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge/budget"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

const (
	// maxBody is the largest body, in bytes.
	maxBody = 256 << 10
	// maxBytes is how much of bodies is held at a time, of all addresses: the provider's
	// events have 2 to 10 KiB.
	maxBytes = 16 << 20
	// maxConcurrent is how many events are handled at once. A limit of requests by address
	// would hit the provider, which sends many events from few addresses. maxSuspect is how
	// many of addresses that sent forged ones.
	maxConcurrent = 64
	maxSuspect    = 8
	// patience is how long an event waits for its turn. The provider waits 10 s at least.
	patience = 5 * time.Second
	// bodyTime is how long a body may take.
	bodyTime = 10 * time.Second
	// forgedBurst is how many forged events make an address suspect, and forgedPerSecond how
	// many of them a second are forgotten.
	forgedBurst     = 16
	forgedPerSecond = .2
	// addresses is how many addresses with forged events are remembered.
	addresses = 1 << 12
)

// Payments stores the events.
type Payments interface {
	HandleWebhook(ctx context.Context, payload []byte, signature string) error
}

// Config of a Handler.
type Config struct {
	Payments Payments
	// Client is the address that a request came from.
	Client func(context.Context) netip.Addr
	// Record notes in the security log what was forged or refused.
	Record func(ctx context.Context, limit budget.Limit, client slog.Attr)
	// Problem answers a request with an error.
	Problem func(http.ResponseWriter, *http.Request, error)
	Log     *slog.Logger
}

// Handler answers POST /webhooks/stripe, where the payment provider reports. The
// provider has no token; the signature of the body authenticates it. An answer of
// 2xx means that the event is stored; after any other the provider repeats it, so
// the answer is 503 when the event is not the cause.
//
// The payment service has the secret that signatures are made with, and the gateway, which
// the internet reaches, does not. So what is not known to be signed is held within bounds:
// what does not look like a signature is refused unread; bodies are reserved before they
// are read, shared between addresses; and who sent forged events waits in a queue of its own,
// which is short of turns, but takes signed ones, too.
type Handler struct {
	cfg      Config
	slots    chan struct{}
	suspects chan struct{}
	patience time.Duration
	bytes    *budget.Pool[netip.Addr]
	forged   *budget.Rates[netip.Addr]
}

// New makes a Handler.
func New(cfg Config) *Handler {
	return &Handler{
		cfg: cfg, slots: make(chan struct{}, maxConcurrent), suspects: make(chan struct{}, maxSuspect), patience: patience,
		bytes: budget.NewPool[netip.Addr](maxBytes, 0), forged: budget.NewRates[netip.Addr](forgedPerSecond, forgedBurst, addresses),
	}
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
	if r.ContentLength > maxBody {
		return errTooLarge()
	}
	client := budget.Key(h.cfg.Client(r.Context()))
	signature := r.Header.Get("Stripe-Signature")
	if !signed(signature) {
		h.isForged(r.Context(), client)
		unread(w)
		return problem.New(problem.WebhookNotSigned)
	}
	size := r.ContentLength
	if size < 0 {
		size = maxBody
	}
	if h.bytes.Acquire(client, size) != budget.Given {
		unread(w)
		return h.busy(r.Context(), client)
	}
	defer h.bytes.Release(client, size)
	payload, err := read(w, r)
	if err != nil {
		return err
	}
	leave, ok := h.enter(r.Context(), client)
	if !ok {
		return h.busy(r.Context(), client)
	}
	defer leave()
	if err := h.cfg.Payments.HandleWebhook(r.Context(), payload, signature); err != nil {
		if problem.Is(err, problem.WebhookNotSigned) {
			h.isForged(r.Context(), client)
		}
		return h.refusal(r, err)
	}
	return nil
}

// signed reports that a header may be a signature: a time and a SHA-256, among others.
// Whether it is one, and of now, is for the payment service to say.
func signed(header string) bool {
	var at, of bool
	for pair := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); name {
		case "t":
			_, err := strconv.ParseInt(value, 10, 64)
			at = at || err == nil
		case "v1":
			sum, err := hex.DecodeString(value)
			of = of || err == nil && len(sum) == 32
		}
	}
	return at && of
}

func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // not every test writer can
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, errTooLarge()
	}
	if err != nil {
		return nil, problem.Newf(problem.BodyMalformed, "The body was cut off.")
	}
	return payload, nil
}

// unread does not wait for a body that is not read.
func unread(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)) // not every test writer can
}

func errTooLarge() error {
	return problem.Newf(problem.BodyTooLarge, "A webhook's body is at most 256 KiB.")
}

// enter waits for a turn. It reports false when none came in time.
func (h *Handler) enter(ctx context.Context, client netip.Addr) (leave func(), ok bool) {
	slots := h.slots
	if left, _ := h.forged.Take(client, 0, time.Now()); left < 1 {
		slots = h.suspects
	}
	leave = func() { <-slots }
	select {
	case slots <- struct{}{}:
		return leave, true
	default:
	}
	timer := time.NewTimer(h.patience)
	defer timer.Stop()
	select {
	case slots <- struct{}{}:
		return leave, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, false
}

func (h *Handler) isForged(ctx context.Context, client netip.Addr) {
	h.forged.Take(client, 1, time.Now())
	h.cfg.Record(ctx, budget.WebhooksForged, slog.String("client", client.String()))
}

func (h *Handler) busy(ctx context.Context, client netip.Addr) error {
	h.cfg.Record(ctx, budget.WebhookBytes, slog.String("client", client.String()))
	e := problem.New(problem.Unavailable)
	e.Limit = string(budget.WebhookBytes)
	return e
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
