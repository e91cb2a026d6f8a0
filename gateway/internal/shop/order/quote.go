package order

import (
	"context"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
)

// Quote returns what an order of a customer's cart would be placed with now, and what
// differs from the agreement that the customer was shown before, "" for none. Problems:
// CartNotFound, CartEmpty, LineNoLongerSold, TotalTooLarge, MixedCurrencies,
// InvalidAgreement.
func (o *Orders) Quote(ctx context.Context, v *accessv1.Viewer, cart uuid.UUID, shown string) (*Quote, error) {
	res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.QuoteOrder, &orderv1.QuoteOrderRequest{
		Viewer: v, CartId: cart.String(), Agreement: shown,
	})
	if err != nil {
		return nil, o.noticed(ctx, v, err)
	}
	in := res.GetQuote()
	q := &Quote{
		CartVersion: in.GetCartVersion(), Agreement: in.GetAgreement(), Digest: in.GetDigest(),
		Change: client.PriceChange(res.GetChange()),
	}
	if q.Lines, err = newLines(in.GetLines()); err != nil {
		return nil, err
	}
	q.Total, err = optionalMoney(in.GetTotal())
	return q, err
}
