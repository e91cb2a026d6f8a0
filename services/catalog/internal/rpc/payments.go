package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/hint"
)

const (
	// limitsTTL is how long limits are kept: they change with a release of payment.
	limitsTTL = time.Minute
	// limitsTimeout bounds the wait for them, and limitsPause the time until they are
	// asked for again when there was no answer. Prices are changed without.
	limitsTimeout = 500 * time.Millisecond
	limitsPause   = 5 * time.Second
)

// Payments is payment as an operator's changes see it.
type Payments struct {
	client paymentv1.PaymentServiceClient
	limits hint.Of[string, domain.Limits] // by currency
}

// NewPayments returns a client.
func NewPayments(conn grpc.ClientConnInterface) *Payments {
	p := &Payments{client: paymentv1.NewPaymentServiceClient(conn)}
	p.limits = hint.Of[string, domain.Limits]{Ask: p.askLimits, TTL: limitsTTL, Timeout: limitsTimeout, Pause: limitsPause}
	return p
}

// Limits implements app.Payments.
func (p *Payments) Limits(ctx context.Context, currency string) (domain.Limits, bool) {
	return p.limits.Get(ctx, currency)
}

func (p *Payments) askLimits(ctx context.Context, currency string) (domain.Limits, error) {
	resp, err := p.client.GetLimits(ctx, &paymentv1.GetLimitsRequest{Currency: currency})
	return domain.Limits{Max: resp.GetLimits().GetMax(), Step: resp.GetLimits().GetStep()}, err
}
