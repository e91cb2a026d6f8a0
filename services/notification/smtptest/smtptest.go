// Package smtptest has a real mail server for tests, which fails when it is told to.
package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// The one account.
const (
	User     = "souk"
	Password = "open sesame"
)

// Name is in the server's certificate.
const Name = "mail.test"

// Reaction is what the server does to a mail.
type Reaction struct {
	// Rcpt and Data, unless nil, are its answers to the recipient and to the whole mail.
	Rcpt, Data error
	// Vanish has the server keep the mail and end the connection without an answer.
	Vanish bool
}

// Reply is an answer.
func Reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// Mail is one that the server has.
type Mail struct {
	From, To string
	User     string // who logged in
	TLS      bool
	Text     string // as it came
}

// Server is a running server.
type Server struct {
	Host string
	Port int
	// CAFile has its certificate.
	CAFile string

	mu    sync.Mutex
	react func(n int, to string) Reaction
	tries int
	mails []Mail
	done  chan struct{} // closed and made anew with each mail
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
	s := &Server{CAFile: caFile, react: cfg.React, done: make(chan struct{})}
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	srv.Domain, srv.ErrorLog = Name, discard{}
	srv.ReadTimeout, srv.WriteTimeout = time.Minute, time.Minute
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	host, port, err := net.SplitHostPort(lis.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	s.Host = host
	if s.Port, err = strconv.Atoi(port); err != nil {
		tb.Fatal(err)
	}
	tlsConfig := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	switch {
	case cfg.Implicit:
		lis = tls.NewListener(lis, tlsConfig)
	case !cfg.Plain:
		srv.TLSConfig = tlsConfig
	}
	go srv.Serve(lis) //nolint:errcheck // it ends with Close
	tb.Cleanup(func() { srv.Close() })
	return s
}

// Mails are those that the server has.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Wait returns once the server has n mails.
func (s *Server) Wait(tb testing.TB, n int) []Mail {
	tb.Helper()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for {
		s.mu.Lock()
		all, done := append([]Mail(nil), s.mails...), s.done
		s.mu.Unlock()
		if len(all) >= n {
			return all
		}
		select {
		case <-done:
		case <-late.C:
			tb.Fatalf("%d mails, want %d", len(all), n)
		}
	}
}

type session struct {
	server   *Server
	conn     *smtp.Conn
	mail     Mail
	reaction Reaction
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != User || password != Password {
			return smtp.ErrAuthFailed
		}
		s.mail.User = user
		return nil
	}), nil
}

func (s *session) Reset()        { s.mail.From, s.mail.To, s.mail.Text = "", "", "" }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if from == "" {
		return errors.New("no sender")
	}
	s.mail.From = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = to
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.tries++
	s.reaction = Reaction{}
	if s.server.react != nil {
		s.reaction = s.server.react(s.server.tries, to)
	}
	return s.reaction.Rcpt
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.reaction.Data != nil {
		return s.reaction.Data
	}
	s.mail.Text = string(text)
	_, s.mail.TLS = s.conn.TLSConnectionState()
	s.server.mu.Lock()
	s.server.mails = append(s.server.mails, s.mail)
	close(s.server.done)
	s.server.done = make(chan struct{})
	s.server.mu.Unlock()
	if s.reaction.Vanish {
		return s.conn.Conn().Close()
	}
	return nil
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

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
