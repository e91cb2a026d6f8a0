package payment_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/rpc"
	chassis "github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/payment"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 30 * time.Second

// service is a running payment service whose provider is a handler.
type service struct {
	paymentv1.PaymentServiceClient
	conn *grpc.ClientConn
	dsn  string       // a superuser's
	stop func() error // returns what Run returned
}

func start(t *testing.T, db pgtest.Database, provider http.HandlerFunc, spans ...sdktrace.SpanProcessor) *service {
	t.Helper()
	return startWith(t, db, provider, func(cfg *payment.Config) { cfg.Telemetry.SpanProcessors = spans })
}

// startWith is start with a configuration that change has changed.
func startWith(t *testing.T, db pgtest.Database, provider http.HandlerFunc, change func(*payment.Config)) *service {
	t.Helper()
	front := httptest.NewServer(provider)
	t.Cleanup(front.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	cfg := payment.Config{
		Config: chassis.Config{
			Server: rpc.ServerConfig{Listener: l}, Identity: identity.Config{TLSOff: true}, Postgres: db.Config, Migrate: true,
			Telemetry: telemetry.Config{LogOutput: io.Discard},
		},
		StripeURL: front.URL, StripeKey: "sk_test_1",
	}
	change(&cfg)
	go func() { ended <- payment.Run(ctx, cfg) }()
	s := &service{dsn: db.DSN, stop: sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("Run does not end")
		}
	})}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if s.conn, err = rpc.Dial("payment", rpc.ClientConfig{Target: l.Addr().String(), Timeout: patience}, identity.Insecure(), telemetry.Discard()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	s.PaymentServiceClient = paymentv1.NewPaymentServiceClient(s.conn)
	return s
}

