// Package outbound calls webhook endpoints. Operators write their URLs, so a URL may lead into
// the shop's own network, by a name that changes from one look-up to the next, too: the address
// is looked at where the connection is made, after the last look-up.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

const (
	// keep is how much of an answer's body is kept; no more of it is read.
	keep = 1 << 10
	// maxHeaders bounds an answer's header.
	maxHeaders = 16 << 10
	// idle is for how long a connection is kept for the next message.
	idle = 30 * time.Second
)

// Config of a Sender.
type Config struct {
	Guard webhook.Guard
	// Timeout bounds a call, from the look-up of the name to the end of the answer.
	Timeout time.Duration
	// Connections bounds those to one host that are kept for the next message. Calls under way are
	// bounded by endpoint, before they come here: endpoints that share a host wait for none of it.
	Connections int
	// Roots sign the endpoints' certificates; nil for the system's.
	Roots *x509.CertPool
	// Resolver looks names up; nil for the system's.
	Resolver *net.Resolver
	Now      func() time.Time
	// Tracer makes a span of each attempt.
	Tracer trace.Tracer
}

// Sender calls endpoints. Safe for concurrent use.
type Sender struct {
	client *http.Client
	cfg    Config
}

// New makes a Sender.
func New(cfg Config) *Sender {
	dialer := &net.Dialer{
		Resolver: cfg.Resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return webhook.ErrAddressNotAllowed
			}
			return cfg.Guard.Address(to)
		},
	}
	return &Sender{cfg: cfg, client: &http.Client{
		// No redirect is followed: it would lead where no operator said.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would look the name up itself, and call any address
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // what is read is bounded as it comes
			MaxIdleConnsPerHost:    cfg.Connections,
			IdleConnTimeout:        idle,
			MaxResponseHeaderBytes: maxHeaders,
		},
	}}
}

// Close closes the connections that are kept.
func (s *Sender) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Send implements app.Sender. The span of the first attempt goes on with the trace that led to
// the event, and so may what the endpoint does; later ones link to it.
func (s *Sender) Send(ctx context.Context, r app.Request) app.Result {
	ctx, option := telemetry.Follow(ctx, r.TraceParent, r.Attempt <= 1)
	host := ""
	if u, err := url.Parse(r.URL); err == nil {
		host = u.Host // without the path, which may have a token
	}
	ctx, span := s.cfg.Tracer.Start(ctx, "POST webhook", option, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", http.MethodPost), attribute.String("server.address", host),
		semconv.WebhookID.String(r.ID), semconv.WebhookAttempt.Int(r.Attempt),
	))
	defer span.End()
	res := s.send(ctx, r)
	if res.Status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", res.Status))
	}
	if res.Error != "" {
		span.SetStatus(codes.Error, res.Error)
	}
	return res
}

func (s *Sender) send(ctx context.Context, r app.Request) app.Result {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return app.Result{Error: "the URL cannot be called"}
	}
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Souk-Webhooks/1")
	h["webhook-id"] = []string{r.ID} // as the specification writes them
	h["webhook-timestamp"] = []string{strconv.FormatInt(r.At.Unix(), 10)}
	h["webhook-signature"] = []string{r.Signature}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	// Without it a request whose kept connection has just been closed is sent twice by the
	// transport itself, and counted once.
	req.GetBody = nil
	res, err := s.client.Do(req)
	if err != nil {
		return app.Result{Error: s.explain(err)}
	}
	defer res.Body.Close()
	out := app.Result{Answer: webhook.Answer{Status: res.StatusCode, RetryAfter: s.retryAfter(res.Header.Get("Retry-After"))}}
	body, _ := io.ReadAll(io.LimitReader(res.Body, keep)) // a body that breaks off changes nothing: the status counts
	out.Body = text(body)
	if !out.OK() {
		out.Error = "answered " + strconv.Itoa(res.StatusCode)
	}
	return out
}

// explain says for people what failed. It names no address: what a name leads to inside of the
// shop's network is nothing to be learned from it.
func (s *Sender) explain(err error) string {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	tlsErr := &tls.CertificateVerificationError{}
	switch {
	case errors.Is(err, webhook.ErrAddressNotAllowed):
		return webhook.ErrAddressNotAllowed.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", s.cfg.Timeout)
	case errors.Is(err, context.Canceled):
		return "interrupted: the service was stopping"
	case isDNS && dns.IsNotFound:
		return "there is no such host"
	case isDNS:
		return "the host's name could not be looked up"
	case errors.As(err, &tlsErr):
		return "the certificate is not valid: " + strings.ToValidUTF8(tlsErr.Err.Error(), "?")
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before an answer"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the host cannot be reached"
	}
	return "no answer that is HTTP"
}

// retryAfter reads the header, seconds or a time.
func (s *Sender) retryAfter(value string) time.Duration {
	if n, err := strconv.ParseInt(value, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(s.cfg.Now()))
	}
	return 0
}

// text is a body as text that a database takes, cut between two characters.
func text(body []byte) string {
	if len(body) == keep {
		for cut := 1; cut < utf8.UTFMax && cut < len(body); cut++ {
			if start := body[len(body)-cut:]; utf8.RuneStart(start[0]) {
				if !utf8.FullRune(start) {
					body = body[:len(body)-cut]
				}
				break
			}
		}
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(body), "\uFFFD"), "\x00", "\uFFFD")
}
