package customer

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/shop/mail"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/money"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Export is what is held about a customer. Carts and Orders are the first page of each;
// NextCarts and Next turn to the following ones.
type Export struct {
	ID            string
	SessionsSince time.Time // the zero time for a customer who ended no session
	// DeclinedPayments is the score of declined payments.
	DeclinedPayments float64
	// ErasureRequested and ErasureFinished are zero times where there is none.
	ErasureRequested, ErasureFinished time.Time
	Carts                             []Cart
	Orders                            []Order

	customers *Customers
	viewer    *accessv1.Viewer
	cursor    string // of the next page
	carts     string // after which the next page of carts begins, "" when there is none
	held      bool   // that there are carts
}

// Cart is a cart as it is kept, without the catalog's prices.
type Cart struct {
	ID        string
	Version   int64
	UpdatedAt time.Time
	Lines     []CartLine
}

// CartLine is a line of a Cart.
type CartLine struct {
	SKU      string
	Quantity int64
	Seen     money.Money
}

// Order is an order with what else is kept of who placed it.
type Order struct {
	*order.Order
	PaymentMethod  string
	IdempotencyKey string
	RequestHash    []byte
	AddressKey     []byte
	SessionSince   time.Time
	TraceParent    string
	// Payment is nil for an order without one.
	Payment *Payment
	// Mails are those about it, newest first.
	Mails []mail.Mail
}

// Payment is the payment of an order.
type Payment struct {
	AttemptID, State           string
	Amount, Captured, Refunded money.Money
	DeclineCode                string // for operators alone
	ProviderID, Method         string
	CreatedAt                  time.Time
	Refunds                    []Refund
}

// Refund is a refund as payment has it.
type Refund struct {
	ID, State   string
	Amount      money.Money
	FailureCode string
}

// Export returns what is held about a customer. Problems: CustomerNotFound, SessionEnded.
func (c *Customers) Export(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) (*Export, error) {
	e := &Export{ID: id.String(), customers: c, viewer: v}
	if err := e.readCarts(ctx); err != nil {
		return nil, err
	}
	e.held = len(e.Carts) > 0
	return e, e.read(ctx)
}

// NextCarts turns to the next page of carts; false when there is none.
func (e *Export) NextCarts(ctx context.Context) (bool, error) {
	if e.carts == "" {
		return false, nil
	}
	return true, e.readCarts(ctx)
}

func (e *Export) readCarts(ctx context.Context) error {
	cfg := e.customers.cfg
	held, err := client.Call(ctx, cfg.Caller, 0, cfg.Carts.ExportCustomer, &cartv1.ExportCustomerRequest{Viewer: e.viewer, CustomerId: e.ID, AfterCartId: e.carts})
	if err != nil {
		return err
	}
	e.Carts, e.carts = nil, ""
	for _, in := range held.GetCarts() {
		cart := Cart{ID: in.GetId(), Version: in.GetVersion(), UpdatedAt: in.GetUpdatedAt().AsTime()}
		for _, l := range in.GetLines() {
			cart.Lines = append(cart.Lines, CartLine{SKU: l.GetSku(), Quantity: l.GetQuantity(), Seen: amount(l.GetSeenUnitPrice())})
		}
		e.Carts = append(e.Carts, cart)
	}
	if n := len(e.Carts); held.GetMore() && n > 0 {
		e.carts = e.Carts[n-1].ID
	}
	return nil
}

// Next turns to the next page of orders; false when there is none.
func (e *Export) Next(ctx context.Context) (bool, error) {
	if e.cursor == "" {
		return false, nil
	}
	return true, e.read(ctx)
}

