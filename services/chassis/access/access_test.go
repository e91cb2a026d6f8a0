package access

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
)

const begin = "/souk.answer.v1.AnswerService/Begin"

func answers(tb testing.TB) Table {
	tb.Helper()
	t, err := NewTable(map[string]grpc.ServiceInfo{
		"souk.answer.v1.AnswerService": {},
		"grpc.health.v1.Health":        {Methods: []grpc.MethodInfo{{Name: "Check"}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := answers(t)
	for name, tc := range map[string]struct {
		method, caller string
		viewer         *accessv1.Viewer
		want           errorv1.ErrorReason
		field          string
	}{
		"the gateway for itself":         {begin, "gateway", Service("gateway"), 0, ""},
		"health":                         {"/grpc.health.v1.Health/Check", "catalog", nil, 0, ""},
		"another part":                   {begin, "cart", Service("cart"), errorv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED, ""},
		"a part without a name":          {begin, "", Service("gateway"), errorv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED, ""},
		"a method without a rule":        {begin + "2", "gateway", Service("gateway"), errorv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED, ""},
		"no viewer":                      {begin, "gateway", nil, errorv1.ErrorReason_ERROR_REASON_INVALID, "viewer"},
		"a viewer of no kind":            {begin, "gateway", &accessv1.Viewer{}, errorv1.ErrorReason_ERROR_REASON_INVALID, "viewer"},
		"an operator":                    {begin, "gateway", Operator("ann"), errorv1.ErrorReason_ERROR_REASON_VIEWER_NOT_ALLOWED, "viewer"},
		"in the name of another service": {begin, "gateway", Service("order"), errorv1.ErrorReason_ERROR_REASON_VIEWER_NOT_ALLOWED, "viewer.service.name"},
	} {
		err := errors.Join(table.Caller(tc.method, tc.caller), table.Viewer(tc.method, tc.caller, &answerv1.BeginRequest{Viewer: tc.viewer}))
		refused, ok := errors.AsType[*Refusal](err)
		if tc.want == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !ok || refused.Reason != tc.want || refused.Field != tc.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Where certificates are not checked, a service still is one that may call.
	for part, allowed := range map[string]bool{"gateway": true, "order": false} {
		if err := table.Viewer(begin, "", &answerv1.BeginRequest{Viewer: Service(part)}); (err == nil) != allowed {
			t.Errorf("%s without certificates: %v", part, err)
		}
	}
}

// service is one with a single method of a rule.
func service(t *testing.T, rule *accessv1.Rule, request protoreflect.FullName) protoreflect.ServiceDescriptor {
	t.Helper()
	options := &descriptorpb.MethodOptions{}
	if rule != nil {
		proto.SetExtension(options, accessv1.E_Rule, rule)
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("test.proto"), Package: new("test"), Syntax: new("proto3"),
		Dependency: []string{moneyv1.File_souk_money_v1_money_proto.Path(), answerv1.File_souk_answer_v1_answer_proto.Path()},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("S"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: new("M"), InputType: new("." + string(request)), OutputType: new(".souk.money.v1.Money"), Options: options,
		}}}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Services().Get(0)
}

func TestRulesThatCannotBeKept(t *testing.T) {
	t.Parallel()
	const money, viewed = "souk.money.v1.Money", "souk.answer.v1.BeginRequest"
	customer := []accessv1.ViewerKind{accessv1.ViewerKind_VIEWER_KIND_CUSTOMER}
	for name, tc := range map[string]struct {
		rule    *accessv1.Rule
		request protoreflect.FullName
		want    string
	}{
		"no rule":           {nil, viewed, "has no rule"},
		"no callers":        {&accessv1.Rule{Viewers: customer}, viewed, "without callers"},
		"no viewers":        {&accessv1.Rule{Callers: []string{"gateway"}}, viewed, "without kinds of viewer"},
		"no field":          {&accessv1.Rule{Callers: []string{"gateway"}, Viewers: customer}, money, "no field viewer"},
		"a rule":            {&accessv1.Rule{Callers: []string{"gateway"}, Viewers: customer}, viewed, ""},
		"a rule for anyone": {&accessv1.Rule{Callers: []string{"gateway"}, Viewers: []accessv1.ViewerKind{accessv1.ViewerKind_VIEWER_KIND_ANYONE}}, money, ""},
	} {
		_, err := Rules(service(t, tc.rule, tc.request))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if _, err := NewTable(map[string]grpc.ServiceInfo{"souk.test.v1.Unknown": {}}); err == nil {
		t.Error("a service without a contract has a table")
	}
}

// BenchmarkCheck is what the two checks cost a call that may be made.
func BenchmarkCheck(b *testing.B) {
	table, req := answers(b), &answerv1.BeginRequest{Viewer: Service("gateway")}
	b.ReportAllocs()
	for b.Loop() {
		if table.Caller(begin, "gateway") != nil || table.Viewer(begin, "gateway", req) != nil {
			b.Fatal("refused")
		}
	}
}
