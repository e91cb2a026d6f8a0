// Package smtp gives mails to a mail server.
package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/textproto"
	"os"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/idna"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	app "github.com/souk-shop/souk/services/notification/internal/app/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

// How a connection is encrypted.
const (
	// StartTLS asks for TLS on a connection that begins without it, and gives up where the
	// server has none.
	StartTLS = "starttls"
	// Implicit begins with TLS.
	Implicit = "implicit"
	// Off is without TLS: for a server on the same machine.
	Off = "off"
)

var defaultPorts = map[string]int{StartTLS: 587, Implicit: 465, Off: 25}

// Config is how the mail server is reached.
type Config struct {
	// Host is the server's name; without one mails are kept.
	Host string `env:"HOST"`
	// Port is 587 when 0; 465 with implicit TLS, 25 without any.
	Port int `env:"PORT"`
	// TLS is starttls, implicit or off.
	TLS string `env:"TLS, default=starttls"`
	// User and Password are for AUTH, by the best of the server's mechanisms.
	User     string        `env:"USER"`
	Password config.Secret `env:"PASSWORD"`
	// CAFile has the certificates of those who sign the server's; the system's when empty.
	CAFile string `env:"CA_FILE"`
	// ServerName is whose certificate the server has, where that is not Host.
	ServerName string `env:"SERVER_NAME"`
	// Hello is the name that the client gives itself; the machine's when empty.
	Hello string `env:"HELLO"`
	// Timeout bounds the connection with its greetings, and then the sending of the mail. A
	// server that takes longer to accept one is asked again, and may send it twice.
	Timeout time.Duration `env:"TIMEOUT, default=60s"`
}

// Validate refuses what no server can be reached with.
func (c *Config) Validate() error {
	switch _, known := defaultPorts[c.TLS]; {
	case c.Host == "":
		if c.User != "" || c.Port != 0 {
			return errors.New("SMTP_HOST is not set, but SMTP_USER or SMTP_PORT is")
		}
		return nil
	case !known:
		return fmt.Errorf("SMTP_TLS is %q: it is %s, %s or %s", c.TLS, StartTLS, Implicit, Off)
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("SMTP_PORT is %d", c.Port)
	case (c.User == "") != (c.Password == ""):
		return errors.New("SMTP_USER and SMTP_PASSWORD go together")
	case c.User != "" && c.TLS == Off:
		return errors.New("SMTP_PASSWORD is not sent without TLS: SMTP_TLS is off")
	case c.Timeout < time.Second:
		return fmt.Errorf("SMTP_TIMEOUT is %v: it is 1 s at least", c.Timeout)
	}
	return nil
}

// Server is a mail server; it implements app.Server.
type Server struct {
	cfg    Config
	from   Sender
	roots  *x509.CertPool
	tracer trace.Tracer
}

// Sender is in whose name mails are.
type Sender struct {
	// From is such as "Souk <orders@shop.example>".
	From *netmail.Address
	// ReplyTo is where answers go; nil for From.
	ReplyTo *netmail.Address
}

// Host is the domain of From.
func (s Sender) Host() string {
	return s.From.Address[strings.LastIndexByte(s.From.Address, '@')+1:]
}

// New returns a server, which is not asked for anything yet.
func New(cfg Config, from Sender, tel *telemetry.Telemetry) (*Server, error) {
	s := &Server{cfg: cfg, from: from, tracer: tel.Tracer()}
	if s.cfg.Port == 0 {
		s.cfg.Port = defaultPorts[cfg.TLS]
	}
	if s.cfg.ServerName == "" {
		s.cfg.ServerName = cfg.Host
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("SMTP_CA_FILE: %w", err)
		}
		if s.roots = x509.NewCertPool(); !s.roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("SMTP_CA_FILE: no certificate in %s", cfg.CAFile)
		}
	}
	return s, nil
}

