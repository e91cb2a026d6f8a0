package order

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// RefundRequest asks to give back, for an operator.
type RefundRequest struct {
	Viewer         *accessv1.Viewer // the operator
	Order          uuid.UUID
	IdempotencyKey string
	Lines          []RefundLine // empty means all that is left
	Restock        bool         // whether the units go back on sale
	Reason         string
	Wait           time.Duration // for the outcome, at most MaxWait
}

// RefundOrder gives back lines of a paid order, once for each key. The refund is
// PENDING, SUCCEEDED or FAILED.
// Problems: OrderNotFound, OrderArchived, OrderNotPaid, RefundExceedsOrder,
// IdempotencyKeyReused.
func (o *Orders) RefundOrder(ctx context.Context, r RefundRequest) (*Refund, error) {
	req := &orderv1.RefundOrderRequest{
		Viewer: r.Viewer, OrderId: r.Order.String(), IdempotencyKey: r.IdempotencyKey,
		RequestHash: digest(struct {
			Lines   []RefundLine
			Restock bool
			Reason  string
		}{r.Lines, r.Restock, r.Reason}),
		Restock: r.Restock, Reason: r.Reason, Wait: durationpb.New(min(r.Wait, MaxWait)),
	}
	for _, l := range r.Lines {
		req.Lines = append(req.Lines, &orderv1.RefundLine{Sku: l.SKU, Quantity: l.Quantity})
	}
	res, err := client.Call(ctx, o.cfg.Caller, min(r.Wait, MaxWait)+o.cfg.Caller.Timeout, o.cfg.Client.RefundOrder, req)
	if err != nil {
		return nil, err
	}
	out, err := newRefund(res.GetRefund())
	if err != nil {
		return nil, err
	}
	if r.Restock {
		for _, l := range out.Lines {
			o.cfg.Stock.StockChanged(l.SKU)
		}
	}
	return &out, nil
}
