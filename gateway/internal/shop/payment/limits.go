package payment

import (
	"context"
	"time"

	"github.com/souk-shop/souk/gateway/internal/client"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/money"
)

const (
	// limitsTTL is how long limits are kept: they change with a release of payment.
	limitsTTL = time.Minute
	// limitsTimeout bounds the wait for them, and limitsPause the time until they
	// are asked for again when there was no answer. Carts are shown without.
	limitsTimeout = 300 * time.Millisecond
	limitsPause   = 5 * time.Second
)

// Complaint says for people why a total cannot be paid; "" if it can, or while
// the limits are not known: the order service decides.
func (p *Payments) Complaint(ctx context.Context, total money.Money) string {
	l, known := p.limits.Get(ctx, total.Currency)
	amount := func(units int64) string { return money.Money{Units: units, Currency: total.Currency}.Format() }
	switch {
	case !known:
		return ""
	case l == nil:
		return "Payments in " + total.Currency + " can't be taken."
	case total.Units < l.GetMin():
		return "The total is below the minimum of " + amount(l.GetMin()) + " for a payment."
	case total.Units > l.GetMax():
		return "The total is above the maximum of " + amount(l.GetMax()) + " for a payment."
	case l.GetStep() > 0 && total.Units%l.GetStep() != 0:
		return "The total can't be paid exactly: payments in " + total.Currency + " are in steps of " + amount(l.GetStep()) + "."
	}
	return ""
}

// askLimits returns what payment charges of a currency; nil for one that is not charged.
func (p *Payments) askLimits(ctx context.Context, currency string) (*paymentv1.Limits, error) {
	res, err := client.Once(ctx, limitsTimeout, p.client.GetLimits, &paymentv1.GetLimitsRequest{Currency: currency})
	return res.GetLimits(), err
}
