// Package smtptest has a real mail server for tests, which fails when it is told to.
package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/notification/inbox"
)

// The one account.
const (
	User     = inbox.User
	Password = inbox.Password
)

// Name is in the server's certificate.
const Name = "mail.test"

// Reaction is what the server does to a mail.
type Reaction = inbox.Reaction

// Reply is an answer.
func Reply(code int, text string) error { return inbox.Reply(code, text) }

// Mail is one that the server has.
type Mail = inbox.Mail

// Server is a running server.
type Server struct {
	*inbox.Server
	// CAFile has its certificate.
	CAFile string
}

// Config of a server.
type Config struct {
	// Implicit begins connections with TLS; else there is STARTTLS unless Plain.
	Implicit, Plain bool
	// React is asked for each mail, by its number from 1 and its recipient; nil takes all.
	React func(n int, to string) Reaction
}

// Start starts a server that stops with the test.
func Start(tb testing.TB, cfg Config) *Server {
	tb.Helper()
	certificate, caFile := certify(tb)
	in := inbox.Config{Name: Name, Implicit: cfg.Implicit, React: cfg.React}
	if !cfg.Plain {
		in.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	server, err := inbox.Listen(tb.Context(), in)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Close(); err != nil {
			tb.Errorf("the mail server: %v", err)
		}
	})
	return &Server{server, caFile}
}

// Wait returns once the server has n mails.
func (s *Server) Wait(tb testing.TB, n int) []Mail {
	tb.Helper()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for {
		all, taken := s.Next()
		if len(all) >= n {
			return all
		}
		select {
		case <-taken:
		case <-late.C:
			tb.Fatalf("%d mails, want %d", len(all), n)
		}
	}
}

// certify makes a certificate that signs itself, and its file.
func certify(tb testing.TB) (tls.Certificate, string) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{Name}, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "ca.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
