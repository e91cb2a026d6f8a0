package client

import (
	"errors"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/route"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Self is the viewer of calls that the gateway makes for itself.
var Self = access.Service("gateway")

// Services are clients of the services that the gateway calls.
type Services struct {
	Catalog  catalogv1.CatalogServiceClient
	Cart     cartv1.CartServiceClient
	Order    orderv1.OrderServiceClient
	Payment  paymentv1.PaymentServiceClient
	Mails    notificationv1.MailServiceClient
	Webhooks notificationv1.WebhookServiceClient
	Insight  insightv1.InsightServiceClient
	// Answers are kept by each service for its operations, by the service's name.
	Answers map[string]answerv1.AnswerServiceClient
	// Audit is each service's log of what operators did, by the service's name.
	Audit map[string]auditv1.AuditServiceClient
}

// Targets say where the services are.
type Targets struct {
	Catalog rpc.ClientConfig `env:", prefix=CATALOG_"`
	Cart    rpc.ClientConfig `env:", prefix=CART_"`
	Order   rpc.ClientConfig `env:", prefix=ORDER_"`
	Payment rpc.ClientConfig `env:", prefix=PAYMENT_"`

	Notification rpc.ClientConfig `env:", prefix=NOTIFICATION_"`
	Insight      rpc.ClientConfig `env:", prefix=INSIGHT_"`
}

// table has an entry for each service: one more is a field of Services, one of
// Targets and a line here.
var table = []struct {
	name string
	// needed services are part of the gateway's readiness. Payment is not: shoppers
	// can buy while webhooks wait.
	needed bool
	target func(Targets) rpc.ClientConfig
	bind   func(*Services, grpc.ClientConnInterface)
}{
	{"catalog", true, func(t Targets) rpc.ClientConfig { return t.Catalog }, func(s *Services, c grpc.ClientConnInterface) { s.Catalog = catalogv1.NewCatalogServiceClient(c) }},
	{"cart", true, func(t Targets) rpc.ClientConfig { return t.Cart }, func(s *Services, c grpc.ClientConnInterface) { s.Cart = cartv1.NewCartServiceClient(c) }},
	{"order", true, func(t Targets) rpc.ClientConfig { return t.Order }, func(s *Services, c grpc.ClientConnInterface) { s.Order = orderv1.NewOrderServiceClient(c) }},
	{"payment", false, func(t Targets) rpc.ClientConfig { return t.Payment }, func(s *Services, c grpc.ClientConnInterface) { s.Payment = paymentv1.NewPaymentServiceClient(c) }},
	{"notification", false, func(t Targets) rpc.ClientConfig { return t.Notification }, func(s *Services, c grpc.ClientConnInterface) {
		s.Mails, s.Webhooks = notificationv1.NewMailServiceClient(c), notificationv1.NewWebhookServiceClient(c)
	}},
	{"insight", false, func(t Targets) rpc.ClientConfig { return t.Insight }, func(s *Services, c grpc.ClientConnInterface) { s.Insight = insightv1.NewInsightServiceClient(c) }},
}

// Over makes the clients over a connection to each service, by the service's name.
func Over(conn func(service string) grpc.ClientConnInterface) Services {
	s := Services{Answers: map[string]answerv1.AnswerServiceClient{}, Audit: map[string]auditv1.AuditServiceClient{}}
	for _, service := range table {
		c := conn(service.name)
		service.bind(&s, c)
		s.Answers[service.name] = answerv1.NewAnswerServiceClient(c)
		s.Audit[service.name] = auditv1.NewAuditServiceClient(c)
	}
	return s
}

// Connections are connections to the services, by the service's name.
type Connections map[string]*route.Conn

// Dial makes the connections of a process. It does not wait for the services.
func Dial(to Targets, id *identity.Identity, tel *telemetry.Telemetry) (Connections, error) {
	conns := Connections{}
	for _, service := range table {
		conn, err := route.Dial(service.name, service.target(to), merges, id, tel)
		if err != nil {
			return nil, errors.Join(err, conns.Close())
		}
		conns[service.name] = conn
	}
	return conns, nil
}

// Services returns the clients over the connections. The audit log of a service that runs in
// cells is one of each cell, by the name of both: "order-c1".
func (c Connections) Services() Services {
	s := Over(func(name string) grpc.ClientConnInterface { return c[name] })
	for name, conn := range c {
		for _, one := range conn.Cells() {
			if one.Name != "" {
				delete(s.Audit, name)
				s.Audit[name+"-"+one.Name] = auditv1.NewAuditServiceClient(one)
			}
		}
	}
	return s
}

// Away reports whether a cell that keeps what is a customer's, by the customer's id, cannot be
// connected to.
func (c Connections) Away(customer uuid.UUID) bool {
	b := cell.Of(customer)
	return c["cart"].Away(b) || c["order"].Away(b)
}

// Needed are the connections to the services without which the gateway is not ready, to each of
// their cells.
func (c Connections) Needed() map[string][]*grpc.ClientConn {
	out := map[string][]*grpc.ClientConn{}
	for _, service := range table {
		if !service.needed {
			continue
		}
		for _, one := range c[service.name].Cells() {
			out[service.name] = append(out[service.name], one.ClientConn)
		}
	}
	return out
}

// Close closes the connections.
func (c Connections) Close() error {
	var err error
	for _, conn := range c {
		err = errors.Join(err, conn.Close())
	}
	return err
}
