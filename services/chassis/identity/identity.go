// Package identity is who a process is to the other processes of the shop: a
// certificate with the name <part>.souk, which it shows where it serves and where it
// dials. It loads the certificate, its key and the authorities from files, follows
// their changes while the process runs, and makes the credentials of gRPC servers and
// clients: TLS 1.3 with certificates on both sides.
package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"weak"

	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/filewatch"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Domain ends the names of parts in certificates. It is no domain of the internet.
const Domain = "souk"

// Name is the name in a part's certificate.
func Name(part string) string { return part + "." + Domain }

const (
	// leaveTime is how long a connection stays whose peer's certificate has expired or
	// lost its authority: servers end connections gracefully at their maximum age
	// (MAX_CONNECTION_AGE, 5 min), so that a rotation fails no call. A revoked
	// certificate's connections end at once.
	leaveTime = 10 * time.Minute
	// remindEvery is how often the log repeats that a certificate is about to expire.
	remindEvery = time.Hour
)

// Config is where a process's certificate is.
type Config struct {
	// TLSCert and TLSKey are PEM files: the certificate, followed by intermediate ones
	// if there are any, and its key. Both may be one file.
	TLSCert string `env:"TLS_CERT"`
	TLSKey  string `env:"TLS_KEY"`
	// TLSCA is a PEM file of the authorities whose certificates are accepted.
	TLSCA string `env:"TLS_CA"`
	// TLSCRL is a file of these authorities' lists of revoked certificates; PEM, or one
	// list as DER.
	TLSCRL string `env:"TLS_CRL"`
	// TLSOff serves and dials in plain text, and no caller is known: for a mesh that
	// does all that itself, and for tests.
	TLSOff bool `env:"TLS_OFF"`
}

// check returns what is wrong with the configuration, naming the variable.
func (c Config) check(prefix string) error {
	files := []struct{ variable, path string }{{"TLS_CERT", c.TLSCert}, {"TLS_KEY", c.TLSKey}, {"TLS_CA", c.TLSCA}, {"TLS_CRL", c.TLSCRL}}
	for _, f := range files {
		switch {
		case c.TLSOff && f.path != "":
			return fmt.Errorf("environment variables %sTLS_OFF and %s%s contradict each other", prefix, prefix, f.variable)
		case !c.TLSOff && f.path == "" && f.variable != "TLS_CRL":
			return fmt.Errorf("environment variable %s%s is required: processes of the shop show each other certificates; where a mesh does that, set %sTLS_OFF=true",
				prefix, f.variable, prefix)
		}
	}
	return nil
}

// Identity is who this process is. Safe for concurrent use.
type Identity struct {
	part   string
	prefix string // of the variables
	cfg    Config
	tel    *telemetry.Telemetry

	certificate *filewatch.Value[*tls.Certificate]
	authorities *filewatch.Value[[]*x509.Certificate]
	revoked     *filewatch.Value[map[string]bool]

	mu  sync.Mutex
	now *material
	// conns has open connections. It does not keep them: gRPC closes the connection below
	// when it gives one up between the handshake and the first frame.
	conns map[weak.Pointer[conn]]struct{}

	// Of Run's goroutine.
	reminded time.Time
	reminder *material
}

// Insecure is the identity of a process without TLS: it neither shows nor asks for a
// certificate.
func Insecure() *Identity { return &Identity{} }

// Open loads a part's certificate and what it checks others' with. The part runs Run
// to follow changes of the files.
func Open(part string, cfg Config, tel *telemetry.Telemetry) (*Identity, error) {
	prefix := "SOUK_" + strings.ToUpper(part) + "_"
	if err := cfg.check(prefix); err != nil {
		return nil, err
	}
	if cfg.TLSOff {
		tel.Log.Warn("TLS is off: callers are not checked", "variable", prefix+"TLS_OFF")
		return Insecure(), nil
	}
	id := &Identity{part: part, prefix: prefix, cfg: cfg, tel: tel, conns: map[weak.Pointer[conn]]struct{}{}}
	if err := id.open(); err != nil {
		return nil, err
	}
	if err := id.now.self(time.Now()); err != nil {
		return nil, fmt.Errorf("environment variable %sTLS_CERT is %q: %w", prefix, cfg.TLSCert, err)
	}
	return id, id.measure()
}

// Off reports whether this process runs without TLS.
func (id *Identity) Off() bool { return id.tel == nil }

func (id *Identity) measure() error {
	m := id.tel.Meter()
	left, err1 := m.Float64ObservableGauge("souk.tls.certificate.expiry", metric.WithUnit("s"),
		metric.WithDescription("Time until this process's certificate, or the authority that signed it, expires."))
	whole, err2 := m.Float64ObservableGauge("souk.tls.certificate.validity", metric.WithUnit("s"),
		metric.WithDescription("The whole life of that certificate: its renewal is due when a third is left."))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m := id.material()
		for name, cert := range map[string]*x509.Certificate{"own": m.leaf, "authority": m.authority()} {
			if cert != nil {
				as := metric.WithAttributes(semconv.TLSCertificate.String(name))
				o.ObserveFloat64(left, time.Until(cert.NotAfter).Seconds(), as)
				o.ObserveFloat64(whole, cert.NotAfter.Sub(cert.NotBefore).Seconds(), as)
			}
		}
		return nil
	}, left, whole)
	return err
}

func (id *Identity) material() *material {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.now
}

// Valid fails when this process's certificate is not one that others accept now.
func (id *Identity) Valid(context.Context) error {
	if id.Off() {
		return nil
	}
	return id.material().self(time.Now())
}

// Run follows changes of the files until ctx is done, ends connections whose peer's
// certificate is no longer accepted, and warns before the own one expires.
func (id *Identity) Run(ctx context.Context) error {
	if id.Off() {
		<-ctx.Done()
		return nil
	}
	return filewatch.Follow(ctx, func(ctx context.Context) { id.follow(ctx, time.Now()) })
}

func (id *Identity) follow(ctx context.Context, now time.Time) {
	m := id.look(ctx)
	if m != nil {
		id.tel.Log.InfoContext(ctx, "certificates read again", "expires", m.leaf.NotAfter, "serial", m.leaf.SerialNumber.Text(16),
			"authorities", len(m.authorities), "revoked", len(m.revoked))
		if err := m.self(now); err != nil {
			id.tel.Log.ErrorContext(ctx, "others will not accept this process", "file", id.cfg.TLSCert, "error", err)
		}
	} else {
		m = id.material()
	}
	id.remind(ctx, m, now)
	id.endRefused(ctx, m, now)
}

// remind warns when less than a third of the certificate's life is left.
func (id *Identity) remind(ctx context.Context, m *material, now time.Time) {
	left, life := m.leaf.NotAfter.Sub(now), m.leaf.NotAfter.Sub(m.leaf.NotBefore)
	if left >= life/3 || id.reminder == m && now.Sub(id.reminded) < remindEvery {
		return
	}
	id.reminder, id.reminded = m, now
	if left < 0 {
		id.tel.Log.ErrorContext(ctx, "the certificate has expired: others refuse this process", "file", id.cfg.TLSCert, "expired", m.leaf.NotAfter)
		return
	}
	id.tel.Log.WarnContext(ctx, "the certificate is about to expire and was not replaced",
		slog.String("file", id.cfg.TLSCert), slog.Time("expires", m.leaf.NotAfter), slog.Duration("left", left.Round(time.Second)))
}
