package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/reason"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/operators"
	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// testOperator is the token of an operator who may do everything.
var testOperator, testOperators = func() (string, []byte) {
	file := operators.New()
	token, _, err := file.Add("ada", operators.Everything, operators.DefaultLife, time.Now())
	if err != nil {
		panic(err)
	}
	data, err := file.Encode()
	if err != nil {
		panic(err)
	}
	return token, data
}()

// shopUnderTest is a gateway in front of fake services.
type shopUnderTest struct {
	t       testing.TB
	url     string
	catalog *fakeCatalog
	cart    *fakeCart
	order   *fakeOrder
	payment *fakePayment
	insight *fakeInsight
	answers *fakeAnswers
	audit   *fakeAudit
	health  *health.Server
	calls   atomic.Int64 // made of the services
	// before is called before a service answers, with the method; it may be nil.
	before atomic.Pointer[func(method string)]
	conn   *grpc.ClientConn
	client *http.Client
}

func start(t testing.TB, change ...func(*Config)) *shopUnderTest {
	t.Helper()
	carts := &fakeCart{carts: map[string]*cartv1.Cart{}, made: map[string]bool{}}
	s := &shopUnderTest{
		t: t, catalog: newFakeCatalog(), cart: carts, health: health.NewServer(), payment: &fakePayment{}, insight: &fakeInsight{}, audit: &fakeAudit{}, answers: &fakeAnswers{kept: map[string]*keptAnswer{}},
		order: &fakeOrder{
			carts: carts, orders: map[string]*orderv1.Order{}, keys: map[string]*orderv1.Order{},
			hashes: map[string][]byte{}, changes: make(chan *orderv1.Order),
		},
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableCompression: true}},
	}
	s.insight.orders = s.order
	s.conn = s.services()
	s.url = s.gateway(change...)
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// gateway starts a gateway in front of the services and returns its URL.
func (s *shopUnderTest) gateway(change ...func(*Config)) string {
	t, conn := s.t, s.conn
	t.Helper()
	cfg := complete(t, Config{RetryBudget: 100 * time.Millisecond}, change...)
	server := httptest.NewServer(handlerOver(t, cfg, conn, telemetry.Discard()))
	t.Cleanup(server.Close)
	return server.URL
}

// handlerOver is a gateway's handler over services at one connection.
func handlerOver(t testing.TB, cfg Config, conn *grpc.ClientConn, tel *telemetry.Telemetry) http.Handler {
	t.Helper()
	return handlerOf(t, cfg, parts{
		telemetry: tel, health: edge.NewHealth(map[string][]*grpc.ClientConn{"catalog": {conn}}),
		services: client.Over(func(string) grpc.ClientConnInterface { return conn }),
	})
}

func handlerOf(t testing.TB, cfg Config, p parts) http.Handler {
	t.Helper()
	var err error
	if p.cache, err = newCache(cfg, p.telemetry); err != nil {
		t.Fatal(err)
	}
	if p.cache != nil {
		t.Cleanup(func() { _ = p.cache.Close() })
	}
	if p.edges, err = newPurger(cfg, p.telemetry); err != nil {
		t.Fatal(err)
	}
	if p.edges != nil {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- p.edges.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	p.following = func() bool { return p.cache != nil && p.cache.IsFollowing() }
	changes, err := newTold(cfg, p.cache, p.edges, p.telemetry)
	if err != nil {
		t.Fatal(err)
	}
	if changes != nil {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- changes.run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := errors.Join(<-ended, changes.close()); err != nil {
				t.Error(err)
			}
		})
	}
	p.operators, err = auth.OpenOperators(auth.OperatorsConfig{
		Path: cfg.Operators, Now: cfg.Clock.Now, Telemetry: p.telemetry,
	})
	if err != nil {
		t.Fatal(err)
	}
	front, err := newFront(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	return front.handler
}

