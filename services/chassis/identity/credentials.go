package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"time"
	"weak"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Peer is what a connection's handshake has proved.
type Peer struct {
	credentials.TLSInfo
	// Part is whose certificate the peer has shown, such as "gateway".
	Part string
}

// Caller is the part that made an incoming call, such as "gateway"; "" without TLS.
func Caller(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		if proved, ok := p.AuthInfo.(Peer); ok {
			return proved.Part
		}
	}
	return ""
}

// ServerCredentials are those of a gRPC server: every client has to show a certificate
// of a part.
func (id *Identity) ServerCredentials() credentials.TransportCredentials {
	if id.Off() {
		return insecure.NewCredentials()
	}
	return &transport{id: id}
}

// ClientCredentials are those of a client of a part: the server has to be that part.
func (id *Identity) ClientCredentials(part string) credentials.TransportCredentials {
	if id.Off() {
		return insecure.NewCredentials()
	}
	return &transport{id: id, to: part}
}

// config is the TLS of one handshake, in which the peer has to be good for usage.
//
// A server does not name the authorities that it accepts, as it would with ClientCAs: a
// client that has none of their certificates would send nothing, and the log could not
// tell whose it has.
//
// Sessions are not resumed, here or by the other side: a resumed one would be of a
// certificate that was checked by rules of then. A connection lasts for minutes and
// thousands of calls, its handshake is no cost.
func (m *material) config(usage x509.ExtKeyUsage) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{m.cert},
		RootCAs:                m.pool,
		ClientAuth:             tls.RequireAnyClientCert, // VerifyConnection verifies it
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			err := m.verify(state.PeerCertificates, usage, time.Now())
			if err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
			}
			return nil
		},
	}
}

// transport does handshakes with the material of now.
type transport struct {
	id *Identity
	to string // the part that is dialed; "" for a server
}

func (t *transport) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return t.handshake(ctx, raw, x509.ExtKeyUsageServerAuth, func(inner credentials.TransportCredentials) (net.Conn, credentials.AuthInfo, error) {
		return inner.ClientHandshake(ctx, Name(t.to), raw)
	})
}

func (t *transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return t.handshake(context.Background(), raw, x509.ExtKeyUsageClientAuth, func(inner credentials.TransportCredentials) (net.Conn, credentials.AuthInfo, error) {
		return inner.ServerHandshake(raw)
	})
}

func (t *transport) handshake(
	ctx context.Context, raw net.Conn, usage x509.ExtKeyUsage,
	do func(credentials.TransportCredentials) (net.Conn, credentials.AuthInfo, error),
) (net.Conn, credentials.AuthInfo, error) {
	m := t.id.material()
	secured, info, err := do(credentials.NewTLS(m.config(usage)))
	if err != nil {
		t.id.refused(ctx, raw, t.to, err)
		return nil, nil, err
	}
	proved := info.(credentials.TLSInfo) // what NewTLS returns
	shown := proved.State.PeerCertificates
	part, _ := partOf(shown[0]) // verify has asked
	c := &conn{Conn: secured, id: t.id, part: part, shown: shown, usage: usage}
	if err := t.id.keep(c, m); err != nil {
		t.id.refused(ctx, raw, t.to, err)
		return nil, nil, errors.Join(err, secured.Close())
	}
	return c, Peer{proved, part}, nil
}

func (t *transport) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (t *transport) Clone() credentials.TransportCredentials { return &transport{id: t.id, to: t.to} }

func (t *transport) OverrideServerName(string) error {
	return errors.New("the name of a server is that of the part that is dialed")
}

// conn is an open connection, which ends when its peer's certificate is no longer
// accepted.
type conn struct {
	net.Conn
	id    *Identity
	part  string
	shown []*x509.Certificate
	usage x509.ExtKeyUsage

	// Of the goroutine that follows the files.
	checked    *material
	refusedFor time.Time // since when it is to end
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.id.forget(weak.Make(c))
	return c.Conn.Close()
}

// keep remembers a connection that was accepted by m. Material that came meanwhile
// checks it again.
func (id *Identity) keep(c *conn, m *material) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.now != m {
		if err := id.now.verify(c.shown, c.usage, time.Now()); err != nil {
			return err
		}
	}
	c.checked = id.now
	self := weak.Make(c)
	id.conns[self] = struct{}{}
	runtime.AddCleanup(c, id.forget, self)
	return nil
}

// forget stops watching a connection that is closed, or that nothing uses any more.
func (id *Identity) forget(c weak.Pointer[conn]) {
	id.mu.Lock()
	defer id.mu.Unlock()
	delete(id.conns, c)
}

// endRefused ends the connections whose peers are no longer accepted: those of revoked
// certificates now, the others after leaveTime.
func (id *Identity) endRefused(ctx context.Context, m *material, now time.Time) {
	id.mu.Lock()
	var end []*conn
	for watched := range id.conns {
		c := watched.Value()
		if c == nil {
			continue // its cleanup is about to come
		}
		expired := now.After(c.shown[0].NotAfter)
		if c.checked == m && !expired && c.refusedFor.IsZero() {
			continue
		}
		c.checked = m
		err := m.verify(c.shown, c.usage, now)
		switch {
		case err == nil:
			c.refusedFor = time.Time{}
		case errors.Is(err, errRevoked):
			end = append(end, c)
		case c.refusedFor.IsZero():
			c.refusedFor = now
		}
		if err != nil && !c.refusedFor.IsZero() && now.Sub(c.refusedFor) >= leaveTime {
			end = append(end, c)
		}
	}
	id.mu.Unlock()
	for _, c := range end {
		err := m.verify(c.shown, c.usage, now)
		id.tel.Security.Record(ctx, telemetry.AuthnFail, reason(err), slog.String("part", c.part),
			slog.String("peer", c.RemoteAddr().String()), slog.String("reason", "an open connection was ended"))
		_ = c.Close() // its calls see it
	}
}
