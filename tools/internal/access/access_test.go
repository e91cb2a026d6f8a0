package access_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	chassis "github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
	"github.com/souk-shop/souk/tools/internal/access"
	"github.com/souk-shop/souk/tools/internal/topology"
)

const root = "../../.."

func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := access.Document(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, access.File))
	if err != nil || string(got) != want {
		t.Errorf("%s is not current: go generate ./tools/internal/access (%v)", access.File, err)
	}
}

// Every service of the contract is in the document, also a new one.
func TestNoServiceIsLeftOut(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "proto/souk/*/v1/*.proto"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	declared := regexp.MustCompile(`(?m)^service (\w+)`)
	count := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		count += len(declared.FindAll(text, -1))
	}
	if got := len(access.Services()); got != count {
		t.Errorf("%d services of %d: import the new one in tools/internal/access", got, count)
	}
}

// has reports whether a line of a log has all parts.
func has(log *telemetrytest.Log, parts ...string) bool {
	for line := range strings.Lines(log.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			return true
		}
	}
	return false
}

func message(name protoreflect.FullName) proto.Message {
	m, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		panic(err)
	}
	return m.New().Interface()
}

// register serves a service whose methods answer with nothing.
func register(s *rpc.Server, d protoreflect.ServiceDescriptor) {
	desc := grpc.ServiceDesc{ServiceName: string(d.FullName()), HandlerType: (*any)(nil)}
	for i := range d.Methods().Len() {
		m := d.Methods().Get(i)
		full := "/" + string(d.FullName()) + "/" + string(m.Name())
		if m.IsStreamingServer() {
			desc.Streams = append(desc.Streams, grpc.StreamDesc{
				StreamName: string(m.Name()), ServerStreams: true,
				Handler: func(_ any, stream grpc.ServerStream) error { return stream.RecvMsg(message(m.Input().FullName())) },
			})
			continue
		}
		desc.Methods = append(desc.Methods, grpc.MethodDesc{
			MethodName: string(m.Name()),
			Handler: func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
				req := message(m.Input().FullName())
				if err := decode(req); err != nil {
					return nil, err
				}
				return intercept(ctx, req, &grpc.UnaryServerInfo{Server: srv, FullMethod: full}, func(context.Context, any) (any, error) {
					return message(m.Output().FullName()), nil
				})
			},
		})
	}
	s.RegisterService(&desc, struct{}{})
}

// viewers has one of each kind; a service names itself.
func viewers(caller string) map[accessv1.ViewerKind]*accessv1.Viewer {
	return map[accessv1.ViewerKind]*accessv1.Viewer{
		accessv1.ViewerKind_VIEWER_KIND_UNSPECIFIED: nil,
		accessv1.ViewerKind_VIEWER_KIND_ANYONE:      chassis.Anyone(),
		accessv1.ViewerKind_VIEWER_KIND_CUSTOMER:    chassis.Customer("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e"),
		accessv1.ViewerKind_VIEWER_KIND_OPERATOR:    chassis.Operator("ann"),
		accessv1.ViewerKind_VIEWER_KIND_SERVICE:     chassis.Service(caller),
	}
}

// call calls a method and returns its error.
func call(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, viewer *accessv1.Viewer) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, res := message(m.Input().FullName()), message(m.Output().FullName())
	if field := m.Input().Fields().ByName("viewer"); field != nil && viewer != nil {
		req.ProtoReflect().Set(field, protoreflect.ValueOfMessage(viewer.ProtoReflect()))
	}
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	if !m.IsStreamingServer() {
		return conn.Invoke(ctx, method, req, res)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(req), stream.CloseSend()); err != nil {
		return err
	}
	if err = stream.RecvMsg(res); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// passed reports that a call was let in: it reached the handler, or what is wrong are
// other fields of the empty request, which are looked at afterwards.
func passed(err error) bool {
	if status.Code(err) != codes.InvalidArgument {
		return err == nil
	}
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			return !slices.ContainsFunc(bad.GetFieldViolations(), func(v *errdetails.BadRequest_FieldViolation) bool { return v.GetField() == "viewer" })
		}
	}
	return false
}

// Every method, called by every part and for every kind of viewer: those of its rule are
// let in, and no other is.
func TestEveryMethodKeepsItsRule(t *testing.T) {
	t.Parallel()
	log := &telemetrytest.Log{}
	tel, err := telemetry.Start(t.Context(), "all", telemetry.Config{LogOutput: log})
	if err != nil {
		t.Fatal(err)
	}
	ca := identitytest.Authority(t)
	server, err := rpc.NewServer(rpc.ServerConfig{Listen: "127.0.0.1:0"}, rpc.ServerParts{Identity: identitytest.Open(t, ca, "catalog"), Telemetry: tel})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range access.Services() {
		register(server, d)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	parts := topology.Identities()
	conns := map[string]*grpc.ClientConn{}
	for _, part := range parts {
		conn, err := rpc.Dial("catalog", rpc.ClientConfig{Target: server.Addr().String()}, identitytest.Open(t, ca, part), telemetry.Discard())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns[part] = conn
	}
	for _, d := range access.Services() {
		rules, err := chassis.Rules(d)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rules {
			m := d.Methods().Get(i)
			public := len(r.Viewers) == 1 && r.Viewers[0] == accessv1.ViewerKind_VIEWER_KIND_ANYONE
			let, refused := 0, 0
			for _, part := range parts {
				for kind, viewer := range viewers(part) {
					err := call(t.Context(), conns[part], m, viewer)
					want := codes.OK
					switch {
					case !slices.Contains(r.Callers, part):
						want = codes.PermissionDenied
					case public || slices.Contains(r.Viewers, kind):
					case kind == accessv1.ViewerKind_VIEWER_KIND_UNSPECIFIED:
						want = codes.InvalidArgument
					default:
						want = codes.PermissionDenied
					}
					if want == codes.OK {
						let++
						if !passed(err) {
							t.Errorf("%s by %s for %s: %v", r.Method, part, kind, err)
						}
						continue
					}
					refused++
					if got := status.Code(err); got != want || passed(err) {
						t.Errorf("%s by %s for %s: %v, want %v", r.Method, part, kind, err, want)
					}
					if reason := rpc.Reason[errorv1.ErrorReason](err); reason == errorv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
						t.Errorf("%s by %s for %s is refused without a reason: %v", r.Method, part, kind, err)
					}
				}
			}
			if let == 0 || refused == 0 {
				t.Errorf("%s: %d calls were let in, %d refused", r.Method, let, refused)
			}
			if !has(log, `"event":"authz_fail"`, `"subject":"`+r.Method+`"`, `"caller":`) {
				t.Errorf("%s: no line in the security log", r.Method)
			}
		}
	}
}
