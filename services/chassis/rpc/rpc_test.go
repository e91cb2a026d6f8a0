package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"

	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
)

var errNotFound = errors.New("order not found")

// shortage is a domain error with metadata and details.
type shortage struct{ sku string }

var errShortage = errors.New("not enough stock")

func (e *shortage) Error() string                    { return "not enough of " + e.sku }
func (e *shortage) Is(target error) bool             { return target == errShortage }
func (e *shortage) ErrorMetadata() map[string]string { return map[string]string{"sku": e.sku} }
func (e *shortage) ErrorDetails() []proto.Message {
	return []proto.Message{&moneyv1.Money{MinorUnits: 7, Currency: "GBP"}}
}

func TestErrorTable(t *testing.T) {
	t.Parallel()
	_, refused := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:1")
	_, noDatabase := pgx.Connect(t.Context(), "postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable")
	neighbor := func(code codes.Code) error {
		return fmt.Errorf("ask catalog: %w", &CallError{"/souk.catalog.v1.CatalogService/GetProduct", status.Error(code, "secret of catalog")})
	}
	table := rules(
		Rule{errNotFound, orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND},
		Rule{errShortage, catalogv1.ErrorReason_ERROR_REASON_INSUFFICIENT_STOCK},
	)
	for name, test := range map[string]struct {
		err     error
		code    codes.Code
		reason  string
		message string
	}{
		"domain error":         {fmt.Errorf("load order 7: %w", errNotFound), codes.NotFound, "ORDER_NOT_FOUND", "order not found"},
		"typed":                {fmt.Errorf("reserve: %w", &shortage{"85123A"}), codes.FailedPrecondition, "INSUFFICIENT_STOCK", "not enough of 85123A"},
		"joined":               {errors.Join(errors.New("other"), errNotFound), codes.NotFound, "ORDER_NOT_FOUND", "order not found"},
		"unknown":              {errors.New(`pq: relation "orders" does not exist`), codes.Internal, "", "internal error"},
		"row not found":        {pgx.ErrNoRows, codes.Internal, "", "internal error"},
		"deadline":             {fmt.Errorf("query: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "", "deadline exceeded"},
		"canceled":             {fmt.Errorf("query: %w", context.Canceled), codes.Canceled, "", "canceled"},
		"no database":          {fmt.Errorf("load: %w", noDatabase), codes.Unavailable, "UNAVAILABLE", "temporarily unavailable"},
		"connection refused":   {refused, codes.Unavailable, "UNAVAILABLE", "temporarily unavailable"},
		"neighbor away":        {neighbor(codes.Unavailable), codes.Unavailable, "UNAVAILABLE", "temporarily unavailable"},
		"neighbor slow":        {neighbor(codes.DeadlineExceeded), codes.DeadlineExceeded, "", "deadline exceeded"},
		"neighbor's not found": {neighbor(codes.NotFound), codes.Internal, "", "internal error"},
		"neighbor's fault":     {neighbor(codes.Internal), codes.Internal, "", "internal error"},
		"own status":           {status.Error(codes.InvalidArgument, "bad cursor"), codes.InvalidArgument, "", "bad cursor"},
		"own internal status":  {status.Error(codes.Internal, "secret"), codes.Internal, "", "internal error"},
		"own OK status":        {errors.Join(status.Error(codes.Unknown, "secret")), codes.Internal, "", "internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serveEcho(t, failing(test.err), options{errs: table})
			stream, err := f.watch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, unary := f.say(t.Context(), 1)
			for kind, err := range map[string]error{"unary": unary, "stream": stream.RecvMsg(new(moneyv1.Money))} {
				call, _ := errors.AsType[*CallError](err)
				st := status.Convert(call.Err)
				if st.Code() != test.code || st.Message() != test.message || Info(err).GetReason() != test.reason {
					t.Errorf("%s: %v, reason %q", kind, st, Info(err).GetReason())
				}
				domain := map[string]string{"ORDER_NOT_FOUND": "order.souk", "INSUFFICIENT_STOCK": "catalog.souk", "UNAVAILABLE": "souk"}[test.reason]
				if Info(err).GetDomain() != domain {
					t.Errorf("%s: domain %q", kind, Info(err).GetDomain())
				}
				if strings.Contains(fmt.Sprint(st.Proto()), "secret") || strings.Contains(fmt.Sprint(st.Proto()), "hunter2") {
					t.Errorf("%s leaks: %v", kind, st.Proto())
				}
			}
			// Whole in the log, at the right level.
			level := "DEBUG"
			switch test.code {
			case codes.Internal:
				level = "ERROR"
			case codes.Unavailable, codes.DeadlineExceeded:
				level = "WARN"
			}
			line := callLine(t, f.log.String())
			if line.Level != level || line.Error != test.err.Error() || line.Method != sayMethod && line.Method != watchMethod {
				t.Errorf("logged %+v", line)
			}
		})
	}
}

type logLine struct {
	Level, Msg, Method, Code, Error, Stack string
	TraceID                                string `json:"trace_id"`
}

// callLine returns the last line about a call.
func callLine(t *testing.T, log string) (found logLine) {
	t.Helper()
	for line := range strings.Lines(log) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if l.Msg == "call" {
			found = l
		}
	}
	return found
}

