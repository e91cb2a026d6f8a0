package shop

import (
	"context"
	"strings"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
)

// MaxWebhook is the largest body of a webhook, in bytes.
const MaxWebhook = 256 << 10

// HandleWebhook hands what the payment provider reports to payment, body and
// signature as they came. It returns when the event is kept. It
// is not repeated while payment is unavailable: the provider does that.
func (s *Shop) HandleWebhook(ctx context.Context, payload []byte, signature string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.clients.Payment.HandleWebhook(ctx, &paymentv1.HandleWebhookRequest{
		Payload:   payload,
		Signature: strings.ToValidUTF8(signature, "?"), // a header may be any bytes, a message's text may not
	})
	if err != nil {
		return fromRPC(ctx, err)
	}
	return nil
}