// complete is a configuration of tests, without a limit of requests but for what
// change says.
func complete(t testing.TB, cfg Config, change ...func(*Config)) Config {
	t.Helper()
	cfg.Secret, cfg.Operators, cfg.RateLimit = testSecret, operatorsFile(t, testOperators), -1
	for _, c := range change {
		c(&cfg)
	}
	if err := config.Complete(&cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// operatorsFile writes a file of operators and returns its path.
func operatorsFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "operators.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// services serves the fakes on one port and returns a connection to it.
func (s *shopUnderTest) services() *grpc.ClientConn {
	s.t.Helper()
	addr := s.serveOn("127.0.0.1:0")
	conn, err := rpc.Dial("fakes", rpc.ClientConfig{Target: addr}, identity.Insecure(), telemetry.Discard())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// serveOn serves the fakes on an address and returns it.
func (s *shopUnderTest) serveOn(addr string) string {
	s.t.Helper()
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	var rules access.Table
	server := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := errors.Join(rules.Caller(info.FullMethod, "gateway"), rules.Viewer(info.FullMethod, "gateway", req)); err != nil {
				s.t.Errorf("%s: %v", info.FullMethod, err)
			}
			if !strings.Contains(info.FullMethod, "grpc.health") {
				s.calls.Add(1)
			}
			if before := s.before.Load(); before != nil {
				(*before)(info.FullMethod)
			}
			res, err := next(ctx, req)
			return res, inDomain(err, info.FullMethod)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return inDomain(next(srv, stream), info.FullMethod)
		}))
	catalogv1.RegisterCatalogServiceServer(server, s.catalog)
	cartv1.RegisterCartServiceServer(server, s.cart)
	orderv1.RegisterOrderServiceServer(server, s.order)
	paymentv1.RegisterPaymentServiceServer(server, s.payment)
	insightv1.RegisterInsightServiceServer(server, s.insight)
	notificationv1.RegisterMailServiceServer(server, fakeMails{})
	answerv1.RegisterAnswerServiceServer(server, s.answers)
	auditv1.RegisterAuditServiceServer(server, s.audit)
	notificationv1.RegisterWebhookServiceServer(server, fakeWebhooks{})
	healthpb.RegisterHealthServer(server, s.health)
	if rules, err = access.NewTable(server.GetServiceInfo()); err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = server.Serve(lis) }()
	s.t.Cleanup(server.Stop)
	return lis.Addr().String()
}

// inDomain makes an error of a fake one of the service whose method it is:
// "/souk.cart.v1.CartService/GetCart" is of "cart.souk".
func inDomain(err error, method string) error {
	if err == nil {
		return nil
	}
	p := status.Convert(err).Proto()
	for i, d := range p.GetDetails() {
		info := &errdetails.ErrorInfo{}
		if d.UnmarshalTo(info) != nil {
			continue
		}
		info.Domain = strings.Split(method, ".")[1] + ".souk"
		if common := (reason.Key{Domain: "souk", Name: info.GetReason()}); reason.Find(common) != nil {
			info.Domain = common.Domain
		}
		if p.Details[i], err = anypb.New(info); err != nil {
			return err
		}
	}
	return status.ErrorProto(p)
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body []byte
}

func (a *answer) decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("decode %q: %v", a.body, err)
	}
}

// header is one header of a request, "Name: value".
type header string

func bearer(token string) header { return header("Authorization: Bearer " + token) }

var asOperator = bearer(testOperator)

// do sends a request with a JSON body, or none if body is "", and checks the
// answer of an API path against openapi.yaml.
func (s *shopUnderTest) do(method, path, body string, headers ...header) *answer {
	s.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, s.url+path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(string(h), ": ")
		if name == "Host" {
			req.Host = value
		}
		if strings.HasPrefix(name, "If-") { // may come in several lines
			req.Header.Add(name, value)
			continue
		}
		req.Header.Set(name, value)
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	a := &answer{Response: res}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if strings.HasPrefix(path, "/v1/") {
		checkAgainstDocument(s.t, req, a)
	}
	return a
}

// want does a request and checks its status.
func (s *shopUnderTest) want(status int, method, path, body string, headers ...header) *answer {
	s.t.Helper()
	a := s.do(method, path, body, headers...)
	if a.StatusCode != status {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.StatusCode, status, a.body)
	}
	return a
}

