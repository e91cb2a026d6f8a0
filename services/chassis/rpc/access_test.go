package rpc

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// A server with a method that no rule says anything of does not start.
func TestAServerWithoutRulesDoesNotStart(t *testing.T) {
	t.Parallel()
	s, err := NewServer(ServerConfig{Listen: "127.0.0.1:0"}, ServerParts{Identity: identity.Insecure(), Telemetry: telemetry.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "souk.test.v1.Unruled", HandlerType: (*any)(nil)}, struct{}{})
	if err := s.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "souk.test.v1.Unruled") {
		t.Errorf("it served: %v", err)
	}
}

// A part that may not call gets nothing, of a stream neither, and the handler does not
// run; the security log has who it was.
func TestAnotherPartIsRefused(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	f := serveEcho(t, &echo{
		say:   failing(nil).say,
		watch: func(*moneyv1.Money, grpc.ServerStream) error { t.Error("the handler ran"); return nil },
	}, options{serverID: identitytest.Open(t, ca, "echo"), clientID: identitytest.Open(t, ca, "payment")})
	_, err := f.say(t.Context(), 1)
	if status.Code(err) != codes.PermissionDenied || Info(err).GetReason() != "CALLER_NOT_ALLOWED" {
		t.Errorf("unary: %v", err)
	}
	stream, err := f.watch(t.Context())
	if err == nil {
		err = stream.RecvMsg(new(moneyv1.Money))
	}
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("stream: %v", err)
	}
	for _, method := range []string{sayMethod, watchMethod} {
		line := `"subject":"` + method + `","caller":"payment"`
		if !strings.Contains(f.log.String(), line) {
			t.Errorf("no line of %s in the security log", method)
		}
	}
	if got := f.health(""); got == 0 {
		t.Error("health is refused, too")
	}
}

// Reflection is off unless it is asked for.
func TestReflectionIsOff(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		f := serveEcho(t, &echo{say: same}, options{server: ServerConfig{Reflection: on, DrainTimeout: time.Second}})
		if _, registered := f.server.GetServiceInfo()["grpc.reflection.v1.ServerReflection"]; registered != on {
			t.Errorf("reflection %v, want %v", registered, on)
		}
	}
}
