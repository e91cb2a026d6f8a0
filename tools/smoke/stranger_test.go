package smoke_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/tools/smoke"
)

// A server that asks for certificates refuses a stranger; one that does not is noticed; of
// one that is not there nothing is known.
func TestStranger(t *testing.T) {
	t.Parallel()
	text := identitytest.Issue(t, identitytest.Authority(t), "order")
	certificate, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(opts ...grpc.ServerOption) string {
		l := listen(t)
		s := grpc.NewServer(opts...)
		go func() { _ = s.Serve(l) }()
		t.Cleanup(s.Stop)
		return l.Addr().String()
	}
	redis := func(secured bool, answer string) string {
		l := listen(t)
		if secured {
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}})
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
						fmt.Fprint(conn, answer)
					}
				}()
			}
		}()
		return l.Addr().String()
	}
	file := func() string {
		name := filepath.Join(t.TempDir(), "tls.pem")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}()
	nats := func(cfg natsserver.Config) string {
		cfg.Dir, cfg.Address, cfg.Log = t.TempDir(), "127.0.0.1:0", slog.New(slog.DiscardHandler)
		s, err := natsserver.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		return s.Address()
	}
	gone := listen(t)
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	strict := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert, VerifyConnection: func(c tls.ConnectionState) error {
		return fmt.Errorf("not %s", c.PeerCertificates[0].Subject.CommonName)
	}})
	lax := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}})
	want := map[string]string{
		"grpc=" + serve(grpc.Creds(strict)):    "refused refused refused",             //nolint:dupword // a word for each try
		"grpc=" + serve(grpc.Creds(lax)):       "answered answered refused",           //nolint:dupword // a word for each try
		"grpc=" + serve():                      "refused refused answered",            //nolint:dupword // a word for each try
		"grpc=" + gone.Addr().String():         "unreachable unreachable unreachable", //nolint:dupword // a word for each try
		"redis=" + redis(true, "-NOAUTH\r\n"):  "refused refused",                     //nolint:dupword // a word for each try
		"redis=" + redis(true, "+PONG\r\n"):    "answered refused",
		"redis=" + redis(false, "-NOAUTH\r\n"): "unreachable answered",
		"nats=" + nats(natsserver.Config{User: "a", Password: "b", CertFile: file, KeyFile: file}): "refused refused", //nolint:dupword // a word for each try
		"nats=" + nats(natsserver.Config{CertFile: file, KeyFile: file}):                           "answered refused",
		"nats=" + nats(natsserver.Config{}):                                                        "refused answered",
		"nats=" + gone.Addr().String():                                                             "unreachable unreachable",                         //nolint:dupword // a word for each try
		"postgres=" + gone.Addr().String() + "/order":                                              "unreachable unreachable unreachable unreachable", //nolint:dupword // a word for each try
	}
	var targets []string
	for target := range want {
		targets = append(targets, target)
	}
	var out bytes.Buffer
	if err := smoke.Stranger(t.Context(), smoke.Config{Targets: targets}, &out); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for line := range strings.Lines(out.String()) {
		var a smoke.Attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		if got[a.Target] == nil {
			got[a.Target] = map[string]string{}
		}
		got[a.Target][a.Attempt] = string(a.Outcome)
	}
	for target, outcomes := range want {
		var is []string
		for _, attempt := range []string{"a certificate of another authority", "no certificate", "a wrong password", "the superuser", "no password", "plain text", "plain text, the owner"} {
			if outcome, ok := got[target][attempt]; ok {
				is = append(is, outcome)
			}
		}
		if strings.Join(is, " ") != outcomes {
			t.Errorf("%s: %v, want %s", target, got[target], outcomes)
		}
	}
	for _, target := range []string{"", "http=x:1", "postgres=x:1"} {
		if err := smoke.Stranger(t.Context(), smoke.Config{Targets: []string{target}}, &out); err == nil {
			t.Errorf("%q is accepted", target)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
