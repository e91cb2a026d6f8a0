package rpc

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

// echo is a service of the tests' own. Its message, money, has a rule: the
// currency is three upper-case letters.
type echo struct {
	say   func(context.Context, *moneyv1.Money) (*moneyv1.Money, error)
	watch func(*moneyv1.Money, grpc.ServerStream) error
}

type echoServer interface{}

var echoDesc = grpc.ServiceDesc{
	ServiceName: "souk.test.v1.EchoService",
	HandlerType: (*echoServer)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Say",
		Handler: func(srv any, ctx context.Context, dec func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			req := new(moneyv1.Money)
			if err := dec(req); err != nil {
				return nil, err
			}
			return intercept(ctx, req, &grpc.UnaryServerInfo{Server: srv, FullMethod: sayMethod},
				func(ctx context.Context, req any) (any, error) {
					return srv.(*echo).say(ctx, req.(*moneyv1.Money))
				})
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName:    "Watch",
		ServerStreams: true,
		Handler: func(srv any, stream grpc.ServerStream) error {
			req := new(moneyv1.Money)
			if err := stream.RecvMsg(req); err != nil {
				return err
			}
			return srv.(*echo).watch(req, stream)
		},
	}},
}

// The rule of the echo's methods, as a contract would have it: anyone's, called by the
// parts that tests are.
func init() { //nolint:gochecknoinits // once, before any test serves it
	options := &descriptorpb.MethodOptions{}
	proto.SetExtension(options, accessv1.E_Rule, &accessv1.Rule{
		Callers: []string{"gateway", "order", "cart"}, Viewers: []accessv1.ViewerKind{accessv1.ViewerKind_VIEWER_KIND_ANYONE},
	})
	money := string((*moneyv1.Money)(nil).ProtoReflect().Descriptor().FullName())
	method := func(name string, stream bool) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: new("." + money), OutputType: new("." + money), ServerStreaming: &stream, Options: options,
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("souk/test/v1/echo.proto"), Package: new("souk.test.v1"), Syntax: new("proto3"),
		Dependency: []string{moneyv1.File_souk_money_v1_money_proto.Path()},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("EchoService"), Method: []*descriptorpb.MethodDescriptorProto{method("Say", false), method("Watch", true)},
		}},
	}, protoregistry.GlobalFiles)
	if err == nil {
		err = protoregistry.GlobalFiles.RegisterFile(file)
	}
	if err != nil {
		panic(err)
	}
}

const (
	sayMethod   = "/souk.test.v1.EchoService/Say"
	watchMethod = "/souk.test.v1.EchoService/Watch"
)

// fixture is a running server and a client of it.
type fixture struct {
	t      testing.TB
	tel    *telemetry.Telemetry
	log    *telemetrytest.Log
	server *Server
	conn   *grpc.ClientConn
	stop   context.CancelFunc // begins to stop the server
	served chan error         // what Serve returned
}

type options struct {
	serverID  *identity.Identity // without TLS when nil
	clientID  *identity.Identity
	server    ServerConfig
	client    ClientConfig
	errs      ErrorTable
	gain      func(context.Context)
	checks    []Check
	guard     Guard
	telemetry telemetry.Config
	interval  time.Duration // of health checks
}

func serveEcho(t testing.TB, service *echo, opts options) *fixture {
	t.Helper()
	f := &fixture{t: t, log: &telemetrytest.Log{}, served: make(chan error, 1)}
	opts.telemetry.LogOutput = f.log
	if opts.telemetry.LogLevel == 0 {
		opts.telemetry.LogLevel = slog.LevelDebug
	}
	tel, err := telemetry.Start(t.Context(), "echo", opts.telemetry)
	if err != nil {
		t.Fatal(err)
	}
	f.tel = tel
	opts.server.Listen = "127.0.0.1:0"
	for _, id := range []**identity.Identity{&opts.serverID, &opts.clientID} {
		if *id == nil {
			*id = identity.Insecure()
		}
	}
	if f.server, err = NewServer(opts.server, ServerParts{
		Identity: opts.serverID, Telemetry: tel, Errors: opts.errs, Checks: opts.checks, Gain: opts.gain, Guard: opts.guard,
	}); err != nil {
		t.Fatal(err)
	}
	if opts.interval > 0 {
		f.server.monitor.interval = opts.interval
	}
	f.server.RegisterService(&echoDesc, service)
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	go func() {
		f.served <- f.server.Serve(ctx)
		close(f.served)
	}()
	if opts.client.Target == "" {
		opts.client.Target = f.server.Addr().String()
	}
	if f.conn, err = Dial("echo", opts.client, opts.clientID, tel); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.conn.Close()
		cancel()
		for err := range f.served {
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
		_ = tel.Shutdown(context.Background())
	})
	return f
}

func (f *fixture) say(ctx context.Context, units int64) (*moneyv1.Money, error) {
	out := new(moneyv1.Money)
	err := f.conn.Invoke(ctx, sayMethod, &moneyv1.Money{MinorUnits: units, Currency: "GBP"}, out)
	return out, err
}

func (f *fixture) watch(ctx context.Context) (grpc.ClientStream, error) {
	stream, err := f.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, watchMethod)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(&moneyv1.Money{Currency: "GBP"}); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}

// health asks the server, without waiting for anything.
func (f *fixture) health(service string) healthpb.HealthCheckResponse_ServingStatus {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	resp, err := healthpb.NewHealthClient(f.conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	if err != nil {
		f.t.Fatalf("health of %q: %v", service, err)
	}
	return resp.GetStatus()
}

func (f *fixture) awaitHealth(service string, want healthpb.HealthCheckResponse_ServingStatus) {
	f.t.Helper()
	eventually(f.t, service+" is "+want.String(), func() bool { return f.health(service) == want })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("never: " + what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// same answers what it was asked.
func same(_ context.Context, m *moneyv1.Money) (*moneyv1.Money, error) { return m, nil }

func rules(rules ...Rule) ErrorTable { return rules }

func failing(err error) *echo {
	return &echo{
		say:   func(context.Context, *moneyv1.Money) (*moneyv1.Money, error) { return nil, err },
		watch: func(*moneyv1.Money, grpc.ServerStream) error { return err },
	}
}
