// Package customer has the use cases of what the shop holds about a person: it is found,
// exported and erased.
package customer

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/souk-shop/souk/gateway/internal/client"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
)

type (
	// OrderClient has the RPCs of the order service that this package calls.
	OrderClient interface {
		FindCustomers(context.Context, *orderv1.FindCustomersRequest, ...grpc.CallOption) (*orderv1.FindCustomersResponse, error)
		ExportCustomer(context.Context, *orderv1.ExportCustomerRequest, ...grpc.CallOption) (*orderv1.ExportCustomerResponse, error)
		EraseCustomer(context.Context, *orderv1.EraseCustomerRequest, ...grpc.CallOption) (*orderv1.EraseCustomerResponse, error)
	}
	// CartClient has those of the cart service.
	CartClient interface {
		ExportCustomer(context.Context, *cartv1.ExportCustomerRequest, ...grpc.CallOption) (*cartv1.ExportCustomerResponse, error)
	}
	// PaymentClient has those of the payment service.
	PaymentClient interface {
		ExportPayments(context.Context, *paymentv1.ExportPaymentsRequest, ...grpc.CallOption) (*paymentv1.ExportPaymentsResponse, error)
	}
	// MailClient has those of the notification service.
	MailClient interface {
		ExportMails(context.Context, *notificationv1.ExportMailsRequest, ...grpc.CallOption) (*notificationv1.ExportMailsResponse, error)
	}
)

// Config of Customers.
type Config struct {
	Orders   OrderClient
	Carts    CartClient
	Payments PaymentClient
	Mails    MailClient
	Caller   *client.Caller
}

// Customers has the use cases. Safe for concurrent use.
type Customers struct{ cfg Config }

// New makes Customers.
func New(cfg Config) *Customers { return &Customers{cfg} }

// Found is who ordered with an e-mail address.
type Found struct {
	ID           string
	Orders       int64
	LastPlacedAt time.Time
}

// Find returns the customers who ordered with an e-mail address.
func (c *Customers) Find(ctx context.Context, v *accessv1.Viewer, email string) ([]Found, error) {
	res, err := client.Call(ctx, c.cfg.Caller, 0, c.cfg.Orders.FindCustomers, &orderv1.FindCustomersRequest{Viewer: v, Email: email})
	if err != nil {
		return nil, err
	}
	found := make([]Found, len(res.GetCustomers()))
	for i, f := range res.GetCustomers() {
		found[i] = Found{ID: f.GetCustomerId(), Orders: f.GetOrders(), LastPlacedAt: f.GetLastPlacedAt().AsTime()}
	}
	return found, nil
}

// eraseTime is how long an erasure is waited for; it goes on without.
const eraseTime = 20 * time.Second

// Erase erases what identifies a customer, and returns when it was asked for and when it was
// finished: the zero time while it is not. Problems: CustomerNotFound, CustomerHasOpenOrders,
// SessionEnded.
func (c *Customers) Erase(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) (requested, finished time.Time, err error) {
	res, err := client.Call(ctx, c.cfg.Caller, eraseTime, c.cfg.Orders.EraseCustomer, &orderv1.EraseCustomerRequest{Viewer: v, CustomerId: id.String()})
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	return times(res.GetErasure())
}

func times(e *orderv1.Erasure) (requested, finished time.Time, err error) {
	if t := e.GetRequestedAt(); t != nil {
		requested = t.AsTime()
	}
	if t := e.GetFinishedAt(); t != nil {
		finished = t.AsTime()
	}
	return requested, finished, nil
}
