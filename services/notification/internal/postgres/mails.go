package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/pg"
	app "github.com/souk-shop/souk/services/notification/internal/app/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	"github.com/souk-shop/souk/services/notification/internal/postgres/db"
)

// Mails implements app.Store.
type Mails struct {
	q, reads *db.Queries
}

// NewMails returns the mails of a migrated database; questions of people, whose answers may
// be a little old, are answered by reads.
func NewMails(pool *pgxpool.Pool, reads pg.Reads) *Mails {
	return &Mails{q: db.New(pg.DB{Pool: pool}), reads: db.New(reads)}
}

// Add writes the mails of events with their jobs, in the transaction in which the events are noted.
// A mail that is Kept has no job. An event from before the service's beginning has no mail.
func (s *Mails) Add(ctx context.Context, tx pgx.Tx, ms []mail.Mail) error {
	return addMails(ctx, db.New(tx), ms...)
}

// none is in the columns of an order of a mail that has none: the version before reads them as
// never NULL.
var none = uuid.Nil.String()

// endpoint is a mail.Endpoint in its column.
type endpoint struct {
	ID           string    `json:"id"`
	Host         string    `json:"host"`
	Description  string    `json:"description,omitempty"`
	Gone         bool      `json:"gone,omitempty"`
	FailingSince time.Time `json:"failing_since"`
	LastError    string    `json:"last_error,omitempty"`
}

// addMails writes them with one statement.
func addMails(ctx context.Context, q *db.Queries, ms ...mail.Mail) error {
	var p db.AddMailsParams
	for i := range ms {
		m := &ms[i]
		about := ""
		if m.Endpoint != nil {
			text, err := json.Marshal(endpoint(*m.Endpoint))
			if err != nil {
				return err
			}
			about = string(text)
		}
		p.Ids, p.Kinds, p.States = append(p.Ids, m.ID), append(p.Kinds, string(m.Kind)), append(p.States, string(m.State))
		p.Subjects, p.Versions, p.HappenedAts = append(p.Subjects, m.Subject), append(p.Versions, m.Version), append(p.HappenedAts, m.HappenedAt)
		p.OrderIds, p.OrderNumbers = append(p.OrderIds, cmp.Or(m.OrderID, none)), append(p.OrderNumbers, m.OrderNumber)
		p.CustomerIds, p.CancelReasons = append(p.CustomerIds, cmp.Or(m.CustomerID, none)), append(p.CancelReasons, m.CancelReason)
		p.RefundIds, p.Refundeds = append(p.RefundIds, m.RefundID), append(p.Refundeds, m.Refunded.Units)
		p.Amounts, p.Currencies = append(p.Amounts, m.Amount.Units), append(p.Currencies, m.Amount.Currency)
		p.Traceparents, p.Endpoints = append(p.Traceparents, m.TraceParent), append(p.Endpoints, about)
	}
	_, err := q.AddMails(ctx, p)
	return err
}

// Mail implements app.Store.
func (s *Mails) Mail(ctx context.Context, id string) (mail.Mail, error) {
	row, err := s.q.Mail(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return mail.Mail{}, mail.ErrNotFound
	}
	if err != nil {
		return mail.Mail{}, err
	}
	return fromRow(row)
}

// afterAll is greater than the id of any mail.
const afterAll = "ffffffff-ffff-ffff-ffff-ffffffffffff"

// Mails implements app.Store.
func (s *Mails) Mails(ctx context.Context, f app.Filter, before string, limit int) ([]mail.Mail, error) {
	if f.OrderIDs == nil {
		f.OrderIDs = []string{} // not NULL
	}
	states := make([]string, len(f.States))
	for i, state := range f.States {
		states[i] = string(state)
	}
	rows, err := s.reads.Mails(ctx, db.MailsParams{
		Before: cmp.Or(before, afterAll), OrderIds: f.OrderIDs, CustomerID: nullable(f.CustomerID), States: states, PageSize: int32(limit),
	})
	if err != nil {
		return nil, err
	}
	out := make([]mail.Mail, len(rows))
	for i, row := range rows {
		if out[i], err = fromRow(row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Begin implements app.Store.
func (s *Mails) Begin(ctx context.Context, id string, attempts int) (bool, error) {
	n, err := s.q.BeginMail(ctx, db.BeginMailParams{ID: id, Attempts: int32(attempts)})
	return n == 1, err
}

// End implements app.Store. A mail that another process has settled or tried since stays as it is.
func (s *Mails) End(ctx context.Context, id string, attempts int, to mail.State, reason string) error {
	_, err := s.q.EndMail(ctx, db.EndMailParams{ID: id, Attempts: int32(attempts), State: string(to), Reason: reason})
	return err
}

// Forget implements app.Store.
func (s *Mails) Forget(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.q.ForgetMails(ctx, db.ForgetMailsParams{Before: before, Batch: int32(limit)})
	return int(n), err
}

// Backlog implements app.Store.
func (s *Mails) Backlog(ctx context.Context) (int64, time.Time, error) {
	row, err := s.reads.MailBacklog(ctx)
	if err != nil || row.Mails == 0 {
		return 0, time.Time{}, err
	}
	return row.Mails, row.Oldest, nil
}

func fromRow(r db.Mail) (mail.Mail, error) {
	m := mail.Mail{
		ID: r.ID, Kind: mail.Kind(r.Kind), Subject: r.Subject, Version: r.Version, HappenedAt: r.HappenedAt,
		OrderID: r.OrderID, OrderNumber: r.OrderNumber, CustomerID: r.CustomerID, CancelReason: r.CancelReason,
		Amount: money.Money{Units: r.Amount, Currency: r.Currency}, Refunded: money.Money{Units: r.Refunded, Currency: r.Currency},
		State: mail.State(r.State), Attempts: int(r.Attempts), Reason: r.Reason, TraceParent: r.Traceparent,
		CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt,
	}
	if r.RefundID != nil {
		m.RefundID = *r.RefundID
	}
	if r.Endpoint == nil {
		return m, nil
	}
	var about endpoint
	if err := json.Unmarshal(r.Endpoint, &about); err != nil {
		return m, fmt.Errorf("the endpoint of mail %s: %w", m.ID, err)
	}
	e := mail.Endpoint(about)
	m.Endpoint, m.OrderID, m.CustomerID = &e, "", ""
	return m, nil
}

func nullable(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}