func TestErrorDetailsReachTheClient(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, failing(&shortage{"85123A"}), options{errs: rules(Rule{errShortage, catalogv1.ErrorReason_ERROR_REASON_INSUFFICIENT_STOCK})})
	_, err := f.say(t.Context(), 1)
	if got := Info(err).GetMetadata()["sku"]; got != "85123A" {
		t.Errorf("metadata %v", Info(err).GetMetadata())
	}
	if m, ok := Detail[*moneyv1.Money](err); !ok || m.GetMinorUnits() != 7 {
		t.Errorf("detail %v, %v", m, ok)
	}
	if _, ok := Detail[*errdetails.BadRequest](err); ok {
		t.Error("a detail that was not sent")
	}
	if Info(nil) != nil || Info(errors.New("x")) != nil || Reason[orderv1.ErrorReason](nil) != 0 {
		t.Error("details of no status")
	}
}

func TestInvalidRequestsDoNotReachTheHandler(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{
		say:   func(context.Context, *moneyv1.Money) (*moneyv1.Money, error) { panic("reached") },
		watch: func(*moneyv1.Money, grpc.ServerStream) error { panic("reached") },
	}, options{errs: rules()})
	unary := f.conn.Invoke(t.Context(), sayMethod, &moneyv1.Money{Currency: "pounds"}, new(moneyv1.Money))
	stream, err := f.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, watchMethod)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stream.SendMsg(&moneyv1.Money{Currency: "pounds"}), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	for kind, err := range map[string]error{"unary": unary, "stream": stream.RecvMsg(new(moneyv1.Money))} {
		bad, _ := Detail[*errdetails.BadRequest](err)
		if status.Code(err) != codes.InvalidArgument || Info(err).GetReason() != "INVALID" || len(bad.GetFieldViolations()) != 1 {
			t.Errorf("%s: %v, %v", kind, err, bad)
			continue
		}
		if v := bad.GetFieldViolations()[0]; v.GetField() != "currency" || v.GetReason() != "STRING_PATTERN" || v.GetDescription() == "" {
			t.Errorf("%s: %v", kind, v)
		}
	}
}

func TestPanicIsAnInternalErrorAndTheServerGoesOn(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{
		say: func(_ context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
			if m.GetMinorUnits() == 13 {
				panic("unlucky")
			}
			return m, nil
		},
		watch: func(*moneyv1.Money, grpc.ServerStream) error { panic("unlucky") },
	}, options{})
	if _, err := f.say(t.Context(), 13); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "unlucky") {
		t.Errorf("unary: %v", err)
	}
	line := callLine(t, f.log.String())
	if line.Level != "ERROR" || line.Error != "panic: unlucky" || !strings.Contains(line.Stack, "rpc_test.go") {
		t.Errorf("logged %+v", line)
	}
	stream, err := f.watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(moneyv1.Money)); status.Code(err) != codes.Internal {
		t.Errorf("stream: %v", err)
	}
	if _, err := f.say(t.Context(), 1); err != nil {
		t.Errorf("after the panics: %v", err)
	}
}

