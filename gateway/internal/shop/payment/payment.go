// Package payment has the use cases of the payment provider's reports and of the
// comparison with the provider's list.
package payment

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/hint"
	"google.golang.org/grpc"
)

// Client are the RPCs of the payment service that the gateway calls.
type Client interface {
	HandleWebhook(context.Context, *paymentv1.HandleWebhookRequest, ...grpc.CallOption) (*paymentv1.HandleWebhookResponse, error)
	GetLimits(context.Context, *paymentv1.GetLimitsRequest, ...grpc.CallOption) (*paymentv1.GetLimitsResponse, error)
	Reconcile(context.Context, *paymentv1.ReconcileRequest, ...grpc.CallOption) (*paymentv1.ReconcileResponse, error)
	GetReconciliation(context.Context, *paymentv1.GetReconciliationRequest, ...grpc.CallOption) (*paymentv1.GetReconciliationResponse, error)
}

// Payments has the use cases. Safe for concurrent use.
type Payments struct {
	client Client
	caller *client.Caller
	limits hint.Of[string, *paymentv1.Limits] // by currency
}

// New makes Payments.
func New(service Client, caller *client.Caller) *Payments {
	p := &Payments{client: service, caller: caller}
	p.limits = hint.Of[string, *paymentv1.Limits]{Ask: p.askLimits, TTL: limitsTTL, Timeout: limitsTimeout, Pause: limitsPause}
	return p
}

// orderOf is the order that an event says it is about, by the metadata that the payment service
// gives its payments; "" where it says none. It leads to the cell that is asked. What is not true
// of it leads to a cell that does not know the order, or refuses it.
func orderOf(payload []byte) string {
	var event struct {
		Data struct {
			Object struct {
				Metadata struct {
					OrderID string `json:"order_id"`
				} `json:"metadata"`
			} `json:"object"`
		} `json:"data"`
	}
	if json.Unmarshal(payload, &event) != nil {
		return ""
	}
	id, err := uuid.Parse(event.Data.Object.Metadata.OrderID)
	if err != nil {
		return ""
	}
	return id.String()
}

// HandleWebhook hands an event of the payment provider to the payment service,
// body and signature as they came. It returns when the event is stored. It is not
// repeated while the payment service is unavailable: the provider does that.
func (p *Payments) HandleWebhook(ctx context.Context, payload []byte, signature string) error {
	_, err := client.Once(ctx, p.caller.Timeout, p.client.HandleWebhook, &paymentv1.HandleWebhookRequest{
		Viewer:    client.Self,
		Payload:   payload,
		OrderId:   orderOf(payload),
		Signature: strings.ToValidUTF8(signature, "?"), // a header may be any bytes, a message's text may not
	})
	return err
}
