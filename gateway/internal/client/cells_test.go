package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	cellv1 "github.com/souk-shop/souk/proto/gen/souk/cell/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/route"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// cellOf is a cell's order and payment service, which have the orders of one place in time each.
type cellOf struct {
	orderv1.UnimplementedOrderServiceServer
	paymentv1.UnimplementedPaymentServiceServer
	name    string
	orders  []*orderv1.Order // newest first
	fit     int              // how many orders fit on a page; any number for 0
	reports map[string]bool
	daily   map[string]bool // of the reports
	// limiting is called by GetLimits; may be nil.
	limiting func()
	// reconciling is called by Reconcile; may be nil.
	reconciling func(context.Context) error
}

func (c *cellOf) GetOrder(_ context.Context, req *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	return &orderv1.GetOrderResponse{Order: &orderv1.Order{Id: req.GetOrderId(), Number: c.name}}, nil
}

func (c *cellOf) WatchOrder(req *orderv1.WatchOrderRequest, s grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error {
	return s.Send(&orderv1.WatchOrderResponse{Order: &orderv1.Order{Id: req.GetOrderId(), Number: c.name}})
}

// ListOrders is the order service's: a cursor is a place in time, the same in each cell.
func (c *cellOf) ListOrders(_ context.Context, req *orderv1.ListOrdersRequest) (*orderv1.ListOrdersResponse, error) {
	out := &orderv1.ListOrdersResponse{}
	for _, o := range c.orders {
		at := o.GetPlacedAt().AsTime().Format("2006-01-02T15:04:05.000000")
		if req.GetCursor() != "" && at >= req.GetCursor() {
			continue
		}
		if n := len(out.Orders); n == int(req.GetPageSize()) || n > 0 && n == c.fit {
			out.NextCursor = out.Cursors[len(out.Cursors)-1]
			break
		}
		out.Orders, out.Cursors = append(out.Orders, o), append(out.Cursors, at)
	}
	if !req.GetWithCursors() {
		out.Cursors = nil
	}
	return out, nil
}

func (c *cellOf) FindCustomers(context.Context, *orderv1.FindCustomersRequest) (*orderv1.FindCustomersResponse, error) {
	out := &orderv1.FindCustomersResponse{}
	for _, o := range c.orders {
		out.Customers = append(out.Customers, &orderv1.FoundCustomer{CustomerId: o.GetCustomerId(), Orders: 1, LastPlacedAt: o.GetPlacedAt()})
	}
	return out, nil
}

func (c *cellOf) GetLimits(context.Context, *paymentv1.GetLimitsRequest) (*paymentv1.GetLimitsResponse, error) {
	if c.limiting != nil {
		c.limiting()
	}
	return &paymentv1.GetLimitsResponse{Limits: &paymentv1.Limits{Currency: c.name}}, nil
}

func (c *cellOf) HandleWebhook(context.Context, *paymentv1.HandleWebhookRequest) (*paymentv1.HandleWebhookResponse, error) {
	return &paymentv1.HandleWebhookResponse{EventId: "evt_1", Duplicate: c.name == "c1"}, nil
}

func (c *cellOf) Reconcile(ctx context.Context, req *paymentv1.ReconcileRequest) (*paymentv1.ReconcileResponse, error) {
	if c.reconciling != nil {
		if err := c.reconciling(ctx); err != nil {
			return nil, err
		}
	}
	c.reports[req.GetReconciliationId()] = true
	r, err := c.GetReconciliation(context.Background(), &paymentv1.GetReconciliationRequest{ReconciliationId: req.GetReconciliationId()})
	return &paymentv1.ReconcileResponse{Reconciliation: r.GetReconciliation()}, err
}

func (c *cellOf) GetReconciliation(_ context.Context, req *paymentv1.GetReconciliationRequest) (*paymentv1.GetReconciliationResponse, error) {
	if !c.reports[req.GetReconciliationId()] {
		return nil, status.Error(codes.NotFound, "none")
	}
	return &paymentv1.GetReconciliationResponse{Reconciliation: &paymentv1.Reconciliation{
		ReconciliationId: req.GetReconciliationId(), Done: c.name == "c1", DifferenceCount: 1, Daily: c.daily[req.GetReconciliationId()],
		Differences: []*paymentv1.ReconciliationDifference{{Subject: c.name}},
		Totals:      []*paymentv1.ReconciliationTotal{{Currency: "GBP", CapturedHere: 100, CapturedThere: 101}, {Currency: strings.ToUpper(c.name)}},
	}}, nil
}

// startCells starts two cells and returns a connection to them and what stops
// each.
func startCells(t *testing.T, swapped bool) (conn *route.Conn, cells []*cellOf, stops []func()) {
	t.Helper()
	half := cell.Split(2)
	table := make([]cell.Cell, 2)
	for i := range half {
		c := &cellOf{name: fmt.Sprint("c", i+1), reports: map[string]bool{}}
		server, err := rpc.NewServer(rpc.ServerConfig{Listen: "127.0.0.1:0"}, rpc.ServerParts{
			Identity: identity.Insecure(), Telemetry: telemetry.Discard(), Guard: &route.Guard{Of: &route.Fixed{Cell: c.name, Own: half[i]}},
		})
		if err != nil {
			t.Fatal(err)
		}
		orderv1.RegisterOrderServiceServer(server, c)
		paymentv1.RegisterPaymentServiceServer(server, c)
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- server.Serve(ctx) }()
		stopped := func() {
			if stop(); served != nil {
				if err := <-served; err != nil {
					t.Error(err)
				}
				served = nil
			}
		}
		t.Cleanup(stopped)
		cells, stops = append(cells, c), append(stops, stopped)
		table[i] = cell.Cell{Name: c.name, Buckets: half[i], Target: server.Addr().String()}
	}
	if swapped {
		table[0].Buckets, table[1].Buckets = table[1].Buckets, table[0].Buckets
	}
	m, err := cell.NewMap(table)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err = route.Dial("order", rpc.ClientConfig{Target: m.String(), Timeout: time.Minute}, merges, identity.Insecure(), telemetry.Discard()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, cells, stops
}

// Every method of a service that runs in cells says where it goes, and what goes to all cells is
// merged, but for the audit log, of which the gateway reads each cell's.
func TestEveryCallHasACell(t *testing.T) {
	t.Parallel()
	for _, file := range []protoreflect.FileDescriptor{
		cartv1.File_souk_cart_v1_cart_proto, orderv1.File_souk_order_v1_order_proto, paymentv1.File_souk_payment_v1_payment_proto,
		answerv1.File_souk_answer_v1_answer_proto, auditv1.File_souk_audit_v1_audit_proto, eventv1.File_souk_event_v1_event_proto,
	} {
		routes, err := route.Routes(file.Services().Get(0))
		if err != nil {
			t.Error(err)
		}
		for _, r := range routes {
			_, merged := merges[r.Method]
			elsewhere := r.Method == auditv1.AuditService_ListEntries_FullMethodName || r.Method == eventv1.EventService_ScanEvents_FullMethodName
			if want := r.Otherwise == cellv1.Cells_CELLS_ALL; merged != (want && !elsewhere) {
				t.Errorf("%s: asked of all cells %t, merged %t", r.Method, want, merged)
			}
		}
	}
}

func idIn(t *testing.T, b cell.Bucket) string {
	t.Helper()
	id, err := cell.NewID(b)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

var shopOperator = access.Operator("ann")

// A call goes to the cell of the customer who asks, else of the order it is about; also a stream.
func TestCallsGoToTheirCell(t *testing.T) {
	t.Parallel()
	conn, _, _ := startCells(t, false)
	orders := orderv1.NewOrderServiceClient(conn)
	for b, want := range map[cell.Bucket]string{0: "c1", 511: "c1", 512: "c2", 1023: "c2"} {
		mine, foreign := idIn(t, b), idIn(t, cell.Buckets-1-b)
		for what, req := range map[string]*orderv1.GetOrderRequest{
			"by an operator":                      {OrderId: mine, Viewer: shopOperator},
			"by its customer":                     {OrderId: mine, Viewer: access.Customer(mine)},
			"by a customer of another's, unknown": {OrderId: foreign, Viewer: access.Customer(mine)},
		} {
			res, err := orders.GetOrder(t.Context(), req)
			if err != nil || res.GetOrder().GetNumber() != want {
				t.Errorf("bucket %d, %s: cell %q, %v", b, what, res.GetOrder().GetNumber(), err)
			}
		}
		stream, err := orders.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{OrderId: mine, Viewer: shopOperator})
		if err != nil {
			t.Fatal(err)
		}
		res, err := stream.Recv()
		if err != nil || res.GetOrder().GetNumber() != want {
			t.Errorf("bucket %d is watched in cell %q, %v", b, res.GetOrder().GetNumber(), err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("the stream ends with %v", err)
		}
	}
	payments := paymentv1.NewPaymentServiceClient(conn)
	two := &paymentv1.ExportPaymentsRequest{OrderIds: []string{idIn(t, 1), idIn(t, 1000)}, Viewer: Self}
	if _, err := payments.ExportPayments(t.Context(), two); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "in two cells") {
		t.Errorf("orders of two cells in one request: %v", err)
	}
}

// A caller whose table of cells is wrong is refused by the cell that it asks, and nothing is done.
func TestAWrongTableIsRefused(t *testing.T) {
	t.Parallel()
	conn, _, _ := startCells(t, true)
	orders := orderv1.NewOrderServiceClient(conn)
	_, err := orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: idIn(t, 3), Viewer: shopOperator})
	if info := rpc.Info(err); status.Code(err) != codes.FailedPrecondition || rpc.Reason[errorv1.ErrorReason](err) != errorv1.ErrorReason_ERROR_REASON_WRONG_CELL ||
		info.GetMetadata()["bucket"] != "3" || info.GetMetadata()["cell"] != "c2" {
		t.Errorf("%v with %v", err, info)
	}
	if problem := Error(t.Context(), err); problem.Type.Status != 503 {
		t.Errorf("clients are told %d %s", problem.Type.Status, problem.Type.Slug)
	}
	stream, err := orders.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{OrderId: idIn(t, 3), Viewer: shopOperator})
	if err == nil {
		_, err = stream.Recv()
	}
	if rpc.Reason[errorv1.ErrorReason](err) != errorv1.ErrorReason_ERROR_REASON_WRONG_CELL {
		t.Errorf("a stream: %v", err)
	}
}

