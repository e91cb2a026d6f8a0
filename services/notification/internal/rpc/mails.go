package rpc

import (
	"cmp"
	"context"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	app "github.com/souk-shop/souk/services/notification/internal/app/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/letter"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

const (
	mailPage = 20
	// maxExport is how many mails about 100 orders are exported: more than they have.
	maxExport = 1000
)

// Mails implements notificationv1.MailServiceServer.
type Mails struct {
	notificationv1.UnimplementedMailServiceServer
	mails *app.Mails
	host  string
}

// NewMails returns a server of mails whose sender's domain is host.
func NewMails(mails *app.Mails, host string) *Mails { return &Mails{mails: mails, host: host} }

// ListMails implements notificationv1.MailServiceServer. A cursor is the id of a page's last
// mail: it is no secret, and grants nothing.
func (s *Mails) ListMails(ctx context.Context, req *notificationv1.ListMailsRequest) (*notificationv1.ListMailsResponse, error) {
	f := app.Filter{CustomerID: req.GetCustomerId()}
	if id := req.GetOrderId(); id != "" {
		f.OrderIDs = []string{id}
	}
	for _, state := range req.GetStates() {
		f.States = append(f.States, states[state])
	}
	if req.GetCursor() != "" && uuid.Validate(req.GetCursor()) != nil {
		return nil, mail.ErrInvalidCursor
	}
	page, more, err := s.mails.List(ctx, f, req.GetCursor(), int(cmp.Or(req.GetPageSize(), mailPage)))
	if err != nil {
		return nil, err
	}
	resp := &notificationv1.ListMailsResponse{Mails: s.all(page)}
	if more {
		resp.NextCursor = page[len(page)-1].ID
	}
	return resp, nil
}

// GetMail implements notificationv1.MailServiceServer.
func (s *Mails) GetMail(ctx context.Context, req *notificationv1.GetMailRequest) (*notificationv1.GetMailResponse, error) {
	m, to, text, err := s.mails.Get(ctx, req.GetMailId())
	if err != nil {
		return nil, err
	}
	return &notificationv1.GetMailResponse{Mail: s.one(&m), To: to, Text: text.Text, Html: text.HTML}, nil
}

// ExportMails implements notificationv1.MailServiceServer.
func (s *Mails) ExportMails(ctx context.Context, req *notificationv1.ExportMailsRequest) (*notificationv1.ExportMailsResponse, error) {
	if len(req.GetOrderIds()) == 0 {
		return &notificationv1.ExportMailsResponse{}, nil
	}
	mails, _, err := s.mails.List(ctx, app.Filter{OrderIDs: req.GetOrderIds()}, "", maxExport)
	return &notificationv1.ExportMailsResponse{Mails: s.all(mails)}, err
}

var (
	kinds = map[mail.Kind]notificationv1.MailKind{
		mail.Confirmed: notificationv1.MailKind_MAIL_KIND_CONFIRMED,
		mail.Cancelled: notificationv1.MailKind_MAIL_KIND_CANCELLED,
		mail.Refunded:  notificationv1.MailKind_MAIL_KIND_REFUNDED,

		mail.EndpointDisabled: notificationv1.MailKind_MAIL_KIND_ENDPOINT_DISABLED,
	}
	states = map[notificationv1.MailState]mail.State{
		notificationv1.MailState_MAIL_STATE_QUEUED:   mail.Queued,
		notificationv1.MailState_MAIL_STATE_SENDING:  mail.Sending,
		notificationv1.MailState_MAIL_STATE_SENT:     mail.Sent,
		notificationv1.MailState_MAIL_STATE_KEPT:     mail.Kept,
		notificationv1.MailState_MAIL_STATE_FAILED:   mail.Failed,
		notificationv1.MailState_MAIL_STATE_WITHHELD: mail.Withheld,
	}
	stateProtos = func() map[mail.State]notificationv1.MailState {
		out := make(map[mail.State]notificationv1.MailState, len(states))
		for p, state := range states {
			out[state] = p
		}
		return out
	}()
)

func (s *Mails) all(mails []mail.Mail) []*notificationv1.Mail {
	out := make([]*notificationv1.Mail, len(mails))
	for i := range mails {
		out[i] = s.one(&mails[i])
	}
	return out
}

func (s *Mails) one(m *mail.Mail) *notificationv1.Mail {
	out := &notificationv1.Mail{
		Id: m.ID, Kind: kinds[m.Kind], State: stateProtos[m.State], Subject: letter.Subject(m), OrderId: m.OrderID, OrderNumber: m.OrderNumber,
		CustomerId: m.CustomerID, Attempts: int32(m.Attempts), Reason: m.Reason, MessageId: m.MessageID(s.host),
		HappenedAt: timestamppb.New(m.HappenedAt), CreatedAt: timestamppb.New(m.CreatedAt), ChangedAt: timestamppb.New(m.ChangedAt),
	}
	if m.Endpoint != nil {
		out.WebhookEndpointId = m.Endpoint.ID
	} else {
		out.Amount = m.Amount.Proto()
	}
	return out
}
