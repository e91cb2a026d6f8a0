package gateway

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
)

// mailID is that of the one mail of fakeMails.
const mailID = "01a22402-9b4b-709b-a755-3e9d96776da5"

// fakeMails is a notification service with one mail, and another page after each.
type fakeMails struct {
	notificationv1.UnimplementedMailServiceServer
}

func (fakeMails) mail() *notificationv1.Mail {
	return &notificationv1.Mail{
		Id: mailID, Kind: notificationv1.MailKind_MAIL_KIND_REFUNDED, State: notificationv1.MailState_MAIL_STATE_FAILED,
		Subject: "Refund of £5.00", OrderId: mailID, OrderNumber: "S-1", CustomerId: mailID, Amount: &moneyv1.Money{MinorUnits: 500, Currency: "GBP"},
		Attempts: 1, Reason: "550 no", MessageId: "order.1.7@shop.example",
		HappenedAt: timestamppb.Now(), CreatedAt: timestamppb.Now(), ChangedAt: timestamppb.Now(),
	}
}

// operatorsMailID is that of a mail without an order.
const operatorsMailID = "01a22402-9b4b-709b-a755-3e9d96776da7"

func (fakeMails) toOperators() *notificationv1.Mail {
	return &notificationv1.Mail{
		Id: operatorsMailID, Kind: notificationv1.MailKind_MAIL_KIND_ENDPOINT_DISABLED, State: notificationv1.MailState_MAIL_STATE_KEPT,
		Subject: "An endpoint was disabled", WebhookEndpointId: mailID, MessageId: "webhook-endpoint.1.2@shop.example",
		HappenedAt: timestamppb.Now(), CreatedAt: timestamppb.Now(), ChangedAt: timestamppb.Now(),
	}
}

func (f fakeMails) ListMails(_ context.Context, req *notificationv1.ListMailsRequest) (*notificationv1.ListMailsResponse, error) {
	if c := req.GetCursor(); c != "" && c != mailID {
		return nil, refused(codes.InvalidArgument, "INVALID_CURSOR")
	}
	if len(req.GetStates()) == 1 && req.GetStates()[0] != notificationv1.MailState_MAIL_STATE_FAILED {
		return &notificationv1.ListMailsResponse{}, nil
	}
	return &notificationv1.ListMailsResponse{Mails: []*notificationv1.Mail{f.mail()}, NextCursor: mailID}, nil
}

func (f fakeMails) GetMail(_ context.Context, req *notificationv1.GetMailRequest) (*notificationv1.GetMailResponse, error) {
	if req.GetMailId() == operatorsMailID {
		return &notificationv1.GetMailResponse{Mail: f.toOperators(), Text: "It answered 410", Html: "<p>410</p>"}, nil
	}
	if req.GetMailId() != mailID {
		return nil, refused(codes.NotFound, "MAIL_NOT_FOUND")
	}
	return &notificationv1.GetMailResponse{Mail: f.mail(), To: "ada@example.com", Text: "Refund", Html: "<p>Refund</p>"}, nil
}

func (f fakeMails) ExportMails(_ context.Context, req *notificationv1.ExportMailsRequest) (*notificationv1.ExportMailsResponse, error) {
	m := f.mail()
	m.OrderId = req.GetOrderIds()[0]
	return &notificationv1.ExportMailsResponse{Mails: []*notificationv1.Mail{m}}, nil
}

// TestMails: operators see mails, a page at a time, and read one.
func TestMails(t *testing.T) {
	t.Parallel()
	s := start(t)
	page := s.want(200, "GET", "/v1/mails?state=FAILED&limit=1&order_id="+mailID, "", asOperator)
	if link := page.Header.Get("Link"); !strings.Contains(link, "cursor="+mailID) || !strings.Contains(link, "state=FAILED") || !strings.Contains(link, "order_id="+mailID) {
		t.Errorf("link %q", link)
	}
	for _, want := range []string{`"kind":"REFUNDED"`, `"state":"FAILED"`, `"amount":500`, `"reason":"550 no"`, `"next_cursor":"` + mailID} {
		if !strings.Contains(string(page.body), want) {
			t.Errorf("%s does not have %s", page.body, want)
		}
	}
	if got := s.want(200, "GET", "/v1/mails?state=SENT", "", asOperator); strings.TrimSpace(string(got.body)) != `{"mails":[]}` {
		t.Errorf("%s", got.body)
	}
	one := s.want(200, "GET", "/v1/mails/"+mailID, "", asOperator)
	for _, want := range []string{`"to":"ada@example.com"`, `"text":"Refund"`, `<p>Refund</p>`} {
		if !strings.Contains(string(one.body), want) {
			t.Errorf("%s does not have %s", one.body, want)
		}
	}
	one = s.want(200, "GET", "/v1/mails/"+operatorsMailID, "", asOperator)
	for _, want := range []string{`"kind":"ENDPOINT_DISABLED"`, `"webhook_endpoint_id":"` + mailID, `"text":"It answered 410"`} {
		if !strings.Contains(string(one.body), want) {
			t.Errorf("%s does not have %s", one.body, want)
		}
	}
	for _, no := range []string{"order_id", "order_number", "customer_id", "amount", `"to"`} {
		if strings.Contains(string(one.body), no) {
			t.Errorf("%s has %s", one.body, no)
		}
	}
	s.refuses(404, "mail-not-found", "GET", "/v1/mails/"+strings.Replace(mailID, "6da5", "6da6", 1), "", asOperator)
	s.refuses(400, "invalid-cursor", "GET", "/v1/mails?cursor=x", "", asOperator)
	s.refuses(400, "invalid", "GET", "/v1/mails?state=sent", "", asOperator)
	s.refuses(401, "unauthorized", "GET", "/v1/mails", "")
}