// Pages of an operator's list over both cells have each order once, newest first.
func TestOneListOfAllCells(t *testing.T) {
	t.Parallel()
	conn, cells, stops := startCells(t, false)
	var want []string
	for i := range 23 {
		o := &orderv1.Order{
			Id: idIn(t, cell.Bucket(i*44)), CustomerId: uuid.NewString(),
			PlacedAt: timestamppb.New(time.Date(2026, 1, 1, 0, 0, 0, 1000*i, time.UTC)),
		}
		c := cells[i*44/512]
		c.orders, want = append([]*orderv1.Order{o}, c.orders...), append([]string{o.GetId()}, want...)
	}
	orders := orderv1.NewOrderServiceClient(conn)
	for n := range 72 {
		size := int32(1 + n/3)
		cells[0].fit, cells[1].fit = []int{0, 2, 5}[n%3], []int{0, 0, 1}[n%3] // large orders are fewer on a page
		var got []string
		for cursor, pages := "", 0; ; pages++ {
			page, err := orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{PageSize: size, Cursor: cursor, Viewer: shopOperator})
			if err != nil || pages > len(want) {
				t.Fatalf("page %d: %v", pages, err)
			}
			if len(page.GetOrders()) > int(size) || len(page.GetCursors()) > 0 {
				t.Fatalf("a page of %d has %d orders and %d cursors", size, len(page.GetOrders()), len(page.GetCursors()))
			}
			for _, o := range page.GetOrders() {
				got = append(got, o.GetId())
			}
			if cursor = page.GetNextCursor(); cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d, of which %d and %d fit, there are %d orders, not the %d in their order", size, cells[0].fit, cells[1].fit, len(got), len(want))
		}
	}
	found, err := orders.FindCustomers(t.Context(), &orderv1.FindCustomersRequest{Email: "ann@example.com", Viewer: shopOperator})
	if err != nil || len(found.GetCustomers()) != len(want) || !slices.IsSortedFunc(found.GetCustomers(), func(a, b *orderv1.FoundCustomer) int {
		return b.GetLastPlacedAt().AsTime().Compare(a.GetLastPlacedAt().AsTime())
	}) {
		t.Errorf("%v, %v", found, err)
	}

	// A cell that is away leaves a gap in the list: there is none. Its customers alone are
	// without theirs, and what any cell knows is asked of the other.
	stops[1]()
	_, err = orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{PageSize: 5, Viewer: shopOperator})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "cell c2") {
		t.Errorf("with a cell away: %v", err)
	}
	for number, want := range map[string]codes.Code{"s-7k3m-9q00": codes.OK, "S-7K3M-9QZZ": codes.Unavailable} {
		_, err := orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{PageSize: 5, Filter: &orderv1.OrderFilter{Number: number}, Viewer: shopOperator})
		if status.Code(err) != want {
			t.Errorf("the order of number %s, with a cell away: %v", number, err)
		}
	}
	if _, err := orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: idIn(t, 3), Viewer: shopOperator}); err != nil {
		t.Errorf("an order of the other cell: %v", err)
	}
	if _, err := orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: idIn(t, 900), Viewer: shopOperator}); status.Code(err) != codes.Unavailable {
		t.Errorf("an order of the cell that is away: %v", err)
	}
	for away := conn.Cells()[1]; !conn.Away(900); {
		if !away.WaitForStateChange(t.Context(), away.GetState()) {
			t.Fatal("the cell is not seen to be away")
		}
	}
	if conn.Away(3) {
		t.Error("the other cell is away, too")
	}
	payments := paymentv1.NewPaymentServiceClient(conn)
	for range 3 {
		if res, err := payments.GetLimits(t.Context(), &paymentv1.GetLimitsRequest{Currency: "GBP"}); err != nil || res.GetLimits().GetCurrency() != "c1" {
			t.Errorf("limits: %v, %v", res, err)
		}
	}
}

