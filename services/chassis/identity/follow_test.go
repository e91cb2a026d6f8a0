package identity_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

const kept = "what was read before stays"

// TestABrokenFileChangesNothing: it is logged once, by its variable, when the second look
// finds it still broken, and counted by each; handshakes go on with what was read before.
func TestABrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	nonsense := []byte("nonsense")
	forged, err := identitytest.Authority(t).Revoke()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		variable string
		breaks   func(identity.Config) error
	}{
		"certificate": {"TLS_CERT", func(c identity.Config) error { return os.WriteFile(c.TLSCert, nonsense, 0o600) }},
		"another part's": {"TLS_CERT", func(c identity.Config) error {
			return os.WriteFile(c.TLSCert, identitytest.Issue(t, ca, "cart"), 0o600)
		}},
		"gone":           {"TLS_CA", func(c identity.Config) error { return os.Remove(c.TLSCA) }},
		"authorities":    {"TLS_CA", func(c identity.Config) error { return os.WriteFile(c.TLSCA, nonsense, 0o600) }},
		"no authorities": {"TLS_CA", func(c identity.Config) error { return os.WriteFile(c.TLSCA, nil, 0o600) }},
		"revoked":        {"TLS_CRL", func(c identity.Config) error { return os.WriteFile(c.TLSCRL, append(forged, nonsense...)[30:], 0o600) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, log := identitytest.Files(t, identitytest.Issue(t, ca, "order"), ca), &telemetrytest.Log{}
			list, err := ca.Revoke()
			if err != nil {
				t.Fatal(err)
			}
			cfg.TLSCRL = filepath.Join(t.TempDir(), "revoked.pem")
			identitytest.Write(t, cfg.TLSCRL, list)
			tel := telemetryTo(t, "order", log)
			id, err := identity.Open("order", cfg, tel)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.breaks(cfg); err != nil {
				t.Fatal(err)
			}
			for look := range 4 {
				id.Follow(t.Context(), time.Now())
				if got, want := strings.Count(log.String(), kept), min(look, 1); got != want {
					t.Errorf("look %d: %d lines", look, got)
				}
			}
			if !strings.Contains(log.String(), "SOUK_ORDER_"+test.variable) {
				t.Errorf("no variable in %s", log)
			}
			if got := counted(t, tel.Registry, "souk_file_reloads_total", "SOUK_ORDER_"+test.variable); got != 4 {
				t.Errorf("%v counted", got)
			}
			if _, err := shake(t, id.ServerCredentials(), as(identitytest.Open(t, ca, "gateway").ClientCredentials("order"))); err != nil {
				t.Errorf("it is of no use any more: %v", err)
			}
		})
	}
}

// TestFilesThatAreBeingReplaced are no fault: Kubernetes and cert-manager write the
// certificate and its key one after the other.
func TestFilesThatAreBeingReplaced(t *testing.T) {
	t.Parallel()
	ca, log := identitytest.Authority(t), &telemetrytest.Log{}
	cfg := identitytest.Files(t, identitytest.Issue(t, ca, "order"), ca)
	cfg.TLSKey = filepath.Join(t.TempDir(), "key.pem")
	first, second := identitytest.Issue(t, ca, "order"), identitytest.Issue(t, ca, "order")
	identitytest.Write(t, cfg.TLSCert, first)
	identitytest.Write(t, cfg.TLSKey, first)
	id := open(t, "order", cfg, log)
	identitytest.Write(t, cfg.TLSCert, second)
	id.Follow(t.Context(), time.Now())
	identitytest.Write(t, cfg.TLSKey, second)
	id.Follow(t.Context(), time.Now())
	if text := log.String(); strings.Contains(text, kept) || strings.Count(text, "certificates read again") != 1 {
		t.Error(text)
	}
}