func (e *Export) read(ctx context.Context) error {
	cfg := e.customers.cfg
	page, err := client.Call(ctx, cfg.Caller, 0, cfg.Orders.ExportCustomer, &orderv1.ExportCustomerRequest{
		Viewer: e.viewer, CustomerId: e.ID, Cursor: e.cursor, HeldElsewhere: e.held,
	})
	if err != nil {
		return err
	}
	e.SessionsSince, e.DeclinedPayments, e.cursor = at(page.GetSessionsSince()), page.GetDeclinedPayments(), page.GetNextCursor()
	e.ErasureRequested, e.ErasureFinished = at(page.GetErasure().GetRequestedAt()), at(page.GetErasure().GetFinishedAt())
	payments, err := e.payments(ctx, page.GetOrders())
	if err != nil {
		return err
	}
	mails, err := e.mails(ctx, page.GetOrders())
	if err != nil {
		return err
	}
	e.Orders = nil
	for _, in := range page.GetOrders() {
		o, err := order.FromProto(in.GetOrder(), e.viewer)
		if err != nil {
			return err
		}
		e.Orders = append(e.Orders, Order{
			Order: o, PaymentMethod: in.GetPaymentMethod(), IdempotencyKey: in.GetIdempotencyKey(), RequestHash: in.GetRequestHash(),
			AddressKey: in.GetAddressKey(), SessionSince: at(in.GetSessionSince()), TraceParent: in.GetTraceparent(), Payment: payments[in.GetOrder().GetId()],
			Mails: mails[in.GetOrder().GetId()],
		})
	}
	return nil
}

// payments are those of orders that the order service has shown to the viewer.
func (e *Export) payments(ctx context.Context, orders []*orderv1.CustomerOrder) (map[string]*Payment, error) {
	if len(orders) == 0 {
		return nil, nil
	}
	req := &paymentv1.ExportPaymentsRequest{Viewer: client.Self}
	for _, o := range orders {
		req.OrderIds = append(req.OrderIds, o.GetOrder().GetId())
	}
	cfg := e.customers.cfg
	res, err := client.Call(ctx, cfg.Caller, 0, cfg.Payments.ExportPayments, req)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*Payment, len(res.GetPayments()))
	for _, in := range res.GetPayments() {
		p := in.GetPayment()
		payment := &Payment{
			AttemptID: p.GetAttemptId(), State: strings.TrimPrefix(p.GetState().String(), "ATTEMPT_STATE_"), Amount: amount(p.GetAmount()),
			Captured: amount(p.GetCaptured()), Refunded: amount(p.GetRefunded()), ProviderID: p.GetProviderId(), Method: in.GetPaymentMethod(),
			CreatedAt: p.GetCreatedAt().AsTime(),
		}
		if e.viewer.GetOperator() != nil {
			payment.DeclineCode = p.GetDeclineCode()
		}
		for _, r := range p.GetRefunds() {
			payment.Refunds = append(payment.Refunds, Refund{
				ID: r.GetRefundId(), State: strings.TrimPrefix(r.GetState().String(), "REFUND_STATE_"), Amount: amount(r.GetAmount()), FailureCode: r.GetFailureCode(),
			})
		}
		out[p.GetOrderId()] = payment
	}
	return out, nil
}

// mails are those about orders that the order service has shown to the viewer.
func (e *Export) mails(ctx context.Context, orders []*orderv1.CustomerOrder) (map[string][]mail.Mail, error) {
	if len(orders) == 0 {
		return nil, nil
	}
	req := &notificationv1.ExportMailsRequest{Viewer: client.Self}
	for _, o := range orders {
		req.OrderIds = append(req.OrderIds, o.GetOrder().GetId())
	}
	cfg := e.customers.cfg
	res, err := client.Call(ctx, cfg.Caller, 0, cfg.Mails.ExportMails, req)
	if err != nil {
		return nil, err
	}
	out := map[string][]mail.Mail{}
	for _, in := range res.GetMails() {
		out[in.GetOrderId()] = append(out[in.GetOrderId()], mail.FromProto(in))
	}
	return out, nil
}

// at is a time, the zero time for none.
func at(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// amount is what is shown of an amount, which the services have checked.
func amount(m *moneyv1.Money) money.Money {
	return money.Money{Units: m.GetMinorUnits(), Currency: m.GetCurrency()}
}