// While a bucket moves, its orders and customers are in two cells: each is listed once, as it is in the cell
// that has the later version.
func TestWhatIsInTwoCellsIsListedOnce(t *testing.T) {
	t.Parallel()
	conn, cells, _ := startCells(t, false)
	orders := orderv1.NewOrderServiceClient(conn)
	id, customer := idIn(t, 3), idIn(t, 3)
	at := time.Now()
	moved := func(version int64, placedAt time.Time) *orderv1.Order {
		return &orderv1.Order{Id: id, CustomerId: customer, Version: version, PlacedAt: timestamppb.New(placedAt)}
	}
	other := &orderv1.Order{Id: idIn(t, 900), CustomerId: idIn(t, 900), Version: 1, PlacedAt: timestamppb.New(at.Add(-time.Hour))}
	for later := range cells {
		cells[later].orders, cells[1-later].orders = []*orderv1.Order{moved(5, at)}, []*orderv1.Order{moved(4, at), other}
		list, err := orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{PageSize: 5, Viewer: shopOperator})
		if got := list.GetOrders(); err != nil || len(got) != 2 || got[0].GetVersion() != 5 || got[1].GetId() != other.GetId() {
			t.Errorf("the later one is in %s: %v, %v", cells[later].name, got, err)
		}
		// The customer has ordered once more where the later order is.
		cells[later].orders = []*orderv1.Order{moved(5, at.Add(time.Second))}
		found, err := orders.FindCustomers(t.Context(), &orderv1.FindCustomersRequest{Email: "ann@example.com", Viewer: shopOperator})
		if got := found.GetCustomers(); err != nil || len(got) != 2 || got[0].GetCustomerId() != customer ||
			!got[0].GetLastPlacedAt().AsTime().Equal(at.Add(time.Second)) || got[1].GetCustomerId() != other.GetCustomerId() {
			t.Errorf("the one who ordered last is in %s: %v, %v", cells[later].name, got, err)
		}
	}
}

