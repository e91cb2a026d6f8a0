// Package shop joins the use cases of all resources.
package shop

import (
	"time"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/shop/audit"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/shop/customer"
	"github.com/souk-shop/souk/gateway/internal/shop/mail"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/gateway/internal/shop/payment"
	"github.com/souk-shop/souk/gateway/internal/shop/report"
	"github.com/souk-shop/souk/gateway/internal/shop/webhook"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Shop has the use cases that the REST API and the storefront present.
type Shop struct {
	Catalog   *catalog.Catalog
	Carts     *cart.Carts
	Orders    *order.Orders
	Payments  *payment.Payments
	Customers *customer.Customers
	Mails     *mail.Mails
	Audit     *audit.Log
	Webhooks  *webhook.Webhooks
	Reports   *report.Reports
}

// Admission decides who may start a cart, by how orders fare.
type Admission interface {
	cart.Admission
	order.Admission
}

// Config of a Shop.
type Config struct {
	Services  client.Services
	Caller    *client.Caller
	Admission Admission
	// Cache is that of package catalog.
	Cache *cache.Cache
	// Peers are other gateways, which keep the same as Cache; nil for none.
	Peers catalog.Peers
	// Currency of an empty cart's total.
	Currency string
	// Security is the gateway's security log.
	Security *telemetry.SecurityLog
	// Draining is closed when the gateway begins to stop.
	Draining <-chan struct{}
	Now      func() time.Time
}

// New makes a Shop.
func New(cfg Config) Shop {
	services, caller := cfg.Services, cfg.Caller
	products := catalog.New(catalog.Config{Client: services.Catalog, Caller: caller, Cache: cfg.Cache, Peers: cfg.Peers})
	payments := payment.New(services.Payment, caller)
	orders := order.New(order.Config{
		Client: services.Order, Caller: caller, Admission: cfg.Admission, Stock: products, Security: cfg.Security, Draining: cfg.Draining,
	})
	return Shop{
		Catalog: products,
		Carts: cart.New(cart.Config{
			Client: services.Cart, Caller: caller, Variants: products, Payments: payments, Admission: cfg.Admission, Currency: cfg.Currency,
		}),
		Orders:    orders,
		Payments:  payments,
		Customers: customer.New(customer.Config{Orders: services.Order, Carts: services.Cart, Payments: services.Payment, Mails: services.Mails, Caller: caller}),
		Mails:     mail.New(services.Mails, caller),
		Audit:     audit.New(services.Audit, caller),
		Webhooks:  webhook.New(services.Webhooks, caller),
		Reports:   report.New(report.Config{Client: services.Insight, Orders: orders, Caller: caller, Now: cfg.Now}),
	}
}
