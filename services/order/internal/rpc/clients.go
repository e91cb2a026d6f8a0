package rpc

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/hint"
	"github.com/souk-shop/souk/services/chassis/retry"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// self is the viewer of calls for orders that no client needs to wait for. What is the
// customer's, the cart that they order, is read for the customer.
var self = access.Service("order")

// Catalog is the catalog as the checkout sees it. Only a reason that the
// contract names is a definite answer; every other error leaves the outcome
// unknown.
type Catalog struct {
	client catalogv1.CatalogServiceClient
	hold   time.Duration
}

// NewCatalog returns a client that asks for holds of the given length.
func NewCatalog(conn grpc.ClientConnInterface, hold time.Duration) *Catalog {
	return &Catalog{client: catalogv1.NewCatalogServiceClient(conn), hold: hold}
}

// Variants implements app.Catalog.
func (c *Catalog) Variants(ctx context.Context, skus []string) ([]domain.Variant, error) {
	resp, err := reading(ctx, func() (*catalogv1.GetVariantsResponse, error) {
		return c.client.GetVariants(ctx, &catalogv1.GetVariantsRequest{Skus: skus})
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	variants := make([]domain.Variant, len(resp.GetVariants()))
	for i, v := range resp.GetVariants() {
		price, err := money.FromProto(v.GetPrice())
		if err != nil {
			return nil, fmt.Errorf("catalog: price of %s: %w", v.GetSku(), err)
		}
		name := v.GetProductName()
		if v.GetName() != "" {
			name += ", " + v.GetName()
		}
		variants[i] = domain.Variant{SKU: v.GetSku(), Name: name, Price: price}
	}
	return variants, nil
}

// Reserve implements app.Catalog.
func (c *Catalog) Reserve(ctx context.Context, orderID string, lines []domain.CartLine) (left time.Duration, err error) {
	req := &catalogv1.ReserveRequest{Viewer: self, OrderId: orderID, Hold: durationpb.New(c.hold), Lines: make([]*catalogv1.StockLine, len(lines))}
	for i, l := range lines {
		req.Lines[i] = &catalogv1.StockLine{Sku: l.SKU, Quantity: l.Quantity}
	}
	res, err := c.client.Reserve(ctx, req)
	switch chassisrpc.Reason[catalogv1.ErrorReason](err) {
	case catalogv1.ErrorReason_ERROR_REASON_INSUFFICIENT_STOCK, catalogv1.ErrorReason_ERROR_REASON_SKU_NOT_FOUND:
		return 0, shortage(err)
	case catalogv1.ErrorReason_ERROR_REASON_RESERVATION_RELEASED:
		return 0, domain.ErrReservationLost
	case catalogv1.ErrorReason_ERROR_REASON_STOCK_BUSY:
		return 0, fmt.Errorf("%w: %w", domain.ErrStockBusy, err)
	}
	if res.GetReservation().GetState() == catalogv1.ReservationState_RESERVATION_STATE_COMMITTED {
		return c.hold, err // a repeat, after a driver that died ahead of the table: what is sold does not expire
	}
	return res.GetLeft().AsDuration(), err
}

// shortage reads a refusal's details: which SKUs are sold out, or, when none is, which
// are held by others.
func shortage(err error) error {
	var sold, held []string
	for _, d := range status.Convert(err).Details() {
		s, ok := d.(*catalogv1.Shortage)
		switch {
		case !ok:
		case s.GetRequested() <= s.GetAvailable()+s.GetHeld():
			held = append(held, s.GetSku())
		default:
			sold = append(sold, s.GetSku())
		}
	}
	if len(sold) == 0 && len(held) > 0 {
		return &domain.HeldStockError{SKUs: held}
	}
	return &domain.ShortStockError{SKUs: sold}
}

// Confirm implements app.Catalog.
func (c *Catalog) Confirm(ctx context.Context, orderID string) error {
	_, err := c.client.Confirm(ctx, &catalogv1.ConfirmRequest{Viewer: self, OrderId: orderID})
	switch chassisrpc.Reason[catalogv1.ErrorReason](err) {
	case catalogv1.ErrorReason_ERROR_REASON_RESERVATION_EXPIRED, catalogv1.ErrorReason_ERROR_REASON_RESERVATION_RELEASED, catalogv1.ErrorReason_ERROR_REASON_RESERVATION_NOT_FOUND:
		return domain.ErrReservationLost
	}
	return err
}

// Release implements app.Catalog.
func (c *Catalog) Release(ctx context.Context, orderID string) error {
	resp, err := c.client.Release(ctx, &catalogv1.ReleaseRequest{Viewer: self, OrderId: orderID})
	if err != nil {
		return err
	}
	if s := resp.GetReservation().GetState(); s != catalogv1.ReservationState_RESERVATION_STATE_RELEASED {
		return fmt.Errorf("the catalog answered a release with %s", s)
	}
	return nil
}

// Restock implements app.Catalog.
func (c *Catalog) Restock(ctx context.Context, refundID, orderID string, lines []domain.RefundLine) error {
	req := &catalogv1.RestockRequest{Viewer: self, RestockId: refundID, OrderId: orderID, Lines: make([]*catalogv1.StockLine, len(lines))}
	for i, l := range lines {
		req.Lines[i] = &catalogv1.StockLine{Sku: l.SKU, Quantity: l.Quantity}
	}
	_, err := c.client.Restock(ctx, req)
	switch reason := chassisrpc.Reason[catalogv1.ErrorReason](err); reason {
	case catalogv1.ErrorReason_ERROR_REASON_RESERVATION_NOT_FOUND, catalogv1.ErrorReason_ERROR_REASON_RESTOCK_EXCEEDS_SOLD, catalogv1.ErrorReason_ERROR_REASON_RESERVATION_NOT_COMMITTED:
		return fmt.Errorf("%w: %s", domain.ErrRestockRefused, reason)
	}
	return err
}

// Carts is the cart service as the checkout sees it.
type Carts struct{ client cartv1.CartServiceClient }

// NewCarts returns a client.
func NewCarts(conn grpc.ClientConnInterface) *Carts {
	return &Carts{client: cartv1.NewCartServiceClient(conn)}
}

// Get implements app.Carts.
func (c *Carts) Get(ctx context.Context, cartID, ownerID string) ([]domain.CartLine, int64, error) {
	resp, err := reading(ctx, func() (*cartv1.GetCartResponse, error) {
		return c.client.GetCart(ctx, &cartv1.GetCartRequest{CartId: cartID, Viewer: access.Customer(ownerID)})
	})
	if chassisrpc.Reason[cartv1.ErrorReason](err) == cartv1.ErrorReason_ERROR_REASON_CART_NOT_FOUND {
		return nil, 0, domain.ErrCartNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cart: %w", err)
	}
	lines := make([]domain.CartLine, len(resp.GetCart().GetLines()))
	for i, l := range resp.GetCart().GetLines() {
		lines[i] = domain.CartLine{SKU: l.GetSku(), Quantity: l.GetQuantity()}
	}
	return lines, resp.GetCart().GetVersion(), nil
}

// RemoveOrdered implements app.Carts.
func (c *Carts) RemoveOrdered(ctx context.Context, o domain.Order) error {
	req := &cartv1.RemoveOrderedRequest{
		Viewer: self, CartId: o.CartID, OwnerId: o.CustomerID, OrderId: o.ID, CartVersion: o.CartVersion,
		Lines: make([]*cartv1.OrderedLine, len(o.Lines)),
	}
	for i, l := range o.Lines {
		req.Lines[i] = &cartv1.OrderedLine{Sku: l.SKU, Quantity: l.Quantity}
	}
	_, err := c.client.RemoveOrdered(ctx, req)
	return err
}

// Payments is payment as the checkout sees it.
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

const (
	// limitsTTL is how long limits are kept: they change with a release of payment.
	limitsTTL = time.Minute
	// limitsTimeout bounds the wait for them, and limitsPause the time until they
	// are asked for again when there was no answer. A checkout goes on without.
	limitsTimeout = 500 * time.Millisecond
	limitsPause   = 5 * time.Second
)

// Limits implements app.Payments.
func (p *Payments) Limits(ctx context.Context, currency string) (domain.Limits, bool) {
	return p.limits.Get(ctx, currency)
}

func (p *Payments) askLimits(ctx context.Context, currency string) (domain.Limits, error) {
	resp, err := p.client.GetLimits(ctx, &paymentv1.GetLimitsRequest{Currency: currency})
	l := resp.GetLimits()
	return domain.Limits{Min: l.GetMin(), Max: l.GetMax(), Step: l.GetStep()}, err
}

// Authorize implements app.Payments.
func (p *Payments) Authorize(ctx context.Context, o domain.Order) (app.Authorization, error) {
	resp, err := p.client.Authorize(ctx, &paymentv1.AuthorizeRequest{
		Viewer: self, OrderId: o.ID, Amount: o.Total.Proto(), PaymentMethod: o.PaymentMethod, OrderNumber: o.Number,
	})
	switch chassisrpc.Reason[paymentv1.ErrorReason](err) {
	case paymentv1.ErrorReason_ERROR_REASON_PAYMENT_CANCELLED:
		return app.Authorization{}, domain.ErrPaymentVoided
	case paymentv1.ErrorReason_ERROR_REASON_PAYMENT_MISMATCH:
		return app.Authorization{}, domain.ErrPaymentMismatch
	case paymentv1.ErrorReason_ERROR_REASON_AMOUNT_NOT_CHARGEABLE:
		return app.Authorization{}, domain.ErrPaymentImpossible
	}
	if err != nil {
		return app.Authorization{}, err
	}
	payment := resp.GetPayment()
	switch payment.GetState() {
	case paymentv1.AttemptState_ATTEMPT_STATE_DECLINED:
		return app.Authorization{Declined: true, DeclineCode: payment.GetDeclineCode()}, nil
	case paymentv1.AttemptState_ATTEMPT_STATE_VOID_SENT, paymentv1.AttemptState_ATTEMPT_STATE_VOIDED:
		return app.Authorization{}, domain.ErrPaymentVoided
	case paymentv1.AttemptState_ATTEMPT_STATE_AUTHORIZED, paymentv1.AttemptState_ATTEMPT_STATE_CAPTURE_SENT,
		paymentv1.AttemptState_ATTEMPT_STATE_CAPTURED, paymentv1.AttemptState_ATTEMPT_STATE_CAPTURE_FAILED:
		// The later states are seen by a driver that was overtaken.
		amount, err := money.FromProto(payment.GetAmount())
		if err != nil {
			return app.Authorization{}, fmt.Errorf("payment: authorized amount: %w", err)
		}
		return app.Authorization{Amount: amount}, nil
	default:
		return app.Authorization{}, fmt.Errorf("payment answered an authorization with %s", payment.GetState())
	}
}

// Capture implements app.Payments.
func (p *Payments) Capture(ctx context.Context, orderID string, amount money.Money) (app.Outcome, error) {
	resp, err := p.client.Capture(ctx, &paymentv1.CaptureRequest{Viewer: self, OrderId: orderID, Amount: amount.Proto()})
	switch chassisrpc.Reason[paymentv1.ErrorReason](err) {
	case paymentv1.ErrorReason_ERROR_REASON_AMOUNT_MISMATCH:
		return app.Outcome{}, domain.ErrPaymentMismatch
	case paymentv1.ErrorReason_ERROR_REASON_PAYMENT_NOT_AUTHORIZED:
		return app.Outcome{}, domain.ErrCaptureRefused
	}
	if err != nil {
		return app.Outcome{}, err
	}
	switch state := resp.GetPayment().GetState(); state {
	case paymentv1.AttemptState_ATTEMPT_STATE_CAPTURED:
		return app.Outcome{}, nil
	case paymentv1.AttemptState_ATTEMPT_STATE_CAPTURE_FAILED:
		return app.Outcome{Failed: true, Code: resp.GetPayment().GetDeclineCode()}, nil
	default:
		return app.Outcome{}, fmt.Errorf("payment answered a capture with %s", state)
	}
}

// Cancel implements app.Payments.
func (p *Payments) Cancel(ctx context.Context, orderID string) error {
	resp, err := p.client.Cancel(ctx, &paymentv1.CancelRequest{Viewer: self, OrderId: orderID})
	if chassisrpc.Reason[paymentv1.ErrorReason](err) == paymentv1.ErrorReason_ERROR_REASON_PAYMENT_CAPTURED {
		return domain.ErrPaymentCaptured
	}
	if err != nil {
		return err
	}
	if resp.GetPayment() == nil {
		return nil // a tombstone
	}
	switch state := resp.GetPayment().GetState(); state {
	case paymentv1.AttemptState_ATTEMPT_STATE_VOIDED, paymentv1.AttemptState_ATTEMPT_STATE_DECLINED:
		return nil
	default:
		return fmt.Errorf("payment answered a cancellation with %s", state)
	}
}

// Refund implements app.Payments.
func (p *Payments) Refund(ctx context.Context, refundID, orderID string, amount money.Money) (app.Outcome, error) {
	resp, err := p.client.Refund(ctx, &paymentv1.RefundRequest{Viewer: self, RefundId: refundID, OrderId: orderID, Amount: amount.Proto()})
	switch reason := chassisrpc.Reason[paymentv1.ErrorReason](err); reason {
	case paymentv1.ErrorReason_ERROR_REASON_PAYMENT_NOT_CAPTURED, paymentv1.ErrorReason_ERROR_REASON_REFUND_EXCEEDS_CAPTURE, paymentv1.ErrorReason_ERROR_REASON_REFUND_MISMATCH:
		return app.Outcome{}, fmt.Errorf("%w: %s", domain.ErrRefundRefused, reason)
	}
	if err != nil {
		return app.Outcome{}, err
	}
	switch state := resp.GetRefund().GetState(); state {
	case paymentv1.RefundState_REFUND_STATE_SUCCEEDED:
		return app.Outcome{}, nil
	case paymentv1.RefundState_REFUND_STATE_FAILED:
		return app.Outcome{Failed: true, Code: resp.GetRefund().GetFailureCode()}, nil
	default:
		return app.Outcome{}, fmt.Errorf("payment answered a refund with %s", state)
	}
}

// reading repeats a read that a neighbor could not serve, for about a second:
// the time of a restart.
func reading[T any](ctx context.Context, call func() (T, error)) (resp T, err error) {
	policy := retry.Policy{
		Backoff:  retry.Backoff{Initial: 75 * time.Millisecond, Max: time.Second},
		Attempts: 6,
		If:       func(err error) bool { return status.Code(err) == codes.Unavailable },
	}
	err = retry.Do(ctx, policy, func(context.Context) (err error) {
		resp, err = call()
		return err
	})
	return resp, err
}
