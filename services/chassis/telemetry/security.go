package telemetry

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/souk-shop/souk/services/chassis/semconv"
)

// SecurityEvent is a kind of event in the security log, named as in OWASP's Logging
// Vocabulary (cheatsheetseries.owasp.org, Logging Vocabulary Cheat Sheet).
type SecurityEvent string

// The events.
const (
	// AuthnFail: a caller showed a credential that this shop did not give, or takes no
	// longer.
	AuthnFail SecurityEvent = "authn_login_fail"
	// AuthnSuccess: an operator signed in with a browser.
	AuthnSuccess SecurityEvent = "authn_login_success"
	// AuthzFail: a known caller asked for what it may not do.
	AuthzFail SecurityEvent = "authz_fail"
	// AuthzAdmin: an operator did something.
	AuthzAdmin SecurityEvent = "authz_admin"
	// LimitExceeded: a caller exceeded a budget.
	LimitExceeded SecurityEvent = "excess_rate_limit_exceeded"
	// TokenRevoked: a credential was revoked.
	TokenRevoked SecurityEvent = "authn_token_revoked" //nolint:gosec // the name of an event
	// TokenReused: a revoked or replaced credential was shown again.
	TokenReused SecurityEvent = "authn_token_reuse" //nolint:gosec // the name of an event
)

// SecurityLog records what may be an attack. Its lines are in the service's log with
// log=security, at the level of warnings, and each event counts in
// souk.security.events. Safe for concurrent use.
type SecurityLog struct {
	log    *slog.Logger
	events metric.Int64Counter
	floods Outages
}

func newSecurityLog(log *slog.Logger, meter metric.Meter) (*SecurityLog, error) {
	events, err := meter.Int64Counter("souk.security.events",
		metric.WithUnit("{event}"), metric.WithDescription("Events of the security log, also those without a line."))
	if err != nil {
		return nil, err
	}
	return &SecurityLog{log: log.With("log", "security"), events: events}, nil
}

func discardedSecurityLog() *SecurityLog {
	return &SecurityLog{log: slog.New(slog.DiscardHandler), events: noop.Int64Counter{}}
}

// Record records an event. The subject is what it was about, one of few, such as a
// limit, a method or a kind of credential, never what a caller sent. Of the events of
// one kind and subject one in five seconds has a line, which counts those left out; of
// what operators did, AuthzAdmin, each has one.
// The attributes say who and why; a credential is never among them.
func (l *SecurityLog) Record(ctx context.Context, event SecurityEvent, subject string, attrs ...slog.Attr) {
	l.events.Add(ctx, 1, metric.WithAttributes(
		semconv.SecurityEvent.String(string(event)), semconv.SecuritySubject.String(subject)))
	leftOut := 0
	if event != AuthzAdmin {
		var tell bool
		if tell, leftOut = l.floods.Tell(string(event)+" "+subject, time.Now()); !tell {
			return
		}
	}
	line := append([]slog.Attr{slog.String("event", string(event)), slog.String("subject", subject)}, attrs...)
	if leftOut > 0 {
		line = append(line, slog.Int("left_out", leftOut))
	}
	l.log.LogAttrs(ctx, slog.LevelWarn, "security", line...)
}
