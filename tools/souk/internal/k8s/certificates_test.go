package k8s

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/identity/authority"
)

// signed is a certificate of a new authority.
func signed(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	now := time.Now()
	ca, err := authority.New(now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	text, err := ca.Issue("order", now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
}

// server speaks as a part or a store does until it has shown its certificate.
func (s server) speak(conn net.Conn, certificate *tls.Certificate) {
	var protocols []string
	switch s.kind {
	case "grpc":
		protocols = []string{"h2"}
	case "postgres":
		protocols = []string{"postgresql"} // it refuses who offers others, from version 17 on
		request := make([]byte, 8)
		if _, err := io.ReadFull(conn, request); err != nil || !bytes.Equal(request, []byte{0, 0, 0, 8, 4, 210, 22, 47}) {
			return
		}
		_, _ = conn.Write([]byte("S"))
	case "nats":
		_, _ = conn.Write([]byte("INFO {\"tls_required\":true}\r\n"))
	}
	_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13, NextProtos: protocols}).Handshake()
}

// TestRotateCertificates: it waits for each pod of each server, and tells who kept the old one.
func TestRotateCertificates(t *testing.T) {
	t.Parallel()
	old, oldText := signed(t)
	fresh, freshText := signed(t)
	for name, c := range map[string]struct {
		upgraded []byte          // the certificate in the secrets after the upgrade
		late     tls.Certificate // what the second pod of order presents first
		stays    bool            // whether it goes on presenting that
		secrets  string          // instead of the chart's
		want     string          // part of the error
		printed  string          // part of what it prints
	}{
		"all follow":          {upgraded: freshText, late: old, printed: "5 pods present new certificates"},
		"one stays":           {upgraded: freshText, late: old, stays: true, want: "pod souk-order-2 does not present its new certificate"},
		"nothing is signed":   {upgraded: oldText, late: old, want: "has the certificate that it had"},
		"no secrets":          {secrets: `{"items": []}`, printed: "the chart signs no certificates"},
		"a secret is strange": {secrets: `{"items": [{"metadata": {"name": "souk-order-tls", "annotations": {"souk.shop/issued": "2026-01-01"}}, "data": {"tls.crt": "AAAA"}}]}`, want: "secret souk-order-tls has no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			annotated, upgraded, asked := 0, false, 0
			kinds := map[string]string{"souk-order-1": "grpc", "souk-order-2": "grpc", "souk-redis": "redis", "souk-nats": "nats", "souk-order-postgres": "postgres"}
			pods := &api{pods: map[string][]string{"souk-order": {"souk-order-1", "souk-order-2"}}, speak: func(pod string, conn net.Conn) {
				mu.Lock()
				certificate := &fresh
				if pod == "souk-order-2" {
					if asked++; asked == 1 || c.stays {
						certificate = &c.late
					}
				}
				mu.Unlock()
				server{kind: kinds[pod]}.speak(conn, certificate)
			}}
			w := pretended(t, func(call call) *answer {
				mu.Lock()
				defer mu.Unlock()
				switch line := call.String(); {
				case strings.HasPrefix(line, "kubectl get secrets") && c.secrets != "":
					return &answer{Stdout: c.secrets}
				case strings.HasPrefix(line, "kubectl get secrets"):
					text := oldText
					if upgraded {
						text = c.upgraded
					}
					secret := func(name, text string, annotations map[string]string) map[string]any {
						return map[string]any{"metadata": map[string]any{"name": name, "annotations": annotations}, "data": map[string]any{"tls.crt": base64.StdEncoding.EncodeToString([]byte(text))}}
					}
					b, err := json.Marshal(map[string]any{"items": []any{
						secret("souk-ca", "the authority's stays", nil),
						secret("souk-order-tls", string(text), map[string]string{"souk.shop/issued": "2026-01-01"}),
					}})
					if err != nil {
						t.Error(err)
					}
					return &answer{Stdout: string(b)}
				case line == "kubectl annotate secret souk-order-tls souk.shop/issued=2000-01-01 --overwrite":
					annotated++
					return &answer{}
				case strings.HasPrefix(line, "helm upgrade souk "):
					upgraded = annotated == 1
					return &answer{}
				case strings.HasPrefix(line, "kubectl get services"):
					return &answer{Stdout: "souk-gateway souk-order souk-order-postgres souk-redis souk-nats"}
				case strings.HasPrefix(line, "kubectl proxy"):
					return pods.serve(t, call)
				}
				return nil
			})
			var out bytes.Buffer
			follow := followTimeout
			if c.stays {
				follow = 0
			}
			err := (&tester{cluster: w.cluster(), follow: follow, stdout: &out}).rotateCertificates(t.Context())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("it says %v", err)
			}
			if !strings.Contains(out.String(), c.printed) {
				t.Errorf("it prints %q", out.String())
			}
		})
	}
}
