package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/sethvargo/go-envconfig"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/catalog"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	chassis "github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// service is a running catalog and its client.
type service struct {
	catalogv1.CatalogServiceClient
	health healthpb.HealthClient
	stop   func() error
}

// start runs the whole service on a port of its own.
func start(t *testing.T, db pgtest.Database, change func(*catalog.Config)) *service {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := catalog.Config{
		Config: chassis.Config{
			Server:    chassisrpc.ServerConfig{Listener: lis},
			Identity:  identity.Config{TLSOff: true},
			Postgres:  db.Config,
			Telemetry: telemetry.Config{LogOutput: io.Discard},
			Migrate:   true,
		},
		ExpireEvery: 20 * time.Millisecond,
		LearnEvery:  20 * time.Millisecond, PopularityEvery: 20 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- catalog.Run(ctx, cfg) }()
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the service does not stop")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	conn, err := chassisrpc.Dial("catalog", chassisrpc.ClientConfig{Target: lis.Addr().String()}, identity.Insecure(), telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &service{catalogv1.NewCatalogServiceClient(conn), healthpb.NewHealthClient(conn), stop}
}

// ready waits until health says so.
func (s *service) ready(t *testing.T) *service {
	t.Helper()
	eventually(t, func() bool {
		resp, err := s.health.Check(t.Context(), &healthpb.HealthCheckRequest{})
		return err == nil && resp.GetStatus() == healthpb.HealthCheckResponse_SERVING
	})
	return s
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); _ = retry.Sleep(t.Context(), 5*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

func gbp(units int64) *moneyv1.Money { return &moneyv1.Money{MinorUnits: units, Currency: "GBP"} }

func input(code, name string, price, stock int64) *catalogv1.ProductInput {
	return &catalogv1.ProductInput{
		Code: code, Name: name, Category: "gifts",
		Variants: []*catalogv1.VariantInput{{Sku: code, Price: gbp(price), Stock: &stock}},
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func line(sku string, quantity int64) *catalogv1.StockLine {
	return &catalogv1.StockLine{Sku: sku, Quantity: quantity}
}

func wantReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || chassisrpc.Info(err).GetReason() != reason {
		t.Errorf("got %v (reason %q), want %v %s", err, chassisrpc.Info(err).GetReason(), code, reason)
	}
}

func (s *service) add(t *testing.T, products ...*catalogv1.ProductInput) {
	t.Helper()
	if _, err := s.UpsertProducts(t.Context(), &catalogv1.UpsertProductsRequest{Viewer: access.Operator("ann"), Products: products}); err != nil {
		t.Fatal(err)
	}
}

func TestShop(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := start(t, pgtest.Service(t, nil), nil).ready(t)
	s.add(t, input("LAMP", "White metal lantern", 339, 5), input("JAM", "Jam making set", 425, 0), input("CUP", "Tea cup", 250, 9))

	// Find it, with a typo; look at it.
	list, err := s.ListProducts(ctx, &catalogv1.ListProductsRequest{Viewer: access.Anyone(), Filter: &catalogv1.ProductFilter{Query: " lanturn "}, WithFacets: true})
	if err != nil || len(list.GetProducts()) != 1 || list.GetProducts()[0].GetCode() != "LAMP" || list.GetFacets().GetTotal() != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	lamp := list.GetProducts()[0]
	get := func() *catalogv1.Product {
		t.Helper()
		resp, err := s.GetProduct(ctx, &catalogv1.GetProductRequest{Viewer: access.Anyone(), Key: &catalogv1.GetProductRequest_Id{Id: strings.ToUpper(lamp.GetId())}})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetProduct()
	}
	if p := get(); p.GetVersion() != lamp.GetVersion() || p.GetVariants()[0].GetStock().GetAvailable() != 5 || p.GetVariants()[0].GetPrice().GetMinorUnits() != 339 {
		t.Errorf("%v", p)
	}

	// Buy it together with another.
	order := newID()
	reserve := &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: order, Lines: []*catalogv1.StockLine{line("LAMP", 2), line("CUP", 1)}}
	res, err := s.Reserve(ctx, reserve)
	if err != nil || res.GetReservation().GetState() != catalogv1.ReservationState_RESERVATION_STATE_HELD || time.Until(res.GetReservation().GetExpiresAt().AsTime()) < 80*time.Second {
		t.Fatalf("%v, %v", res, err)
	}
	if p := get(); p.GetVariants()[0].GetStock().GetAvailable() != 3 || p.GetVersion() <= lamp.GetVersion() {
		t.Errorf("%v", p)
	}
	confirmed, err := s.Confirm(ctx, &catalogv1.ConfirmRequest{Viewer: access.Service("order"), OrderId: order})
	if err != nil || confirmed.GetReservation().GetState() != catalogv1.ReservationState_RESERVATION_STATE_COMMITTED {
		t.Fatalf("%v, %v", confirmed, err)
	}
	// The shop learns from it.
	eventually(t, func() bool {
		related, err := s.ListRelated(ctx, &catalogv1.ListRelatedRequest{ProductId: lamp.GetId()})
		return err == nil && len(related.GetProducts()) == 2 && related.GetProducts()[0].GetCode() == "CUP"
	})
	eventually(t, func() bool { return get().GetPopularity() == 2 })

	// Send it back.
	restock := &catalogv1.RestockRequest{Viewer: access.Service("order"), RestockId: newID(), OrderId: order, Lines: []*catalogv1.StockLine{line("LAMP", 2)}}
	for range 2 {
		if _, err := s.Restock(ctx, restock); err != nil {
			t.Fatal(err)
		}
	}
	if p := get(); p.GetVariants()[0].GetStock().GetCommitted() != 0 {
		t.Errorf("%v", p)
	}
	variants, err := s.GetVariants(ctx, &catalogv1.GetVariantsRequest{Skus: []string{"NO", "CUP", "LAMP"}})
	if err != nil || len(variants.GetVariants()) != 2 || variants.GetVariants()[0].GetSku() != "CUP" || len(variants.GetMissing()) != 1 {
		t.Errorf("%v, %v", variants, err)
	}
	categories, err := s.ListCategories(ctx, &catalogv1.ListCategoriesRequest{})
	if err != nil || len(categories.GetCategories()) != 1 || categories.GetCategories()[0].GetProductCount() != 3 {
		t.Errorf("%v, %v", categories, err)
	}

	// A hold that is not confirmed ends by itself.
	reserve = &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: newID(), Lines: []*catalogv1.StockLine{line("LAMP", 5)}, Hold: durationpb.New(time.Millisecond)}
	if _, err := s.Reserve(ctx, reserve); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return get().GetVariants()[0].GetStock().GetAvailable() == 5 })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := start(t, pgtest.Service(t, nil), nil).ready(t)
	s.add(t, input("A", "a", 100, 5), input("B", "b", 100, 1))
	order := newID()

	_, err := s.Reserve(ctx, &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: order, Lines: []*catalogv1.StockLine{line("A", 6), line("B", 1)}})
	wantReason(t, err, codes.FailedPrecondition, "INSUFFICIENT_STOCK")
	if short, ok := chassisrpc.Detail[*catalogv1.Shortage](err); !ok || short.GetSku() != "A" || short.GetRequested() != 6 || short.GetAvailable() != 5 {
		t.Errorf("shortage %v", short)
	}
	_, err = s.Reserve(ctx, &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: order, Lines: []*catalogv1.StockLine{line("A", 1), line("A", 5)}})
	wantReason(t, err, codes.InvalidArgument, "INVALID")
	_, err = s.Reserve(ctx, &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: order, Lines: []*catalogv1.StockLine{line("A\x00", 1)}})
	wantReason(t, err, codes.InvalidArgument, "INVALID")
	_, err = s.Reserve(ctx, &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: order, Lines: []*catalogv1.StockLine{line("NO", 1)}})
	wantReason(t, err, codes.NotFound, "SKU_NOT_FOUND")
	for _, quantity := range []int64{0, -1, 1 << 31, -1 << 63} {
		_, err = s.Reserve(ctx, &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: order, Lines: []*catalogv1.StockLine{line("A", quantity)}})
		wantReason(t, err, codes.InvalidArgument, "INVALID")
	}
	_, err = s.Confirm(ctx, &catalogv1.ConfirmRequest{Viewer: access.Service("order"), OrderId: order})
	wantReason(t, err, codes.NotFound, "RESERVATION_NOT_FOUND")
	_, err = s.Confirm(ctx, &catalogv1.ConfirmRequest{Viewer: access.Service("order"), OrderId: "1"})
	wantReason(t, err, codes.InvalidArgument, "INVALID")
	if _, err = s.Release(ctx, &catalogv1.ReleaseRequest{Viewer: access.Service("order"), OrderId: order}); err != nil {
		t.Error(err)
	}
	_, err = s.Reserve(ctx, &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: strings.ToUpper(order), Lines: []*catalogv1.StockLine{line("A", 1)}})
	wantReason(t, err, codes.FailedPrecondition, "RESERVATION_RELEASED")

	_, err = s.GetProduct(ctx, &catalogv1.GetProductRequest{Viewer: access.Anyone(), Key: &catalogv1.GetProductRequest_Sku{Sku: "NO"}})
	wantReason(t, err, codes.NotFound, "PRODUCT_NOT_FOUND")
	_, err = s.GetProduct(ctx, &catalogv1.GetProductRequest{Viewer: access.Anyone(), Key: &catalogv1.GetProductRequest_Sku{Sku: "A\x00"}})
	wantReason(t, err, codes.InvalidArgument, "INVALID")
	_, err = s.ListRelated(ctx, &catalogv1.ListRelatedRequest{ProductId: newID()})
	wantReason(t, err, codes.NotFound, "PRODUCT_NOT_FOUND")
	_, err = s.ListProducts(ctx, &catalogv1.ListProductsRequest{Viewer: access.Anyone(), Filter: &catalogv1.ProductFilter{Query: "a\x00b"}})
	wantReason(t, err, codes.InvalidArgument, "INVALID")
	_, err = s.ListProducts(ctx, &catalogv1.ListProductsRequest{Viewer: access.Anyone(), Cursor: "Zm9yZ2Vk"})
	wantReason(t, err, codes.InvalidArgument, "INVALID_CURSOR")
	page, err := s.ListProducts(ctx, &catalogv1.ListProductsRequest{Viewer: access.Anyone(), PageSize: 1})
	if err != nil || page.GetNextCursor() == "" {
		t.Fatal(page, err)
	}
	_, err = s.ListProducts(ctx, &catalogv1.ListProductsRequest{Viewer: access.Anyone(), PageSize: 1, Cursor: page.GetNextCursor(), Sort: catalogv1.ProductSort_PRODUCT_SORT_NAME})
	wantReason(t, err, codes.InvalidArgument, "INVALID_CURSOR")
	if page, err = s.ListProducts(ctx, &catalogv1.ListProductsRequest{Viewer: access.Anyone(), PageSize: 2, Cursor: page.GetNextCursor()}); err != nil || len(page.GetProducts()) != 1 || page.GetNextCursor() != "" {
		t.Error(page, err)
	}

	euro := input("E", "e", 1, 1)
	euro.Variants[0].Price.Currency = "EUR"
	nul := input("E", "e\x00", 1, 1)
	free := input("E", "e", 0, 1)
	thief := input("E", "e", 1, 1)
	thief.Variants[0].Sku = "A"
	for reason, bad := range map[string][]*catalogv1.ProductInput{"INVALID": {euro, nul, free}, "SKU_TAKEN": {thief}} {
		for _, p := range bad {
			_, err = s.UpsertProducts(ctx, &catalogv1.UpsertProductsRequest{Viewer: access.Operator("ann"), Products: []*catalogv1.ProductInput{input("FINE", "f", 1, 1), p}})
			wantReason(t, err, map[string]codes.Code{"INVALID": codes.InvalidArgument, "SKU_TAKEN": codes.AlreadyExists}[reason], reason)
		}
	}
	_, err = s.GetProduct(ctx, &catalogv1.GetProductRequest{Viewer: access.Anyone(), Key: &catalogv1.GetProductRequest_Sku{Sku: "FINE"}})
	wantReason(t, err, codes.NotFound, "PRODUCT_NOT_FOUND")
	_, err = s.SetPrices(ctx, &catalogv1.SetPricesRequest{Viewer: access.Operator("ann"), Changes: []*catalogv1.PriceChange{{Sku: "A", Price: &moneyv1.Money{MinorUnits: 5, Currency: "USD"}}}})
	wantReason(t, err, codes.InvalidArgument, "INVALID")
	_, err = s.SetPrices(ctx, &catalogv1.SetPricesRequest{Viewer: access.Operator("ann"), Changes: []*catalogv1.PriceChange{{Sku: "NO", Price: gbp(1)}}})
	wantReason(t, err, codes.NotFound, "SKU_NOT_FOUND")
	_, err = s.AdjustStock(ctx, &catalogv1.AdjustStockRequest{Viewer: access.Operator("ann"), AdjustmentId: newID(), Reason: "r", Changes: []*catalogv1.StockChange{{Sku: "A", Delta: -6}}})
	wantReason(t, err, codes.FailedPrecondition, "INSUFFICIENT_STOCK")
}

