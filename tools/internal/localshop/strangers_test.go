package localshop_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	chassisaccess "github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/access"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// TestStrangersGetNothing from any service, whether the shop is one process or several:
// without TLS, without a certificate, with one of another authority, with one that has
// expired, or as a part that is dialed under another's name. Who has a certificate of the
// shop is answered, and a part is refused what no rule lets it call.
func TestStrangersGetNothing(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string]bool{"one process": false, "processes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := pgtest.Folder(t)
			shop := start(t, localshop.Options{Dir: dir, Processes: processes})
			stranger := open(t, "gateway", foreign(t, dir))
			ids := map[string]*identity.Identity{}
			for _, part := range topology.Identities() {
				ids[part] = open(t, part, localshop.Identity(dir, part))
			}
			old, current := issued(t, dir, -time.Minute), issued(t, dir, time.Hour)
			for _, part := range topology.Names(topology.Of(topology.Service)) {
				another := "order"
				if part == another {
					another = "cart"
				}
				for who, test := range map[string]struct {
					as   credentials.TransportCredentials
					want codes.Code
				}{
					"a tool":            {ids[topology.Ops].ClientCredentials(part), codes.OK},
					"plain text":        {insecure.NewCredentials(), codes.Unavailable},
					"no certificate":    {presenting(nil), codes.Unavailable},
					"another authority": {stranger.ClientCredentials(part), codes.Unavailable},
					"expired":           {presenting(old), codes.Unavailable},
					"not expired":       {presenting(current), codes.OK}, // so that it is the time
					"another's name":    {ids[topology.Ops].ClientCredentials(another), codes.Unavailable},
				} {
					if err := askHealth(t, shop.Addr(part), test.as); status.Code(err) != test.want {
						t.Errorf("%s asks %s: %v", who, part, err)
					}
				}
				refusesOtherParts(t, part, shop.Addr(part), ids)
			}
			log, err := os.ReadFile(filepath.Join(dir, "logs", map[bool]string{true: "catalog.log", false: "souk.log"}[processes]))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`"subject":"no TLS"`, `"subject":"certificate of an unknown authority"`, `"event":"authz_fail"`} {
				if !strings.Contains(string(log), want) {
					t.Errorf("no %s in the log", want)
				}
			}
		})
	}
}

// refusesOtherParts calls every method of a service as every part that its rule leaves out.
func refusesOtherParts(t *testing.T, part, addr string, ids map[string]*identity.Identity) {
	t.Helper()
	refused := 0
	for caller, id := range ids {
		conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(id.ClientCredentials(part)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, service := range access.Services() {
			if !strings.HasPrefix(string(service.FullName()), "souk."+part+".") {
				continue
			}
			rules, err := chassisaccess.Rules(service)
			if err != nil {
				t.Fatal(err)
			}
			for _, rule := range rules {
				if slices.Contains(rule.Callers, caller) {
					continue
				}
				refused++
				if err := askMethod(t, conn, rule.Method); status.Code(err) != codes.PermissionDenied {
					t.Errorf("%s calls %s: %v", caller, rule.Method, err)
				}
			}
		}
	}
	if refused == 0 {
		t.Errorf("%s: no method that a part may not call was found", part)
	}
}

// askMethod calls a method with an empty message.
func askMethod(t *testing.T, conn *grpc.ClientConn, method string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return access.Call(ctx, conn, method)
}

// issued is a certificate of a tool by the shop's own authority, valid until a time
// from now.
func issued(t *testing.T, dir string, until time.Duration) *tls.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "tls", "authority-with-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(until)
	issued, err := a.Issue(topology.Ops, end.Add(-2*time.Hour), end)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(issued, issued)
	if err != nil {
		t.Fatal(err)
	}
	return &certificate
}

// presenting has a client show a certificate, whatever it is worth, or none.
func presenting(certificate *tls.Certificate) credentials.TransportCredentials {
	cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13} //nolint:gosec // what is tested is the server
	if certificate != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return credentials.NewTLS(cfg)
}

func open(t *testing.T, part string, cfg identity.Config) *identity.Identity {
	t.Helper()
	id, err := identity.Open(part, cfg, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// foreign is a gateway's certificate of an authority of its own, which trusts the shop.
func foreign(t *testing.T, dir string) identity.Config {
	t.Helper()
	a, err := authority.New(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := a.Issue("gateway", time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cfg := localshop.Identity(dir, "gateway")
	ours, err := os.ReadFile(cfg.TLSCA)
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	cfg.TLSCert, cfg.TLSKey, cfg.TLSCA = filepath.Join(other, "gateway.pem"), filepath.Join(other, "gateway.pem"), filepath.Join(other, "authorities.pem")
	for path, text := range map[string][]byte{cfg.TLSCert: certificate, cfg.TLSCA: append(ours, a.Certificate()...)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func askHealth(t *testing.T, addr string, as credentials.TransportCredentials) error {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(as))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}