type problemDocument struct {
	Type      string `json:"type"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Limit     string `json:"limit"`
	TraceID   string `json:"trace_id"`
	Errors    []struct{ Field, Detail string }
	Shortages []struct {
		SKU                  string
		Requested, Available int64
	}
}

// wantPage does a request and checks that its answer is for people.
func (s *shopUnderTest) wantPage(status int, method, path, body string, headers ...header) *answer {
	s.t.Helper()
	a := s.want(status, method, path, body, headers...)
	if ct := a.Header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
		s.t.Errorf("%s %s: Content-Type %q", method, path, ct)
	}
	return a
}

// refuses does a request and checks that it is refused with the problem.
func (s *shopUnderTest) refuses(status int, slug, method, path, body string, headers ...header) *problemDocument {
	s.t.Helper()
	a := s.want(status, method, path, body, headers...)
	var p problemDocument
	a.decode(s.t, &p)
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		s.t.Errorf("%s %s: Content-Type %q", method, path, ct)
	}
	if p.Type != "/problems/"+slug || p.Status != status {
		s.t.Errorf("%s %s: problem %s %d, want %s %d: %s", method, path, p.Type, p.Status, slug, status, a.body)
	}
	if len(p.TraceID) != 32 {
		s.t.Errorf("%s %s: trace_id %q", method, path, p.TraceID)
	}
	if strings.Contains(string(a.body), "secret internals") || strings.Contains(string(a.body), "rpc error") {
		s.t.Errorf("%s %s: an internal message got out: %s", method, path, a.body)
	}
	return &p
}

type cartDoc struct {
	ID        string
	Version   int64
	Token     string
	Units     int64
	Orderable bool
	Total     struct{ Amount int64 }
	Lines     []struct {
		SKU           string
		Quantity      int64
		Gone          bool
		UnitPrice     *moneyDoc `json:"unit_price"`
		SeenUnitPrice *moneyDoc `json:"seen_unit_price"`
		PriceChange   string    `json:"price_change"`
	}
}

type moneyDoc struct {
	Amount   int64
	Currency string
}

// newCart makes a guest with a cart.
func (s *shopUnderTest) newCart(body string) (cart cartDoc, token header) {
	s.t.Helper()
	s.want(201, "POST", "/v1/carts", body).decode(s.t, &cart)
	return cart, bearer(cart.Token)
}

var document = func() *openapi3.T {
	data, err := os.ReadFile("internal/api/openapi.yaml")
	if err != nil {
		panic(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		panic(err)
	}
	return doc
}()

var pathParameter = regexp.MustCompile(`\\\{[a-z_]+\\\}`)

// operationOf finds the operation of the document for a request.
func operationOf(method, path string) *openapi3.Operation {
	var found *openapi3.Operation
	for pattern, item := range document.Paths.Map() {
		re := "^" + pathParameter.ReplaceAllString(regexp.QuoteMeta(pattern), `[^/]+`) + "$"
		if op := item.GetOperation(method); op != nil && regexp.MustCompile(re).MatchString(path) {
			if found == nil || !strings.Contains(pattern, "{") {
				found = op
			}
		}
	}
	return found
}

// checkAgainstDocument checks that an answer is one that the document promises.
func checkAgainstDocument(t testing.TB, req *http.Request, a *answer) {
	t.Helper()
	method := req.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op := operationOf(method, req.URL.EscapedPath())
	if op == nil || a.StatusCode == http.StatusMethodNotAllowed {
		return // 404 and 405
	}
	ref := op.Responses.Status(a.StatusCode)
	if ref == nil {
		t.Errorf("%s %s: status %d is not in the document: %s", method, req.URL, a.StatusCode, a.body)
		return
	}
	for name := range a.Header {
		switch name {
		case "Etag", "Location", "Link", "Preference-Applied", "Idempotent-Replayed", "Souk-As-Of":
			known := false
			for h := range ref.Value.Headers {
				known = known || http.CanonicalHeaderKey(h) == name
			}
			if !known {
				t.Errorf("%s %s: %d has %s, which the document does not", method, req.URL, a.StatusCode, name)
			}
		}
	}
	if len(a.body) == 0 || a.Header.Get("Content-Encoding") != "" {
		return
	}
	ct, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	media := ref.Value.Content.Get(ct)
	if media == nil {
		t.Errorf("%s %s: %d as %s is not in the document", method, req.URL, a.StatusCode, ct)
		return
	}
	if ct == "text/event-stream" || ct == "text/csv" {
		return
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(a.body))
	if err := dec.Decode(&v); err != nil {
		t.Errorf("%s %s: %v", method, req.URL, err)
		return
	}
	if err := media.Schema.Value.VisitJSON(v); err != nil {
		t.Errorf("%s %s: the body is not as documented: %v", method, req.URL, err)
	}
}
