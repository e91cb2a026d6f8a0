package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// refused records a handshake that failed. to is the part that was dialed, "" on the
// server's side. A peer that just went away is no attack: health checks and port scans
// of balancers do that.
func (id *Identity) refused(ctx context.Context, raw net.Conn, to string, err error) {
	attrs := []slog.Attr{slog.String("peer", raw.RemoteAddr().String()), slog.String("reason", err.Error())}
	if to != "" {
		attrs = append(attrs, slog.String("dialed", Name(to)))
	}
	if invalid, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(invalid.UnverifiedCertificates) > 0 {
		attrs = append(attrs, shownBy(invalid.UnverifiedCertificates[0])...)
	}
	if wentAway(err) {
		id.tel.Log.LogAttrs(ctx, slog.LevelDebug, "a handshake did not end", attrs...)
		return
	}
	id.tel.Security.Record(ctx, telemetry.AuthnFail, reason(err), attrs...)
}

func shownBy(c *x509.Certificate) []slog.Attr {
	return []slog.Attr{
		slog.String("certificate", strings.Join(c.DNSNames, " ")),
		slog.String("issuer", c.Issuer.String()),
		slog.String("serial", c.SerialNumber.Text(16)),
	}
}

func wentAway(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// reason is one of few words for why a peer was refused, the subject of the security
// log's lines.
func reason(err error) string {
	if errors.Is(err, errRevoked) {
		return "certificate revoked"
	}
	if errors.Is(err, errNoPart) {
		return "certificate of no part"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "certificate expired"
		}
		return "certificate invalid"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "certificate of an unknown authority"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "certificate of another part"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "no TLS"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return "own certificate refused"
	}
	// crypto/tls has no value for it.
	if strings.Contains(err.Error(), "didn't provide a certificate") {
		return "no certificate"
	}
	return "handshake failed"
}