// TestARevocationWaitsForNothing: a broken certificate does not keep a list of revoked
// ones from being read.
func TestARevocationWaitsForNothing(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	cfg, stolen := identitytest.Files(t, identitytest.Issue(t, ca, "order"), ca), identitytest.Issue(t, ca, "cart")
	for i, revoked := range [][][]byte{nil, {stolen}} {
		list, err := ca.Revoke(revoked...)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			cfg.TLSCRL = filepath.Join(t.TempDir(), "revoked.pem")
		}
		identitytest.Write(t, cfg.TLSCRL+".next", list)
		if i == 0 {
			identitytest.Write(t, cfg.TLSCRL, list)
		}
	}
	id := open(t, "order", cfg, &telemetrytest.Log{})
	thief, err := identity.Open("cart", identitytest.Files(t, stolen, ca), telemetryTo(t, "cart", &telemetrytest.Log{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shake(t, id.ServerCredentials(), as(thief.ClientCredentials("order"))); err != nil {
		t.Fatal(err)
	}
	identitytest.Write(t, cfg.TLSCert, []byte("nonsense"))
	if err := os.Rename(cfg.TLSCRL+".next", cfg.TLSCRL); err != nil {
		t.Fatal(err)
	}
	id.Follow(t.Context(), time.Now())
	if _, err := shake(t, id.ServerCredentials(), as(thief.ClientCredentials("order"))); err == nil {
		t.Error("a revoked certificate is let in")
	}
}

func TestACertificateThatIsNotReplacedIsToldOf(t *testing.T) {
	t.Parallel()
	ca, log := identitytest.Authority(t), &telemetrytest.Log{}
	tel := telemetryTo(t, "order", log)
	id, err := identity.Open("order", identitytest.Files(t, identitytest.Issue(t, ca, "order"), ca), tel) // an hour
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	const soon, late = "about to expire", "has expired"
	for _, at := range []struct {
		in         time.Duration
		soon, late int
	}{
		{30 * time.Minute, 0, 0}, {45 * time.Minute, 1, 0}, {46 * time.Minute, 1, 0}, {46*time.Minute + time.Hour, 1, 1}, {47*time.Minute + time.Hour, 1, 1}, {3 * time.Hour, 1, 2},
	} {
		id.Follow(t.Context(), now.Add(at.in))
		if text := log.String(); strings.Count(text, soon) != at.soon || strings.Count(text, late) != at.late {
			t.Errorf("after %v: %s", at.in, text)
		}
	}
	for _, name := range []string{"own", "authority"} {
		want := map[string]float64{"own": 3600, "authority": 24 * 3600}[name]
		if got := counted(t, tel.Registry, "souk_tls_certificate_expiry_seconds", name); got < want-60 || got > want {
			t.Errorf("%s expires in %v s", name, got)
		}
		if got := counted(t, tel.Registry, "souk_tls_certificate_validity_seconds", name); got < want || got > want+2*3600 {
			t.Errorf("%s is good for %v s in all", name, got)
		}
	}
}

// TestAnExpiredPeersConnectionEndsLater: servers end connections at their maximum age,
// so one that is still there ten minutes later has no end of its own.
func TestAnExpiredPeersConnectionEndsLater(t *testing.T) {
	t.Parallel()
	ca, log := identitytest.Authority(t), &telemetrytest.Log{}
	id := open(t, "order", identitytest.Files(t, identitytest.Issue(t, ca, "order"), ca), log)
	looks := func(raw net.Conn) error {
		conn, _, err := identitytest.Open(t, ca, "gateway").ClientCredentials("order").ClientHandshake(t.Context(), "", raw)
		if err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return err
		}
		now := time.Now()
		for _, at := range []struct {
			in   time.Duration
			open int
		}{{0, 1}, {59 * time.Minute, 1}, {61 * time.Minute, 1}, {70 * time.Minute, 1}, {72 * time.Minute, 0}} {
			id.Follow(t.Context(), now.Add(at.in))
			if got := id.Connections(); got != at.open {
				t.Errorf("after %v: %d connections", at.in, got)
			}
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("it is open")
		}
		return nil
	}
	shakeAnd(t, id, looks)
	if !strings.Contains(log.String(), `"subject":"certificate expired"`) {
		t.Errorf("not logged: %s", log)
	}
}

// TestAConnectionThatIsDroppedIsForgotten: gRPC closes the connection below, and not the
// one of the handshake, when a peer says nothing more after it.
func TestAConnectionThatIsDroppedIsForgotten(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	id := identitytest.Open(t, ca, "order")
	for range 10 {
		in, out := net.Pipe()
		client := make(chan error, 1)
		go func() {
			_, _, err := identitytest.Open(t, ca, "gateway").ClientCredentials("order").ClientHandshake(t.Context(), "", in)
			client <- err
		}()
		_, _, err := id.ServerCredentials().ServerHandshake(out)
		if err := errors.Join(err, <-client, out.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); id.Connections() > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are watched that nothing uses", id.Connections())
		}
	}
}