func TestDeadlineShrinksByTheHop(t *testing.T) {
	t.Parallel()
	var left time.Duration
	var has bool
	f := serveEcho(t, &echo{say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
		var deadline time.Time
		deadline, has = ctx.Deadline()
		left = time.Until(deadline)
		return m, nil
	}}, options{client: ClientConfig{Timeout: 3 * time.Second}})

	deadline := time.Now().Add(time.Minute)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	if _, err := f.say(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if left > time.Until(deadline)-deadlineShave+5*time.Second || left > time.Minute-deadlineShave || left < 50*time.Second {
		t.Errorf("the callee has %v", left)
	}
	// No deadline: the client's own.
	if _, err := f.say(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if !has || left > 3*time.Second-deadlineShave || left < time.Second {
		t.Errorf("by default the callee has %v", left)
	}
}

func TestWorkThatCannotBeDoneInTimeIsRefused(t *testing.T) {
	t.Parallel()
	reached := false
	f := serveEcho(t, &echo{say: func(_ context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
		reached = true
		return m, nil
	}}, options{})
	if _, err := f.say(t.Context(), 1); err != nil { // connected
		t.Fatal(err)
	}
	reached = false
	ctx, cancel := context.WithTimeout(t.Context(), minDeadline-5*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := f.say(ctx, 1)
	if status.Code(err) != codes.DeadlineExceeded || reached {
		t.Errorf("got %v after %v, reached %v", err, time.Since(started), reached)
	}
}

func TestTheCalleeReportsItsTimeoutItself(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("query: %w", ctx.Err())
	}}, options{})
	if _, err := f.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, watchMethod); err != nil { // connected
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := f.say(ctx, 1); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	eventually(t, "the callee logs its timeout", func() bool {
		line := callLine(t, f.log.String())
		return line.Code == "DeadlineExceeded" && line.Level == "WARN" && line.Error == "query: context deadline exceeded"
	})
}

func TestTooLargeARequestIsRefused(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{say: same}, options{server: ServerConfig{MaxRecvBytes: 1 << 10}})
	err := f.conn.Invoke(t.Context(), sayMethod, &moneyv1.Money{Currency: strings.Repeat("A", 2<<10)}, new(moneyv1.Money))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

func TestNeighborThatIsAwayFailsFast(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lis.Close()
	f := serveEcho(t, &echo{say: same}, options{client: ClientConfig{Target: lis.Addr().String()}})
	if _, err := f.say(t.Context(), 1); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestClientReconnectsSoonAfterItsServerIsBack(t *testing.T) {
	t.Parallel()
	// Another process may take the port while nobody listens there: then once more.
	for range 20 {
		f := serveEcho(t, &echo{say: same}, options{})
		if _, err := f.say(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		address := f.server.Addr().String()
		f.stop()
		<-f.served
		eventually(t, "calls fail", func() bool { _, err := f.say(t.Context(), 1); return status.Code(err) == codes.Unavailable })
		lis, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		reconnects(t, f, lis)
		return
	}
	t.Error("every port was taken meanwhile")
}

// reconnects serves f's client anew on lis, which has the address it knows.
func reconnects(t *testing.T, f *fixture, lis net.Listener) {
	t.Helper()
	again, err := NewServer(ServerConfig{Listener: lis}, ServerParts{Identity: identity.Insecure(), Telemetry: f.tel})
	if err != nil {
		t.Fatal(err)
	}
	again.RegisterService(&echoDesc, &echo{say: same})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- again.Serve(ctx) }()
	defer func() { cancel(); <-served }()
	back := time.Now()
	eventually(t, "calls succeed", func() bool { _, err := f.say(t.Context(), 1); return err == nil })
	if took := time.Since(back); took > 3*time.Second {
		t.Errorf("reconnected only after %v", took)
	}
}