// A cell that is frozen does not delay an answer that another cell has, too.
func TestAnyCellThatAnswers(t *testing.T) {
	t.Parallel()
	conn, cells, _ := startCells(t, false)
	thawed := make(chan struct{})
	t.Cleanup(func() { close(thawed) })
	cells[0].limiting = func() { <-thawed }
	payments := paymentv1.NewPaymentServiceClient(conn)
	var asked sync.WaitGroup
	for range 2 { // each cell is the first one asked once
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			res, err := payments.GetLimits(ctx, &paymentv1.GetLimitsRequest{Currency: "GBP"})
			if err != nil || res.GetLimits().GetCurrency() != "c2" {
				t.Errorf("%v, %v", res, err)
			}
		})
	}
	asked.Wait()
}

// The cells' books are compared under one id and summed.
func TestOneReconciliationOfAllCells(t *testing.T) {
	t.Parallel()
	conn, cells, _ := startCells(t, false)
	payments := paymentv1.NewPaymentServiceClient(conn)
	made, err := payments.Reconcile(t.Context(), &paymentv1.ReconcileRequest{Viewer: shopOperator})
	if err != nil {
		t.Fatal(err)
	}
	r := made.GetReconciliation()
	read, err := payments.GetReconciliation(t.Context(), &paymentv1.GetReconciliationRequest{ReconciliationId: r.GetReconciliationId(), Viewer: shopOperator})
	if err != nil || read.GetReconciliation().String() != r.String() {
		t.Errorf("read again it is\n%v, %v\nnot\n%v", read, err, r)
	}
	if r.GetDone() || r.GetDifferenceCount() != 2 || len(r.GetDifferences()) != 2 || len(r.GetTotals()) != 3 ||
		r.GetTotals()[2].GetCapturedHere() != 200 || r.GetTotals()[2].GetCapturedThere() != 202 {
		t.Errorf("%v", r)
	}
	// That of one cell alone is done with it if it is daily, and else not: the other was away when it began.
	daily, partial := uuid.NewString(), uuid.NewString()
	cells[0].reports[daily], cells[0].reports[partial] = true, true
	cells[0].daily = map[string]bool{daily: true}
	for id, done := range map[string]bool{daily: true, partial: false} {
		one, err := payments.GetReconciliation(t.Context(), &paymentv1.GetReconciliationRequest{ReconciliationId: id, Viewer: shopOperator})
		if err != nil || one.GetReconciliation().GetDifferenceCount() != 1 || one.GetReconciliation().GetDone() != done {
			t.Errorf("one of one cell, done %v: %v, %v", done, one, err)
		}
	}
	if _, err := payments.GetReconciliation(t.Context(), &paymentv1.GetReconciliationRequest{ReconciliationId: uuid.NewString(), Viewer: shopOperator}); status.Code(err) != codes.NotFound {
		t.Errorf("one of no cell: %v", err)
	}
	if res, err := payments.HandleWebhook(t.Context(), &paymentv1.HandleWebhookRequest{Viewer: Self}); err != nil || res.GetDuplicate() || res.GetEventId() != "evt_1" {
		t.Errorf("a webhook of no order: %v, %v", res, err)
	}
}

// A cell that refuses to settle does not break off what another settles.
func TestACellThatFailsEndsNoOthersCall(t *testing.T) {
	t.Parallel()
	conn, cells, _ := startCells(t, false)
	payments := paymentv1.NewPaymentServiceClient(conn)
	refused := make(chan struct{})
	var whole atomic.Bool
	cells[0].reconciling = func(context.Context) error {
		defer close(refused)
		return status.Error(codes.InvalidArgument, "was not restored")
	}
	cells[1].reconciling = func(ctx context.Context) error {
		<-refused
		for range 50 { // over the same connections, so that the refusal has come after them, and what it ends
			if _, err := payments.GetLimits(context.WithoutCancel(ctx), &paymentv1.GetLimitsRequest{Currency: "GBP"}); err != nil {
				return err
			}
		}
		whole.Store(ctx.Err() == nil)
		return nil
	}
	if _, err := payments.Reconcile(t.Context(), &paymentv1.ReconcileRequest{Settle: true, Viewer: shopOperator}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	if !whole.Load() {
		t.Error("the other cell's call was broken off")
	}
}