// Of those who want the stock that another transaction has locked, as many wait as may, one
// more is refused, and a service that stops serves those who wait.
func TestStopWithAQueue(t *testing.T) {
	t.Parallel()
	db := pgtest.Service(t, nil)
	s := start(t, db, func(cfg *catalog.Config) { cfg.StockQueue = 3 }).ready(t)
	s.add(t, input("HOT", "hot", 100, 50))
	pool := db.Superuser(t)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM stock WHERE sku = 'HOT' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	reserve := func(ctx context.Context) error {
		_, err := s.Reserve(ctx, &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: newID(), Lines: []*catalogv1.StockLine{line("HOT", 1)}})
		return err
	}
	reserved := make(chan error, 5)
	go func() { reserved <- reserve(t.Context()) }()
	eventually(t, func() (waits bool) {
		err := pool.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&waits)
		return err == nil && waits
	})
	for range 4 {
		go func() { reserved <- reserve(t.Context()) }()
	}
	wantReason(t, <-reserved, codes.ResourceExhausted, "STOCK_BUSY") // three wait
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	eventually(t, func() bool {
		resp, err := s.health.Check(t.Context(), &healthpb.HealthCheckRequest{})
		return err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_SERVING
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := <-reserved; err != nil {
			t.Errorf("one that waited: %v", err)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	var held int
	if err := pool.QueryRow(t.Context(), "SELECT held FROM stock WHERE sku = 'HOT'").Scan(&held); err != nil || held != 4 {
		t.Errorf("%d units are held, %v", held, err)
	}
}

// The service starts before its database and its Redis, says so, and works when
// the database has come; Redis never comes.
// A cursor made with the built-in key, which everybody knows, of a place that no
// listing has is refused before the database fails on it.
func TestForgedCursor(t *testing.T) {
	t.Parallel()
	s := start(t, pgtest.Service(t, nil), nil).ready(t)
	s.add(t, input("A", "Jam", 100, 1))
	cursors := domain.Cursors{Key: []byte("souk catalog cursor")}
	names := domain.Listing{Sort: domain.SortName}
	for _, p := range []domain.Position{
		{Match: domain.MatchAll, ID: "42"}, {Match: domain.MatchAll, Text: "\x00", ID: newID()},
		{Match: "x", ID: newID()}, {Match: domain.MatchWords, ID: newID()}, {Match: domain.MatchClose, ID: newID()},
	} {
		_, err := s.ListProducts(t.Context(), &catalogv1.ListProductsRequest{
			Viewer: access.Anyone(),
			Sort:   catalogv1.ProductSort_PRODUCT_SORT_NAME, PageSize: 1, Cursor: cursors.Encode(names, &p),
		})
		wantReason(t, err, codes.InvalidArgument, "INVALID_CURSOR")
	}
	first, err := s.ListProducts(t.Context(), &catalogv1.ListProductsRequest{
		Viewer: access.Anyone(),
		Sort:   catalogv1.ProductSort_PRODUCT_SORT_NAME, PageSize: 1, Cursor: cursors.Encode(names, &domain.Position{Match: domain.MatchAll, ID: newID()}),
	})
	if err != nil || len(first.GetProducts()) != 1 {
		t.Errorf("%v, %v: an order of the list's own is accepted", first, err)
	}
}

func TestDatabaseLate(t *testing.T) {
	t.Parallel()
	db := pgtest.Service(t, nil)
	real, err := pgx.ParseConfig(db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().(*net.TCPAddr)
	_ = lis.Close()
	late := func(dsn config.Secret) config.Secret {
		role, err := pgx.ParseConfig(dsn.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return config.Secret(fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=disable", addr.IP, addr.Port, role.User, role.Password, role.Database))
	}
	db.Config.DSN, db.Config.OwnerDSN = late(db.Config.DSN), late(db.Config.OwnerDSN)

	s := start(t, db, func(cfg *catalog.Config) { cfg.Redis = cache.RedisConfig{Addr: "127.0.0.1:1"} })
	eventually(t, func() bool {
		resp, err := s.health.Check(t.Context(), &healthpb.HealthCheckRequest{})
		return err == nil && resp.GetStatus() == healthpb.HealthCheckResponse_NOT_SERVING
	})
	// Whether there is such a product is unknown: it is not "not found".
	_, err = s.GetProduct(t.Context(), &catalogv1.GetProductRequest{Viewer: access.Anyone(), Key: &catalogv1.GetProductRequest_Sku{Sku: "A"}})
	wantReason(t, err, codes.Unavailable, "UNAVAILABLE")
	_, err = s.GetVariants(t.Context(), &catalogv1.GetVariantsRequest{Skus: []string{"A"}})
	wantReason(t, err, codes.Unavailable, "UNAVAILABLE")
	_, err = s.Reserve(t.Context(), &catalogv1.ReserveRequest{Viewer: access.Service("order"), OrderId: newID(), Lines: []*catalogv1.StockLine{line("A", 1)}})
	wantReason(t, err, codes.Unavailable, "UNAVAILABLE")
	_, err = s.ListCategories(t.Context(), &catalogv1.ListCategoriesRequest{})
	wantReason(t, err, codes.Unavailable, "UNAVAILABLE")

	forward(t, addr.String(), real)
	s.ready(t)
	s.add(t, input("A", "a", 100, 5))
	if _, err := s.GetProduct(t.Context(), &catalogv1.GetProductRequest{Viewer: access.Anyone(), Key: &catalogv1.GetProductRequest_Sku{Sku: "A"}}); err != nil {
		t.Error(err)
	}
}

// forward listens on addr and passes everything on to the database.
func forward(t *testing.T, addr string, to *pgx.ConnConfig) {
	t.Helper()
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	go func() {
		for {
			in, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	var cfg catalog.Config
	err := config.LoadFrom(t.Context(), envconfig.MapLookuper(map[string]string{
		"SOUK_CATALOG_LISTEN": ":1", "SOUK_CATALOG_POSTGRES_DSN": "postgres://x", "SOUK_CATALOG_REDIS_ADDR": "r:1",
		"SOUK_CATALOG_PAYMENT_TARGET": "payment:9090",
		"SOUK_CATALOG_CURRENCY":       "EUR", "SOUK_CATALOG_MIGRATE": "true",
	}), "SOUK_CATALOG_", &cfg)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Server.Listen != ":1" || cfg.Postgres.DSN.Reveal() != "postgres://x" || cfg.Redis.Addr != "r:1" || cfg.Currency != "EUR" || !cfg.Migrate || cfg.MemoryTTL != time.Second {
		t.Errorf("%+v", cfg)
	}
	if err := catalog.Run(t.Context(), catalog.Config{}); err == nil || !strings.Contains(err.Error(), "SOUK_CATALOG_POSTGRES_DSN") {
		t.Errorf("without a database: %v", err)
	}
}
