package catalog_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/catalog"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// limits is a payment service that knows what it takes of dinars.
type limits struct {
	paymentv1.UnimplementedPaymentServiceServer
	away atomic.Bool
}

func (l *limits) GetLimits(_ context.Context, r *paymentv1.GetLimitsRequest) (*paymentv1.GetLimitsResponse, error) {
	if l.away.Load() {
		return nil, status.Error(codes.Unavailable, "away")
	}
	if r.GetCurrency() != "KWD" {
		return &paymentv1.GetLimitsResponse{}, nil
	}
	return &paymentv1.GetLimitsResponse{Limits: &paymentv1.Limits{Currency: "KWD", Min: 10, Max: 99_999_990, Step: 10}}, nil
}

// TestPricesAreWhatPaymentTakes: a price that no payment can be is refused with its
// field; while payment does not answer, prices are accepted.
func TestPricesAreWhatPaymentTakes(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, payment := grpc.NewServer(), &limits{}
	paymentv1.RegisterPaymentServiceServer(server, payment)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	sellsIn := func(currency string) *service {
		return start(t, pgtest.Service(t, nil), func(cfg *catalog.Config) {
			cfg.Currency, cfg.Payment.Target = currency, l.Addr().String()
		}).ready(t)
	}
	upsert := func(s *service, price *moneyv1.Money) error {
		_, err := s.UpsertProducts(t.Context(), &catalogv1.UpsertProductsRequest{Viewer: access.Operator("ann"), Products: []*catalogv1.ProductInput{{
			Code: "LAMP", Name: "Lamp", Category: "lighting", Variants: []*catalogv1.VariantInput{{Sku: "LAMP", Price: price}},
		}}})
		return err
	}
	set := func(s *service, price *moneyv1.Money) error {
		_, err := s.SetPrices(t.Context(), &catalogv1.SetPricesRequest{Viewer: access.Operator("ann"), Changes: []*catalogv1.PriceChange{{Sku: "LAMP", Price: price}}})
		return err
	}
	field := func(err error) string {
		for _, d := range status.Convert(err).Details() {
			if bad, ok := d.(*errdetails.BadRequest); ok {
				return bad.GetFieldViolations()[0].GetField()
			}
		}
		return ""
	}
	kwd := func(units int64) *moneyv1.Money { return &moneyv1.Money{MinorUnits: units, Currency: "KWD"} }

	s := sellsIn("KWD")
	for _, units := range []int64{5125, 99_999_999, 100_000_000} {
		if err := upsert(s, kwd(units)); status.Code(err) != codes.InvalidArgument || field(err) != "products[0].variants[0].price" {
			t.Errorf("a product for %d: %v", units, err)
		}
	}
	_, err = s.PutProduct(t.Context(), &catalogv1.PutProductRequest{Viewer: access.Operator("ann"), OperationId: uuid.NewString(), Product: &catalogv1.ProductInput{
		Code: "LAMP", Name: "Lamp", Category: "lighting", Variants: []*catalogv1.VariantInput{{Sku: "LAMP", Price: kwd(5125)}},
	}, Precondition: &catalogv1.Precondition{}})
	if status.Code(err) != codes.InvalidArgument || field(err) != "product.variants[0].price" {
		t.Errorf("a product put for 5125: %v", err)
	}
	if err := upsert(s, kwd(5120)); err != nil {
		t.Error(err)
	}
	if err := set(s, kwd(5125)); status.Code(err) != codes.InvalidArgument || field(err) != "changes[0].price" {
		t.Errorf("a price of 5125: %v", err)
	}
	if err := set(s, kwd(5130)); err != nil {
		t.Error(err)
	}
	if err := upsert(sellsIn("IQD"), &moneyv1.Money{MinorUnits: 1000, Currency: "IQD"}); field(err) != "products[0].variants[0].price" {
		t.Errorf("a currency that is not charged: %v", err)
	}
	payment.away.Store(true)
	if err := upsert(sellsIn("KWD"), kwd(5125)); err != nil {
		t.Errorf("while payment is away: %v", err)
	}
}
