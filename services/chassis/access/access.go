// Package access enforces who may call a method, and for whom: the rules that the
// contract gives each method (souk.access.v1.rule). The part that calls is the one in
// its certificate, the viewer is a field of the request.
package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
)

// open are the services, not of the shop, that every part may call: health, and what a
// developer turns on. They say and do nothing that concerns a customer.
var open = []string{"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}

// Table has the rules of a server's methods. Safe for concurrent use.
type Table map[string]*Rule // by full method, "/souk.order.v1.OrderService/GetOrder"

// Rule says who may call a method, and for whom.
type Rule struct {
	// Method is the full method.
	Method string
	// Callers are the parts that may call.
	Callers []string
	// Viewers are the kinds of viewer that it is answered to.
	Viewers []accessv1.ViewerKind

	kinds uint8 // the bits of Viewers
	open  bool  // it is of one of the open services
}

// NewTable returns the rules of the services that a server has registered. It fails for a
// method without a rule, or with one that cannot be kept.
func NewTable(services map[string]grpc.ServiceInfo) (Table, error) {
	t := Table{}
	var errs []error
	for name, info := range services {
		if slices.Contains(open, name) {
			for _, m := range info.Methods {
				method := "/" + name + "/" + m.Name
				t[method] = &Rule{Method: method, open: true}
			}
			continue
		}
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			errs = append(errs, fmt.Errorf("access: service %s: %w", name, err))
			continue
		}
		rules, err := Rules(d.(protoreflect.ServiceDescriptor))
		errs = append(errs, err)
		for _, r := range rules {
			t[r.Method] = r
		}
	}
	return t, errors.Join(errs...)
}

// Rules returns the rules of a service's methods, in the contract's order.
func Rules(service protoreflect.ServiceDescriptor) ([]*Rule, error) {
	var rules []*Rule
	var errs []error
	for i := range service.Methods().Len() {
		r, err := ruleOf(service.Methods().Get(i))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rules = append(rules, r)
	}
	return rules, errors.Join(errs...)
}

func ruleOf(m protoreflect.MethodDescriptor) (*Rule, error) {
	option, _ := proto.GetExtension(m.Options(), accessv1.E_Rule).(*accessv1.Rule)
	r := &Rule{
		Method:  "/" + string(m.Parent().FullName()) + "/" + string(m.Name()),
		Callers: option.GetCallers(), Viewers: option.GetViewers(),
	}
	for _, kind := range r.Viewers {
		r.kinds |= bit(kind)
	}
	field := m.Input().Fields().ByName("viewer")
	var complaint string
	switch {
	case option == nil:
		complaint = "has no rule (souk.access.v1.rule)"
	case len(r.Callers) == 0 || slices.Contains(r.Callers, ""):
		complaint = "has a rule without callers"
	case r.kinds == 0 || r.takes(accessv1.ViewerKind_VIEWER_KIND_UNSPECIFIED):
		complaint = "has a rule without kinds of viewer"
	case !r.public() && (field == nil || field.Message() == nil || field.Message().FullName() != (*accessv1.Viewer)(nil).ProtoReflect().Descriptor().FullName()):
		complaint = fmt.Sprintf("takes %s, which has no field viewer", m.Input().FullName())
	case !r.public() && m.IsStreamingClient():
		complaint = "is a stream of requests, whose viewer might change"
	}
	if complaint != "" {
		return nil, fmt.Errorf("access: method %s %s", r.Method, complaint)
	}
	return r, nil
}

func bit(kind accessv1.ViewerKind) uint8 { return 1 << kind }

func (r *Rule) takes(kind accessv1.ViewerKind) bool { return r.kinds&bit(kind) != 0 }

// public reports that the answer is the same for all callers, so that no viewer is needed.
func (r *Rule) public() bool { return r.kinds == bit(accessv1.ViewerKind_VIEWER_KIND_ANYONE) }

// Refusal is a call that may not be made. It is the reason's status outside; Why is for
// the log of this side.
type Refusal struct {
	Reason errorv1.ErrorReason
	// Field is the one at fault of the request; "" for the caller.
	Field string
	Why   string
}

func (r *Refusal) Error() string { return r.Why }

// Caller decides by which part calls. The error is a *Refusal.
func (t Table) Caller(method, caller string) error {
	r := t[method]
	if r != nil && (r.open || slices.Contains(r.Callers, caller)) {
		return nil
	}
	why := "there is no rule for this method"
	if r != nil {
		why = "this is not for " + caller + ", but for " + strings.Join(r.Callers, ", ")
	}
	return &Refusal{Reason: errorv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED, Why: why}
}

// viewed is a request that says for whom it is made.
type viewed interface{ GetViewer() *accessv1.Viewer }

// Viewer decides by for whom a call is made. The caller is "" where certificates are
// not checked. The error is a *Refusal.
func (t Table) Viewer(method, caller string, req any) error {
	r := t[method]
	if r == nil || r.open || r.public() {
		return nil
	}
	v, ok := req.(viewed)
	if !ok { // generated code has the getter of the field that ruleOf has seen
		return fmt.Errorf("access: %T has no viewer", req)
	}
	viewer := v.GetViewer()
	kind := kindOf(viewer)
	if kind == accessv1.ViewerKind_VIEWER_KIND_UNSPECIFIED {
		return &Refusal{Reason: errorv1.ErrorReason_ERROR_REASON_INVALID, Field: "viewer", Why: "the call does not say for whom it is made"}
	}
	if !r.takes(kind) {
		return &Refusal{
			Reason: errorv1.ErrorReason_ERROR_REASON_VIEWER_NOT_ALLOWED, Field: "viewer",
			Why: "this is not for " + Kind(kind) + ", but for " + kinds(r.Viewers),
		}
	}
	if kind == accessv1.ViewerKind_VIEWER_KIND_SERVICE {
		name := viewer.GetService().GetName()
		if caller != "" && name != caller || !slices.Contains(r.Callers, name) {
			return &Refusal{
				Reason: errorv1.ErrorReason_ERROR_REASON_VIEWER_NOT_ALLOWED, Field: "viewer.service.name",
				Why: "a service acts for itself only",
			}
		}
	}
	return nil
}

// Kind is a kind of viewer in a word: "customer".
func Kind(kind accessv1.ViewerKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "VIEWER_KIND_"))
}

func kinds(all []accessv1.ViewerKind) string {
	names := make([]string, len(all))
	for i, kind := range all {
		names[i] = Kind(kind)
	}
	return strings.Join(names, ", ")
}
