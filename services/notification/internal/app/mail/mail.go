package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/notification/internal/domain/letter"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

// Crash points.
const (
	// MailSending: the mail is Sending, the mail server was not asked.
	MailSending crash.Point = "mail.sending"
	// MailAccepted: the mail server has accepted the mail, which is not written yet: a death
	// here sends it twice.
	MailAccepted crash.Point = "mail.accepted"
	// MailSettled: the mail is settled, its job is not done.
	MailSettled crash.Point = "mail.settled"
)

// CrashPoints are all of them.
func CrashPoints() []crash.Point { return []crash.Point{MailSending, MailAccepted, MailSettled} }

// backoff is when a mail that was not taken is tried again: a server that is away for minutes
// is met soon after, one that greylists within the quarter of an hour that these take.
var backoff = retry.Backoff{Initial: 2 * time.Second, Max: 15 * time.Minute}

// Config of Mails.
type Config struct {
	Store  Store
	Orders Orders
	// Server is nil where mails are kept.
	Server Server
	Writer letter.Writer
	// Operators is the address of mails to the shop's operators, which are kept without one.
	Operators string
	// Host is the domain of the sender's address.
	Host string
	// MaxAge is for how long after its event a mail is worth sending.
	MaxAge time.Duration
	Now    func() time.Time
	Log    *slog.Logger
	Crash  crash.Hook
	// Settled is called with each state in which a mail is settled.
	Settled func(context.Context, mail.State)
}

// Mails has the use cases. Safe for concurrent use.
type Mails struct{ cfg Config }

// New makes Mails.
func New(cfg Config) *Mails { return &Mails{cfg} }

// RetryError says that a mail is open still, and when to try it again.
type RetryError struct {
	After time.Duration
	Err   error
}

// Error implements error.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// Send sends a mail, or settles it otherwise. While it stays open it returns a *RetryError. A
// mail that is settled, or that another process is at, is left as it is.
//
// The mail server is asked after Sending was committed, and what it answered is committed
// after that. So a mail is sent twice only where the server accepts it and that is not
// written: the process dies within these milliseconds, the database cannot be written then, or
// the server's answer is lost. Both copies have the same Message-ID, date and text.
func (m *Mails) Send(ctx context.Context, id string) error {
	it, err := m.cfg.Store.Mail(ctx, id)
	if errors.Is(err, mail.ErrNotFound) {
		return nil // forgotten: settled long ago
	}
	if err != nil {
		return &RetryError{backoff.Delay(1), err}
	}
	if !it.State.Open() {
		return nil
	}
	if m.cfg.Server == nil {
		return m.settle(ctx, &it, mail.Kept, "")
	}
	if m.cfg.Now().After(it.HappenedAt.Add(m.cfg.MaxAge)) {
		if it.Attempts == 0 && it.Reason == "" {
			return m.settle(ctx, &it, mail.Withheld, mail.ReasonTooOld)
		}
		return m.settle(ctx, &it, mail.Failed, "not sent within "+m.cfg.MaxAge.String()+": "+it.Reason)
	}
	to, text, err := m.write(ctx, &it)
	if err != nil {
		return m.later(ctx, &it, err)
	}
	switch {
	case to != "":
	case it.Endpoint != nil: // the address was taken out of the configuration
		return m.settle(ctx, &it, mail.Kept, "")
	default:
		return m.settle(ctx, &it, mail.Withheld, mail.ReasonErased)
	}
	begun, err := m.cfg.Store.Begin(ctx, it.ID, it.Attempts)
	if err != nil {
		return &RetryError{backoff.Delay(1), err}
	}
	if !begun {
		return nil
	}
	it.Attempts++
	return m.attempt(ctx, &it, Message{ID: it.MessageID(m.cfg.Host), To: to, Date: it.CreatedAt, Letter: text})
}

// write returns to whom a mail goes and what it says. There is neither for a buyer who is erased;
// operators may have no address.
func (m *Mails) write(ctx context.Context, it *mail.Mail) (to string, text letter.Letter, err error) {
	if it.Endpoint != nil {
		text, err = m.cfg.Writer.WriteToOperators(it)
		return m.cfg.Operators, text, err
	}
	order, err := m.cfg.Orders.Order(ctx, it.OrderID)
	if err != nil {
		return "", text, fmt.Errorf("ask for the order: %w", err)
	}
	if order.Erased {
		return "", text, nil
	}
	text, err = m.cfg.Writer.Write(it, &order)
	return order.Email, text, err
}

// attempt asks the mail server once, after Begin.
func (m *Mails) attempt(ctx context.Context, it *mail.Mail, message Message) error {
	if err := m.cfg.Crash(MailSending); err != nil {
		return err
	}
	err := m.cfg.Server.Send(ctx, message)
	// What the server answered is written also when the process is asked to stop meanwhile.
	ctx = context.WithoutCancel(ctx)
	refusal, refused := errors.AsType[*mail.Refusal](err)
	switch {
	case err == nil:
		if err := m.cfg.Crash(MailAccepted); err != nil {
			return err
		}
		return m.settle(ctx, it, mail.Sent, "")
	case refused && refusal.Permanent:
		return m.settle(ctx, it, mail.Failed, refusal.Text)
	default:
		return m.later(ctx, it, err)
	}
}

func (m *Mails) settle(ctx context.Context, it *mail.Mail, to mail.State, reason string) error {
	if err := m.cfg.Store.End(ctx, it.ID, it.Attempts, to, reason); err != nil {
		return &RetryError{backoff.Delay(1), err}
	}
	m.cfg.Settled(ctx, to)
	if to == mail.Failed {
		m.cfg.Log.ErrorContext(ctx, "a mail is not sent", "mail", it.ID, "kind", it.Kind, "about", it.Subject, "attempts", it.Attempts, "reason", reason)
	}
	return m.cfg.Crash(MailSettled)
}

// later leaves a mail open, with why.
func (m *Mails) later(ctx context.Context, it *mail.Mail, cause error) error {
	again := &RetryError{backoff.Delay(max(1, it.Attempts)), cause}
	if err := m.cfg.Store.End(ctx, it.ID, it.Attempts, mail.Queued, cause.Error()); err != nil {
		again.Err = errors.Join(cause, err)
	}
	return again
}

// Forget deletes mails that were settled longer than keep ago, and returns how many.
func (m *Mails) Forget(ctx context.Context, keep time.Duration) (all int, err error) {
	const batch = 500
	for n := batch; n == batch; all += n {
		if n, err = m.cfg.Store.Forget(ctx, m.cfg.Now().Add(-keep), batch); err != nil {
			return all, err
		}
	}
	return all, nil
}

// Get returns a mail with its text as it would be sent now, and to whom. Without a text, the buyer
// is erased. Errors: mail.ErrNotFound.
func (m *Mails) Get(ctx context.Context, id string) (it mail.Mail, to string, text letter.Letter, err error) {
	if it, err = m.cfg.Store.Mail(ctx, id); err != nil {
		return it, "", text, err
	}
	to, text, err = m.write(ctx, &it)
	return it, to, text, err
}

// List returns up to limit mails, the newest first, and whether there are more.
func (m *Mails) List(ctx context.Context, f Filter, before string, limit int) (page []mail.Mail, more bool, err error) {
	if page, err = m.cfg.Store.Mails(ctx, f, before, limit+1); err != nil || len(page) <= limit {
		return page, false, err
	}
	return page[:limit], true, nil
}
