// Package inbox is a mail server that keeps what it takes in memory, and misbehaves when it is
// told to. Tests and fault tools look there for the mails that the shop sends.
package inbox

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// The one account.
const (
	User     = "souk"
	Password = "open sesame"
)

// maxMail bounds a mail, in bytes.
const maxMail = 1 << 20

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
	// From and To are those of the envelope.
	From, To string
	User     string // who logged in
	TLS      bool
	Text     string // as it came
	At       time.Time
}

// Config of a server.
type Config struct {
	// Name is how the server calls itself.
	Name string
	// TLS is for STARTTLS, or for the whole connection with Implicit; without it there is none.
	TLS      *tls.Config
	Implicit bool
	// React is asked for each mail, by its number from 1 and its recipient; nil takes all.
	React func(n int, to string) Reaction
}

// Server is a running server.
type Server struct {
	Host string
	Port int

	react func(n int, to string) Reaction
	smtp  *smtp.Server
	ended chan struct{}

	mu    sync.Mutex
	tries int
	mails []Mail
	taken chan struct{} // closed and made anew with each mail
}

// Listen starts a server on a free port of the loopback interface.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{react: cfg.React, ended: make(chan struct{}), taken: make(chan struct{})}
	host, port, err := net.SplitHostPort(lis.Addr().String())
	if err == nil {
		s.Host = host
		s.Port, err = strconv.Atoi(port)
	}
	if err != nil {
		return nil, errors.Join(err, lis.Close())
	}
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	s.smtp.Domain, s.smtp.ErrorLog, s.smtp.MaxMessageBytes = cfg.Name, discard{}, maxMail
	s.smtp.ReadTimeout, s.smtp.WriteTimeout = time.Minute, time.Minute
	switch {
	case cfg.TLS != nil && cfg.Implicit:
		lis = tls.NewListener(lis, cfg.TLS)
	case cfg.TLS != nil:
		s.smtp.TLSConfig = cfg.TLS
	}
	go func() {
		defer close(s.ended)
		_ = s.smtp.Serve(lis) // until Close
	}()
	return s, nil
}

// Close ends the server and all connections.
func (s *Server) Close() error {
	err := s.smtp.Close()
	if errors.Is(err, smtp.ErrServerClosed) {
		err = nil
	}
	<-s.ended
	return err
}

// Mails are those that the server has, in the order in which they came.
func (s *Server) Mails() []Mail {
	all, _ := s.Next()
	return all
}

// Next returns the mails that the server has, and what is closed when it takes another one.
func (s *Server) Next() (all []Mail, taken <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...), s.taken
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
	if s.mail.To != "" {
		return errors.New("one recipient is enough")
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.tries++
	s.reaction = Reaction{}
	if s.server.react != nil {
		s.reaction = s.server.react(s.server.tries, to)
	}
	if s.reaction.Rcpt == nil {
		s.mail.To = to
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
	s.mail.Text, s.mail.At = string(text), time.Now()
	_, s.mail.TLS = s.conn.TLSConnectionState()
	s.server.mu.Lock()
	s.server.mails = append(s.server.mails, s.mail)
	close(s.server.taken)
	s.server.taken = make(chan struct{})
	s.server.mu.Unlock()
	if s.reaction.Vanish {
		return s.conn.Conn().Close()
	}
	return nil
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}
