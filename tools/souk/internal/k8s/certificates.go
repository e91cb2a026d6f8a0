package k8s

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/souk/internal/images"
)

const (
	// issued is the chart's annotation of the day on which it signed a certificate.
	issued = "souk.shop/issued"
	// followTimeout is how long a server may take to present a new certificate. The kubelet writes a
	// changed secret into the pods' volumes within its sync period of a minute and its cache's time
	// to live; the bundled stores look for it each half minute.
	followTimeout = 4 * time.Minute
	// handshakeTimeout bounds one connection that is made to see a certificate.
	handshakeTimeout = 10 * time.Second
)

// rotateCertificates has the chart sign all certificates anew and waits until each pod of each part
// and store presents its new one.
func (t *tester) rotateCertificates(ctx context.Context) error {
	root, err := images.Repository(ctx)
	if err != nil {
		return err
	}
	before, err := t.certificates(ctx)
	if err != nil {
		return err
	}
	if len(before) == 0 {
		fmt.Fprintln(t.stdout, "  the chart signs no certificates here (tls.kind)")
		return nil
	}
	for secret := range before {
		if _, err := t.kubectl(ctx, "annotate", "secret", secret, issued+"=2000-01-01", "--overwrite"); err != nil {
			return err
		}
	}
	if _, err := t.helm(ctx, "upgrade", t.release, chart(root), "--reset-then-reuse-values", "--wait", "--timeout", "5m"); err != nil {
		return err
	}
	after, err := t.certificates(ctx)
	if err != nil {
		return err
	}
	presented := map[string]bool{}
	for secret, old := range before {
		if bytes.Equal(old, after[secret]) {
			return fmt.Errorf("secret %s has the certificate that it had", secret)
		}
		presented[string(after[secret])] = true
	}
	return t.present(ctx, presented)
}

// certificates are those that the chart signed (DER), by their secrets.
func (t *tester) certificates(ctx context.Context) (map[string][]byte, error) {
	out, err := t.kubectl(ctx, "get", "secrets", "--selector", t.selector("tls"), "--output", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct {
				Name        string
				Annotations map[string]string
			}
			Data map[string][]byte
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("kubectl get secrets: %w", err)
	}
	certificates := map[string][]byte{}
	for _, s := range list.Items {
		if _, ok := s.Metadata.Annotations[issued]; !ok {
			continue
		}
		block, _ := pem.Decode(s.Data["tls.crt"])
		if block == nil {
			return nil, fmt.Errorf("secret %s has no certificate", s.Metadata.Name)
		}
		certificates[s.Metadata.Name] = block.Bytes
	}
	return certificates, nil
}

// present waits until each pod of each server presents one of the certificates.
func (t *tester) present(ctx context.Context, certificates map[string]bool) error {
	servers, err := t.servers(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, err := t.openForwards(ctx)
	if err != nil {
		return err
	}
	defer func() { cancel(); f.wait() }()
	began, seen := time.Now(), 0
	for _, s := range servers {
		at := target{service: s.service}
		if at.port, err = f.portName(ctx, s.service, s.port); err != nil {
			return err
		}
		pods, _, err := f.pods(ctx, at)
		if err != nil {
			return err
		}
		for _, at.pod = range pods {
			for {
				certificate, err := f.certificate(ctx, at, s.kind)
				if err == nil && certificates[string(certificate)] {
					break
				}
				if time.Since(began) > t.follow {
					return errors.Join(fmt.Errorf("pod %s does not present its new certificate", at.pod), err)
				}
				if err := retry.Sleep(ctx, time.Second); err != nil {
					return err
				}
			}
			seen++
		}
	}
	fmt.Fprintf(t.stdout, "  %d pods present new certificates after %.0f s\n", seen, time.Since(began).Seconds())
	return nil
}

// certificate is what a pod presents (DER). By TLS 1.3 a server does so before it asks for the
// client's.
func (f *forwards) certificate(ctx context.Context, t target, kind string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	near, far := net.Pipe()
	defer near.Close()
	defer context.AfterFunc(ctx, func() { _ = near.Close() })()
	f.open.Go(func() { f.carry(ctx, t, far) })
	switch kind {
	case topology.Postgres:
		// SSLRequest and its answer: PostgreSQL's documentation, 55.2.11 SSL Session Encryption.
		if _, err := near.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
			return nil, err
		}
		var answer [1]byte
		if _, err := io.ReadFull(near, answer[:]); err != nil {
			return nil, err
		}
		if answer[0] != 'S' {
			return nil, fmt.Errorf("PostgreSQL answers %q to a request for TLS", answer)
		}
	case topology.NATS:
		// It speaks first: INFO and a line of JSON, in plain text.
		for b := make([]byte, 1); b[0] != '\n'; {
			if _, err := io.ReadFull(near, b); err != nil {
				return nil, err
			}
		}
	}
	var protocols []string // PostgreSQL from 17 on refuses who offers others than its own
	if kind == grpcKind {
		protocols = []string{"h2"}
	}
	conn := tls.Client(near, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: protocols}) //nolint:gosec // the certificate is what is looked at
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0].Raw, nil
}