// Send implements app.Server: a connection for each mail, so that one that is broken spoils
// one mail.
func (s *Server) Send(ctx context.Context, m app.Message) (err error) {
	ctx, span := s.tracer.Start(ctx, "send mail", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("server.address", s.cfg.Host), attribute.Int("server.port", s.cfg.Port),
		attribute.String("network.protocol.name", "smtp"), attribute.String("messaging.message.id", m.ID)))
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}()
	msg, err := s.message(m)
	if err != nil {
		return err
	}
	client, err := gomail.NewClient(s.cfg.Host, s.options()...)
	if err != nil {
		return err
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return notBegun(err)
	}
	return outcome(client.SendWithSMTPClient(conn, msg), msg, conn, m.To)
}

func (s *Server) options() []gomail.Option {
	opts := []gomail.Option{
		gomail.WithPort(s.cfg.Port), gomail.WithTimeout(s.cfg.Timeout),
		gomail.WithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.cfg.ServerName, RootCAs: s.roots}),
	}
	switch s.cfg.TLS {
	case Implicit:
		opts = append(opts, gomail.WithSSL())
	case Off:
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.cfg.User != "" {
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.cfg.User), gomail.WithPassword(s.cfg.Password.Reveal()))
	}
	if s.cfg.Hello != "" {
		opts = append(opts, gomail.WithHELO(s.cfg.Hello))
	}
	return opts
}

// notBegun is a failure before the mail: of the network, of TLS or of AUTH. It says
// nothing about the mail, so it is never permanent.
func notBegun(err error) error {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return &mail.Refusal{Text: reply.Error()}
	}
	return fmt.Errorf("greet the mail server: %w", err)
}

// outcome tells what became of the mail.
func outcome(err error, msg *gomail.Msg, conn *smtp.Client, to string) error {
	if msg.IsDelivered() { // whatever failed after that
		_ = conn.Quit() // the mail is the server's; how the connection ends is nothing
		return nil
	}
	// Without QUIT: after a mail that broke off, it would end the mail, and have half of it sent.
	_ = conn.Close()
	failed, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return fmt.Errorf("give the mail to the server: %w", err)
	}
	text := strings.ReplaceAll(failed.Error(), to, "the address")
	if ascii, err := wire(to); err == nil {
		text = strings.ReplaceAll(text, ascii, "the address")
	}
	text, _, _ = strings.Cut(text, ", affected recipient(s)")
	text, _, _ = strings.Cut(text, ", affected message ID")
	switch code := failed.ErrorCode(); {
	case code >= 500 && (failed.Reason == gomail.ErrSMTPRcptTo || failed.Reason == gomail.ErrSMTPData || failed.Reason == gomail.ErrSMTPDataClose):
		return &mail.Refusal{Permanent: true, Text: text}
	case code != 0:
		// Also what is said of the sender's address for good: the shop's settings are wrong,
		// not this mail.
		return &mail.Refusal{Text: text}
	case failed.Reason == gomail.ErrSMTPDataClose:
		return fmt.Errorf("%w: %s", mail.ErrUnknown, text)
	}
	return errors.New(text)
}

// message is m as it goes over the wire. go-mail writes headers folded and encoded, and takes
// only addresses that net/mail parses: no text of an order adds a header.
func (s *Server) message(m app.Message) (*gomail.Msg, error) {
	to, err := wire(m.To)
	if err != nil {
		return nil, &mail.Refusal{Permanent: true, Text: "the address is no e-mail address"}
	}
	msg := gomail.NewMsg()
	msg.FromMailAddress(s.from.From)
	if s.from.ReplyTo != nil {
		msg.ReplyToMailAddress(s.from.ReplyTo)
	}
	if err := msg.To(to); err != nil {
		return nil, &mail.Refusal{Permanent: true, Text: "the address is no e-mail address"}
	}
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(m.ID)
	msg.SetDateWithValue(m.Date)
	// No out-of-office answers (RFC 3834).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

// wire is an address with its domain as DNS has it; the part before the @ stays, and where
// it is not ASCII the server needs SMTPUTF8.
func wire(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", errors.New("no @")
	}
	domain, err := idna.Lookup.ToASCII(address[at+1:])
	return address[:at+1] + domain, err
}
