// Package mail has the use cases of mails.
package mail

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/souk-shop/souk/gateway/internal/client"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	"github.com/souk-shop/souk/proto/money"
)

// Client has the RPCs of the notification service that this package calls.
type Client interface {
	ListMails(context.Context, *notificationv1.ListMailsRequest, ...grpc.CallOption) (*notificationv1.ListMailsResponse, error)
	GetMail(context.Context, *notificationv1.GetMailRequest, ...grpc.CallOption) (*notificationv1.GetMailResponse, error)
}

// Mails has the use cases. Safe for concurrent use.
type Mails struct {
	client Client
	caller *client.Caller
}

// New makes Mails.
func New(c Client, caller *client.Caller) *Mails { return &Mails{c, caller} }

// Mail is a mail to a buyer, or to operators: of an order, or about a webhook endpoint.
type Mail struct {
	ID, Kind, State      string // kind and state as in "CONFIRMED" and "SENT"
	Subject              string
	OrderID, OrderNumber string
	CustomerID           string
	Amount               money.Money
	Attempts             int64
	Reason, MessageID    string
	EndpointID           string

	HappenedAt, CreatedAt, ChangedAt time.Time
}

// Letter is a mail with its texts; without them once the buyer is erased.
type Letter struct {
	Mail
	To, Text, HTML string
}

// Filter narrows a list; empty fields do not.
type Filter struct{ OrderID, CustomerID, State string }

// List returns a page of mails, newest first, and the cursor of the next, "" on the last.
// Problems: InvalidCursor.
func (m *Mails) List(ctx context.Context, v *accessv1.Viewer, f Filter, limit int, cursor string) (page []Mail, next string, err error) {
	req := &notificationv1.ListMailsRequest{Viewer: v, OrderId: f.OrderID, CustomerId: f.CustomerID, PageSize: int32(limit), Cursor: cursor}
	if f.State != "" {
		req.States = []notificationv1.MailState{notificationv1.MailState(notificationv1.MailState_value[statePrefix+f.State])}
	}
	res, err := client.Call(ctx, m.caller, 0, m.client.ListMails, req)
	if err != nil {
		return nil, "", err
	}
	for _, in := range res.GetMails() {
		page = append(page, FromProto(in))
	}
	return page, res.GetNextCursor(), nil
}

// Get returns a mail with its texts. Problems: of the reason MAIL_NOT_FOUND.
func (m *Mails) Get(ctx context.Context, v *accessv1.Viewer, id string) (*Letter, error) {
	res, err := client.Call(ctx, m.caller, 0, m.client.GetMail, &notificationv1.GetMailRequest{Viewer: v, MailId: id})
	if err != nil {
		return nil, err
	}
	return &Letter{Mail: FromProto(res.GetMail()), To: res.GetTo(), Text: res.GetText(), HTML: res.GetHtml()}, nil
}

const statePrefix = "MAIL_STATE_"

// FromProto reads a mail.
func FromProto(m *notificationv1.Mail) Mail {
	return Mail{
		ID: m.GetId(), Kind: strings.TrimPrefix(m.GetKind().String(), "MAIL_KIND_"), State: strings.TrimPrefix(m.GetState().String(), statePrefix),
		Subject: m.GetSubject(), OrderID: m.GetOrderId(), OrderNumber: m.GetOrderNumber(), CustomerID: m.GetCustomerId(),
		Amount:   money.Money{Units: m.GetAmount().GetMinorUnits(), Currency: m.GetAmount().GetCurrency()},
		Attempts: int64(m.GetAttempts()), Reason: m.GetReason(), MessageID: m.GetMessageId(), EndpointID: m.GetWebhookEndpointId(),
		HappenedAt: m.GetHappenedAt().AsTime(), CreatedAt: m.GetCreatedAt().AsTime(), ChangedAt: m.GetChangedAt().AsTime(),
	}
}
