package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/souk-shop/souk/gateway/internal/shop/mail"
)

// listMails answers GET /v1/mails.
func (a *API) listMails(ctx context.Context, in *ListMailsRequest) (answer, error) {
	filter, values := mail.Filter{State: in.State, OrderID: idText(in.OrderID), CustomerID: idText(in.CustomerID)}, url.Values{}
	for name, id := range map[string]string{"order_id": filter.OrderID, "customer_id": filter.CustomerID} {
		if id != "" {
			values.Set(name, id)
		}
	}
	page, next, err := a.shop.Mails.List(ctx, viewer(ctx), filter, size(in.Limit), in.Cursor)
	if err != nil {
		return nil, err
	}
	out := MailPage{Mails: make([]Mail, len(page)), NextCursor: next}
	for i := range page {
		out.Mails[i] = newMail(&page[i])
	}
	body, err := encode(out, "")
	if err != nil {
		return nil, err
	}
	doc := &document{status: http.StatusOK, body: body}
	if next != "" {
		if in.State != "" {
			values.Set("state", in.State)
		}
		if in.Limit != nil {
			values.Set("limit", strconv.FormatInt(*in.Limit, 10))
		}
		doc.link = nextLink("/v1/mails", values, next)
	}
	return doc, nil
}

// getMail answers GET /v1/mails/{mail_id}.
func (a *API) getMail(ctx context.Context, in *GetMailRequest) (answer, error) {
	letter, err := a.shop.Mails.Get(ctx, viewer(ctx), in.MailID.String())
	if err != nil {
		return nil, err
	}
	return private(Letter{Mail: newMail(&letter.Mail), To: letter.To, Text: letter.Text, Html: letter.HTML})
}

func newMail(m *mail.Mail) Mail {
	return Mail{
		ID: m.ID, Kind: m.Kind, State: m.State, Subject: m.Subject, OrderID: m.OrderID, OrderNumber: m.OrderNumber, CustomerID: m.CustomerID,
		Amount: optMoney(m.Amount), WebhookEndpointID: m.EndpointID, Attempts: m.Attempts, Reason: m.Reason, MessageID: m.MessageID,
		HappenedAt: m.HappenedAt, CreatedAt: m.CreatedAt, ChangedAt: m.ChangedAt,
	}
}
