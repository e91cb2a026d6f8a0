package smtp_test

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	app "github.com/souk-shop/souk/services/notification/internal/app/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/letter"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	"github.com/souk-shop/souk/services/notification/internal/smtp"
	"github.com/souk-shop/souk/services/notification/smtptest"
)

func configOf(s *smtptest.Server) smtp.Config {
	return smtp.Config{
		Host: s.Host, Port: s.Port, TLS: smtp.StartTLS, User: smtptest.User, Password: config.Secret(smtptest.Password),
		CAFile: s.CAFile, ServerName: smtptest.Name, Hello: "souk.test", Timeout: 10 * time.Second,
	}
}

func open(t *testing.T, cfg smtp.Config) *smtp.Server {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := smtp.New(cfg, smtp.Sender{
		From: &netmail.Address{Name: "Souk", Address: "orders@shop.test"}, ReplyTo: &netmail.Address{Address: "help@shop.test"},
	}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(to string) app.Message {
	return app.Message{
		ID: "order.1.5@shop.test", To: to, Date: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
		Letter: letter.Letter{Subject: "Refund of £5.00", Text: "Gibt’s: £5.00\n", HTML: "<p>£5.00</p>"},
	}
}

// TestWhatIsSent: headers and both texts, by STARTTLS and by implicit TLS, with a password.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{false, true} {
		s := smtptest.Start(t, smtptest.Config{Implicit: implicit})
		cfg := configOf(s)
		if implicit {
			cfg.TLS = smtp.Implicit
		}
		if err := open(t, cfg).Send(t.Context(), message("ada@bücher.example")); err != nil {
			t.Fatal(err)
		}
		got := s.Wait(t, 1)[0]
		if got.From != "orders@shop.test" || got.To != "ada@xn--bcher-kva.example" || got.User != smtptest.User || !got.TLS {
			t.Errorf("envelope %+v", got)
		}
		m, err := netmail.ReadMessage(strings.NewReader(got.Text))
		if err != nil {
			t.Fatal(err)
		}
		for header, want := range map[string]string{
			"Message-Id": "<order.1.5@shop.test>", "From": `"Souk" <orders@shop.test>`, "Reply-To": "<help@shop.test>",
			"To": "<ada@xn--bcher-kva.example>", "Auto-Submitted": "auto-generated", "Date": "Sat, 28 Nov 2026 12:00:00 +0000",
		} {
			if have := m.Header.Get(header); have != want {
				t.Errorf("%s: %q, want %q", header, have, want)
			}
		}
		if subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil || subject != "Refund of £5.00" {
			t.Errorf("subject %q, %v", subject, err)
		}
		kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err != nil || kind != "multipart/alternative" {
			t.Fatalf("content type %q, %v", kind, err)
		}
		parts := multipart.NewReader(m.Body, params["boundary"])
		for _, want := range []string{"Gibt’s: £5.00\n", "<p>£5.00</p>"} { // the last is what readers prefer
			part, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(part)
			if err != nil || strings.ReplaceAll(string(text), "\r\n", "\n") != want {
				t.Errorf("part %q, %v, want %q", text, err, want)
			}
		}
	}
}

