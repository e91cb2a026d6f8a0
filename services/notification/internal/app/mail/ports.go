// Package mail has the use cases of mails: one is sent, and operators look at them.
package mail

import (
	"context"
	"time"

	"github.com/souk-shop/souk/services/notification/internal/domain/letter"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

type (
	// Store keeps mails.
	Store interface {
		// Mail returns one. Errors: mail.ErrNotFound.
		Mail(ctx context.Context, id string) (mail.Mail, error)
		// Mails returns up to limit that the filter selects, the newest first, before the
		// mail with the id before; all when that is "".
		Mails(ctx context.Context, f Filter, before string, limit int) ([]mail.Mail, error)
		// Begin notes that the mail server is about to be asked for the attempt after
		// attempts. It reports false when the mail is no longer open, or another process
		// has begun that attempt.
		Begin(ctx context.Context, id string, attempts int) (bool, error)
		// End writes what an attempt came to, by its number: a final state, or Queued.
		End(ctx context.Context, id string, attempts int, to mail.State, reason string) error
		// Forget deletes up to limit mails that were settled before a time, and returns how
		// many there were.
		Forget(ctx context.Context, before time.Time, limit int) (int, error)
		// Backlog returns how many mails are open, and since when the oldest's event is; the
		// zero time when none is.
		Backlog(ctx context.Context) (int64, time.Time, error)
	}
	// Orders is the order service.
	Orders interface {
		// Order returns what a mail says of an order. Errors: mail.ErrOrderNotFound.
		Order(ctx context.Context, id string) (mail.Order, error)
	}
	// Server is a mail server.
	Server interface {
		// Send returns nil when the server has accepted the message. Errors: *mail.Refusal,
		// mail.ErrUnknown; after any other error the server does not have the message.
		Send(ctx context.Context, m Message) error
	}
)

// Message is what a mail server is given.
type Message struct {
	// ID is its Message-ID.
	ID string
	To string
	// Date is the same for all copies.
	Date time.Time
	letter.Letter
}

// Filter narrows a list. Empty fields do not narrow.
type Filter struct {
	OrderIDs   []string
	CustomerID string
	States     []mail.State
}
