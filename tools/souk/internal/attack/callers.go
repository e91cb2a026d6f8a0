package attack

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	chassisaccess "github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/access"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// callers are attacks on the services, from inside the shop's network.
var callers = []Attack{
	{
		Name: "grpc-plain-text", Would: "call services without saying who calls",
		Before: "ListOrders gave other people's orders; Refund and SetPrices worked", Now: "the connection is closed, with a line in the security log", Test: "TestStrangersGetNothing, TestTLS", try: grpcPlain,
	},
	{
		Name: "grpc-no-certificate", Would: "the same by TLS without a certificate",
		Before: "as above", Now: "the handshake fails", Test: "TestTLS, TestRefusedHandshakesAreInTheSecurityLog", try: grpcNoCertificate,
	},
	{
		Name: "grpc-other-authority", Would: "call as gateway.souk with a certificate of one's own making",
		Before: "as above", Now: "the handshake fails", Test: "TestStrangersGetNothing", try: grpcOtherAuthority,
	},
	{
		Name: "grpc-wrong-caller", Would: "a part that was taken over calls what it has no business with: the cart refunds",
		Before: "every method answered everybody", Now: "PERMISSION_DENIED for each method, and a line in the security log", Test: "TestEveryMethodKeepsItsRule, TestAnotherPartIsRefused", try: grpcWrongCaller,
	},
	{
		Name: "grpc-no-viewer", Would: "leave out for whom one asks, and see everybody's",
		Before: "an empty customer_id was the operator", Now: "INVALID_ARGUMENT", Test: "TestEveryMethodKeepsItsRule", try: grpcNoViewer,
	},
	{
		Name: "grpc-reflection", Would: "list all methods",
		Before: "reflection was on", Now: "UNIMPLEMENTED", Test: "TestReflectionIsOff", try: grpcReflection,
	},
}

// health asks a service whether it is well, with credentials.
func (t *target) health(ctx context.Context, part string, creds credentials.TransportCredentials) error {
	conn, err := grpc.NewClient(t.services[part], grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// strangers have no service answer with credentials.
func (t *target) strangers(ctx context.Context, creds credentials.TransportCredentials) outcome {
	if reason := t.noServices(false); reason != "" {
		return notTried("%s", reason)
	}
	for _, part := range t.parts() {
		if err := t.health(ctx, part, creds); status.Code(err) != codes.Unavailable {
			return broken("%s answers: %v", part, err)
		}
	}
	return held("%s do not talk to it", strings.Join(t.parts(), ", "))
}

func grpcPlain(ctx context.Context, t *target) outcome {
	return t.strangers(ctx, insecure.NewCredentials())
}

func grpcNoCertificate(ctx context.Context, t *target) outcome {
	return t.strangers(ctx, credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})) //nolint:gosec // an attacker
}

func grpcOtherAuthority(ctx context.Context, t *target) outcome {
	now := time.Now()
	ca, err := authority.New(now.Add(time.Hour))
	if err != nil {
		return notTried("%v", err)
	}
	text, err := ca.Issue("gateway", now, now.Add(time.Hour))
	if err != nil {
		return notTried("%v", err)
	}
	certificate, err := tls.X509KeyPair(text, text)
	if err != nil {
		return notTried("%v", err)
	}
	return t.strangers(ctx, credentials.NewTLS(&tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // an attacker
		// Also when the server says that it wants another authority.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
		VerifyConnection:     func(tls.ConnectionState) error { return nil },
		RootCAs:              x509.NewCertPool(),
	}))
}

// partOf is the part that serves a service of the contract: souk.cart.v1 is the cart's.
func partOf(service protoreflect.FullName) string {
	words := strings.Split(string(service), ".")
	return words[1]
}

// each calls every method that services at known addresses have, as a part that choose names.
func (t *target) each(ctx context.Context, choose func(*chassisaccess.Rule) (caller string, want codes.Code)) outcome {
	if reason := t.noServices(true); reason != "" {
		return notTried("%s", reason)
	}
	ids := map[string]*identity.Identity{}
	for _, part := range topology.Identities() {
		id, err := identity.Open(part, localshop.Identity(t.dir, part), telemetry.Discard())
		if err != nil {
			return notTried("the certificate of %s: %v", part, err)
		}
		ids[part] = id
	}
	n := 0
	var wrong []string
	for _, service := range access.Services() {
		rules, err := chassisaccess.Rules(service)
		if err != nil {
			return broken("%v", err)
		}
		part := partOf(service.FullName())
		for _, rule := range rules {
			for _, served := range t.parts() {
				if part != served && slices.Contains(t.parts(), part) {
					continue // of another part; what none is named by, such as answers, all have
				}
				caller, want := choose(rule)
				if caller == "" {
					continue
				}
				n++
				err := call(ctx, t.services[served], rule.Method, ids[caller].ClientCredentials(served))
				if code := status.Code(err); code != want && code != codes.Unimplemented {
					wrong = append(wrong, fmt.Sprintf("%s as %s: %v", rule.Method, caller, code))
				}
			}
		}
	}
	if len(wrong) > 0 {
		return broken("%d of %d calls: %s", len(wrong), n, strings.Join(wrong[:min(len(wrong), 5)], "; "))
	}
	return either(n > 0, "refused: %d calls of all methods", n)
}

// call calls a method with an empty message, which all of the contract's can be.
func call(ctx context.Context, address, method string, creds credentials.TransportCredentials) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return access.Call(ctx, conn, method)
}

func grpcWrongCaller(ctx context.Context, t *target) outcome {
	return t.each(ctx, func(r *chassisaccess.Rule) (string, codes.Code) {
		for _, part := range topology.Identities() {
			if !slices.Contains(r.Callers, part) {
				return part, codes.PermissionDenied
			}
		}
		return "", codes.OK
	})
}

func grpcNoViewer(ctx context.Context, t *target) outcome {
	return t.each(ctx, func(r *chassisaccess.Rule) (string, codes.Code) {
		if slices.Contains(r.Viewers, accessv1.ViewerKind_VIEWER_KIND_ANYONE) {
			return "", codes.OK
		}
		return r.Callers[0], codes.InvalidArgument
	})
}

func grpcReflection(ctx context.Context, t *target) outcome {
	if reason := t.noServices(true); reason != "" {
		return notTried("%s", reason)
	}
	id, err := identity.Open(topology.Ops, localshop.Identity(t.dir, topology.Ops), telemetry.Discard())
	if err != nil {
		return notTried("%v", err)
	}
	for _, part := range t.parts() {
		err := call(ctx, t.services[part], "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", id.ClientCredentials(part))
		if status.Code(err) != codes.Unimplemented {
			return broken("%s: %v", part, err)
		}
	}
	return held("%s have none", strings.Join(t.parts(), ", "))
}