// TestHeadersAreNotInjected: no text makes a header of its own, or another recipient.
func TestHeadersAreNotInjected(t *testing.T) {
	t.Parallel()
	s := smtptest.Start(t, smtptest.Config{})
	server := open(t, configOf(s))
	m := message("ada@example.com")
	m.Subject = "Hello\r\nBcc: eve@example.com\r\n\r\nbody"
	if err := server.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	parsed, err := netmail.ReadMessage(strings.NewReader(s.Wait(t, 1)[0].Text))
	if err != nil || parsed.Header.Get("Bcc") != "" || parsed.Header.Get("Auto-Submitted") == "" {
		t.Errorf("%v, %v", parsed.Header, err)
	}
	for _, to := range []string{"ada@example.com\r\nRCPT TO:<eve@example.com>", "ada@example.com, eve@example.com", "ada", "<ada@example.com> <eve@example.com>"} {
		refusal, refused := errors.AsType[*mail.Refusal](server.Send(t.Context(), message(to)))
		if !refused || !refusal.Permanent {
			t.Errorf("%q was not refused", to)
		}
	}
	if n := len(s.Mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestOutcomes: what each answer of a server means for the mail.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const to = "ada@example.com"
	for name, c := range map[string]struct {
		reaction           smtptest.Reaction
		permanent, unknown bool
		text               string
	}{
		"no such mailbox": {smtptest.Reaction{Rcpt: smtptest.Reply(550, "<ada@example.com> is not here")}, true, false, "550"},
		"greylisted":      {smtptest.Reaction{Rcpt: smtptest.Reply(451, "try again")}, false, false, "451"},
		"spam":            {smtptest.Reaction{Data: smtptest.Reply(554, "no, thank you")}, true, false, "554"},
		"full":            {smtptest.Reaction{Data: smtptest.Reply(452, "no room")}, false, false, "452"},
		"gone":            {smtptest.Reaction{Vanish: true}, false, true, "did not answer"},
	} {
		s := smtptest.Start(t, smtptest.Config{React: func(int, string) smtptest.Reaction { return c.reaction }})
		err := open(t, configOf(s)).Send(t.Context(), message(to))
		refusal, refused := errors.AsType[*mail.Refusal](err)
		if refused == c.unknown || errors.Is(err, mail.ErrUnknown) != c.unknown || refused && refusal.Permanent != c.permanent {
			t.Errorf("%s: %#v", name, err)
		}
		if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), to) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNothingIsSentOpenly: without TLS, with a certificate of another name or of an unknown
// authority, and with a wrong password nothing is sent, and nothing is said about the mail.
func TestNothingIsSentOpenly(t *testing.T) {
	t.Parallel()
	plain, good := smtptest.Start(t, smtptest.Config{Plain: true}), smtptest.Start(t, smtptest.Config{})
	for name, c := range map[string]struct {
		server *smtptest.Server
		change func(*smtp.Config)
	}{
		"no TLS":            {plain, func(*smtp.Config) {}},
		"another name":      {good, func(c *smtp.Config) { c.ServerName = "other.test" }},
		"unknown authority": {good, func(c *smtp.Config) { c.CAFile = "" }},
		"wrong password":    {good, func(c *smtp.Config) { c.Password = "guess" }},
		"nobody listens":    {good, func(c *smtp.Config) { c.Port = 1 }},
	} {
		cfg := configOf(c.server)
		c.change(&cfg)
		err := open(t, cfg).Send(t.Context(), message("ada@example.com"))
		if refusal, refused := errors.AsType[*mail.Refusal](err); err == nil || refused && refusal.Permanent || errors.Is(err, mail.ErrUnknown) {
			t.Errorf("%s: %#v", name, err)
		}
	}
	if n := len(plain.Mails()) + len(good.Mails()); n != 0 {
		t.Errorf("%d mails", n)
	}
}

// TestValidate: each mistake is said by its variable.
func TestValidate(t *testing.T) {
	t.Parallel()
	good := smtp.Config{Host: "mail.test", TLS: smtp.StartTLS, Timeout: time.Minute}
	for want, change := range map[string]func(*smtp.Config){
		"SMTP_HOST":     func(c *smtp.Config) { c.Host, c.Port = "", 25 },
		"SMTP_TLS":      func(c *smtp.Config) { c.TLS = "maybe" },
		"SMTP_PORT":     func(c *smtp.Config) { c.Port = 70000 },
		"SMTP_PASSWORD": func(c *smtp.Config) { c.User = "souk" },
		"without TLS":   func(c *smtp.Config) { c.User, c.Password, c.TLS = "souk", "p", smtp.Off },
		"SMTP_TIMEOUT":  func(c *smtp.Config) { c.Timeout = 0 },
	} {
		cfg := good
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