// ready waits until health says so.
func (s *service) ready(t *testing.T) *service {
	t.Helper()
	until(t, "the service is ready", func() bool {
		r, err := healthpb.NewHealthClient(s.conn).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err == nil && r.GetStatus() == healthpb.HealthCheckResponse_SERVING
	})
	return s
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

func authorize(order string) *paymentv1.AuthorizeRequest {
	return &paymentv1.AuthorizeRequest{
		Viewer:  access.Service("order"),
		OrderId: order, Amount: &moneyv1.Money{MinorUnits: 1250, Currency: "GBP"}, PaymentMethod: "pm_card_visa",
	}
}

// holds answers every request with an authorization.
func holds(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"id":"pi_1","object":"payment_intent","amount":1250,"amount_capturable":1250,"currency":"gbp","status":"requires_capture"}`)
}

func (s *service) state(t *testing.T, order string) paymentv1.AttemptState {
	t.Helper()
	p, err := s.GetPayment(t.Context(), &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order})
	if err != nil {
		t.Fatal(err)
	}
	return p.GetPayment().GetState()
}

// TestACallerThatGoesAway asks, leaves before the provider answers, and finds
// the answer written when it comes back, even though the service stopped.
func TestACallerThatGoesAway(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	on := pgtest.Service(t, nil)
	s := start(t, on, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-answer
		holds(w, r)
	}).ready(t)
	order := id()
	ctx, leave := context.WithCancel(t.Context())
	returned := make(chan error, 1)
	go func() {
		_, err := s.Authorize(ctx, authorize(order))
		returned <- err
	}()
	<-asked
	leave()
	if err := <-returned; status.Code(err) != codes.Canceled {
		t.Errorf("the caller got %v", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	select {
	case err := <-stopped:
		t.Fatalf("stopped while the provider was asked: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(answer)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	again := start(t, on, func(http.ResponseWriter, *http.Request) { t.Error("asked again") }).ready(t)
	if state := again.state(t, order); state != paymentv1.AttemptState_ATTEMPT_STATE_AUTHORIZED {
		t.Errorf("state %v", state)
	}
}

// TestADeadlineIsAnUnknownOutcome lets the caller's time run out.
func TestADeadlineIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := start(t, pgtest.Service(t, nil), func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(time.Second):
		}
	}).ready(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	order := id()
	_, err := s.Authorize(ctx, authorize(order))
	if c := status.Code(err); c != codes.DeadlineExceeded && c != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	if state := s.state(t, order); state != paymentv1.AttemptState_ATTEMPT_STATE_SENT {
		t.Errorf("state %v", state)
	}
}

// TestPastTheKeysWindow finds attempts of yesterday: the provider has forgotten
// their keys, and asking again could hold the money twice.
func TestPastTheKeysWindow(t *testing.T) {
	t.Parallel()
	calls := make(chan string, 100)
	fail := func(w http.ResponseWriter, r *http.Request) {
		calls <- r.URL.Path
		w.WriteHeader(http.StatusBadGateway)
	}
	s := start(t, pgtest.Service(t, nil), fail).ready(t)
	db, err := pgx.Connect(t.Context(), s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	unknown := func(what string, err error) {
		t.Helper()
		if rpc.Info(err).GetReason() != "OUTCOME_UNKNOWN" || status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	for name, command := range map[string]func(order string) error{
		"authorize": func(order string) error { _, err := s.Authorize(t.Context(), authorize(order)); return err },
		"cancel": func(order string) error {
			_, err := s.Cancel(t.Context(), &paymentv1.CancelRequest{Viewer: access.Service("order"), OrderId: order})
			return err
		},
	} {
		order := id()
		_, err := s.Authorize(t.Context(), authorize(order))
		unknown("first", err)
		unknown(name+" within the window", command(order))
		if _, err := db.Exec(t.Context(), "UPDATE attempts SET created_at = now() - interval '22 hours 1 minute' WHERE order_id = $1", order); err != nil {
			t.Fatal(err)
		}
		before := len(calls)
		for range 2 {
			unknown(name, command(order))
		}
		if len(calls) != before {
			t.Errorf("%s: the provider was asked", name)
		}
		if state := s.state(t, order); state != paymentv1.AttemptState_ATTEMPT_STATE_NEEDS_REVIEW {
			t.Errorf("%s: state %v", name, state)
		}
	}
}

// TestStartsBeforeItsDatabase starts without one: alive, not ready, and ready
// once it is there.
func TestStartsBeforeItsDatabase(t *testing.T) {
	t.Parallel()
	s := start(t, pgtest.Database{Config: pg.Config{DSN: "postgres://nobody@127.0.0.1:1/nothing"}}, holds)
	health := healthpb.NewHealthClient(s.conn)
	r, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "liveness"}, grpc.WaitForReady(true))
	if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("liveness: %v %v", r, err)
	}
	if r, err = health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("readiness: %v %v", r, err)
	}
	if _, err := s.Authorize(t.Context(), authorize(id())); status.Code(err) != codes.Unavailable || rpc.Info(err).GetReason() == "OUTCOME_UNKNOWN" {
		t.Errorf("authorize: %v", err)
	}
}

// TestOneTrace follows a command from the call to the provider's.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	parents := make(chan string, 1)
	s := start(t, pgtest.Service(t, nil), func(w http.ResponseWriter, r *http.Request) {
		parents <- r.Header.Get("Traceparent")
		holds(w, r)
	}, spans).ready(t)
	if _, err := s.Authorize(t.Context(), authorize(id())); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(<-parents, "-")
	trace, _, _ := strings.Cut(rest, "-")
	kinds := map[string]bool{}
	until(t, "the call's span", func() bool {
		for _, span := range spans.Ended() {
			if span.SpanContext().TraceID().String() != trace {
				continue
			}
			switch {
			case span.SpanKind().String() == "server":
				kinds["grpc"] = true
			case strings.Contains(span.InstrumentationScope().Name, "otelhttp"):
				kinds["http"] = true
			case strings.Contains(span.InstrumentationScope().Name, "pgx"):
				kinds["sql"] = true
			}
		}
		return len(kinds) == 3
	})
}

// TestReadsDoNotWaitForCommands: while every connection of the commands waits for a
// row that is locked, payments and reconciliations are shown.
func TestReadsDoNotWaitForCommands(t *testing.T) {
	t.Parallel()
	s := startWith(t, pgtest.Service(t, nil), holds, func(cfg *payment.Config) {
		cfg.Postgres.MaxConns, cfg.Postgres.LockTimeout = 1, patience
	}).ready(t)
	order := id()
	if _, err := s.Authorize(t.Context(), authorize(order)); err != nil {
		t.Fatal(err)
	}
	db := database(t, s.dsn)
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scan[string](t, db, "SELECT state FROM attempts WHERE order_id = $1 FOR UPDATE", order)
	captured := make(chan error, 1)
	go func() {
		_, err := s.Capture(t.Context(), &paymentv1.CaptureRequest{Viewer: access.Service("order"), OrderId: order, Amount: authorize(order).GetAmount()})
		captured <- err
	}()
	watch := database(t, s.dsn)
	until(t, "a command waits for the lock", func() bool {
		return scan[int](t, watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == 1
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if p, err := s.GetPayment(ctx, &paymentv1.GetPaymentRequest{Viewer: access.Operator("ann"), OrderId: order}); err != nil || p.GetPayment().GetState() != paymentv1.AttemptState_ATTEMPT_STATE_AUTHORIZED {
		t.Errorf("payment: %v %v", p, err)
	}
	if _, err := s.GetReconciliation(ctx, &paymentv1.GetReconciliationRequest{Viewer: access.Operator("ann"), ReconciliationId: id()}); status.Code(err) != codes.NotFound {
		t.Errorf("reconciliation: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-captured; status.Code(err) == codes.DeadlineExceeded {
		t.Errorf("capture: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]payment.Config{
		"no key":      {StripeURL: "http://127.0.0.1:1"},
		"no URL":      {StripeURL: "stripe", StripeKey: "sk_test_1"},
		"crash point": {StripeURL: "http://127.0.0.1:1", StripeKey: "sk_test_1", Config: chassis.Config{CrashAt: "nowhere"}},
	} {
		cfg.Telemetry.LogOutput = io.Discard
		if err := payment.Run(t.Context(), cfg); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
