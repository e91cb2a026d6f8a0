package rpc

import (
	"testing"

	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

// TestAMailWithoutAnOrder has nothing of an order: no id and no amount.
func TestAMailWithoutAnOrder(t *testing.T) {
	t.Parallel()
	got := (&Mails{host: "shop.test"}).one(&mail.Mail{
		ID: "m1", Kind: mail.EndpointDisabled, Subject: "webhook-endpoint.e1", Version: 2, State: mail.Queued,
		Endpoint: &mail.Endpoint{ID: "e1", Host: "hooks.example"},
	})
	if got.GetKind() != notificationv1.MailKind_MAIL_KIND_ENDPOINT_DISABLED || got.GetWebhookEndpointId() != "e1" ||
		got.GetMessageId() != "webhook-endpoint.e1.2@shop.test" || got.GetSubject() != "The webhook endpoint at hooks.example was disabled" {
		t.Errorf("%v", got)
	}
	if got.GetOrderId() != "" || got.GetOrderNumber() != "" || got.GetCustomerId() != "" || got.Amount != nil {
		t.Errorf("it has an order: %v", got)
	}
}
