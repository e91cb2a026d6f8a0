package localshop_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// TestStrangersGetNothing from any service, whether the shop is one process or several:
// without TLS, with a certificate of another authority, or as a part that is dialed under
// another's name. Who has a certificate of the shop is answered.
func TestStrangersGetNothing(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string]bool{"one process": false, "processes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			shop := start(t, localshop.Options{Dir: dir, Processes: processes})
			ops := open(t, topology.Ops, localshop.Identity(dir, topology.Ops))
			stranger := open(t, "gateway", foreign(t, dir))
			for _, part := range topology.Names(topology.Of(topology.Service)) {
				another := "order"
				if part == another {
					another = "cart"
				}
				for who, test := range map[string]struct {
					as   credentials.TransportCredentials
					want codes.Code
				}{
					"a tool":            {ops.ClientCredentials(part), codes.OK},
					"plain text":        {insecure.NewCredentials(), codes.Unavailable},
					"another authority": {stranger.ClientCredentials(part), codes.Unavailable},
					"another's name":    {ops.ClientCredentials(another), codes.Unavailable},
				} {
					if err := askHealth(t, shop.Addr(part), test.as); status.Code(err) != test.want {
						t.Errorf("%s asks %s: %v", who, part, err)
					}
				}
			}
			log, err := os.ReadFile(filepath.Join(dir, "logs", map[bool]string{true: "catalog.log", false: "souk.log"}[processes]))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`"subject":"no TLS"`, `"subject":"certificate of an unknown authority"`} {
				if !strings.Contains(string(log), want) {
					t.Errorf("no %s in the log", want)
				}
			}
		})
	}
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
