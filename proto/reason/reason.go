// Package reason reads what the contract says about the reasons of errors: the
// options of the values of each service's ErrorReason.
package reason

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
)

// Key is a reason as google.rpc.ErrorInfo carries it.
type Key struct {
	// Domain is that of the service, such as "order.souk".
	Domain string
	// Name is the reason, such as "ORDER_NOT_FOUND".
	Name string
}

func (k Key) String() string { return k.Domain + "/" + k.Name }

// Info is what the contract says about a reason. It is shared: do not change it.
type Info struct {
	Key
	// Code is the gRPC status code.
	Code codes.Code
	// Title, Detail and Description are those of souk.error.v1.ReasonInfo.
	Title, Detail, Description string
	// HTTPStatus is the status of the REST API's problem.
	HTTPStatus int
	// Metadata are the keys of the metadata that come with the reason.
	Metadata []string
	// Internal reasons are seen by services only.
	Internal bool
}

// prefix is what the values of every ErrorReason start with.
const prefix = "ERROR_REASON_"

// number names a value of an enum.
type number struct {
	enum  protoreflect.FullName
	value protoreflect.EnumNumber
}

type table struct {
	byNumber map[number]*Info
	byKey    map[Key]*Info
	all      []*Info
}

// reasons are those of all contracts that this program imports.
var reasons = sync.OnceValue(func() table {
	t := table{byNumber: map[number]*Info{}, byKey: map[Key]*Info{}}
	protoregistry.GlobalTypes.RangeEnums(func(e protoreflect.EnumType) bool {
		d := e.Descriptor()
		domain, _ := proto.GetExtension(d.Options(), errorv1.E_Domain).(string)
		if domain == "" {
			return true
		}
		for i := range d.Values().Len() {
			v := d.Values().Get(i)
			option, _ := proto.GetExtension(v.Options(), errorv1.E_Reason).(*errorv1.ReasonInfo)
			if option == nil {
				continue // UNSPECIFIED
			}
			code := codes.Code(option.GetCode())
			info := &Info{
				Key:  Key{Domain: domain, Name: strings.TrimPrefix(string(v.Name()), prefix)},
				Code: code, Title: option.GetTitle(), Detail: option.GetDetail(), Description: option.GetDescription(),
				HTTPStatus: cmp.Or(int(option.GetHttpStatus()), httpStatus(code)),
				Metadata:   option.GetMetadata(), Internal: option.GetInternal(),
			}
			t.byNumber[number{d.FullName(), v.Number()}] = info
			t.byKey[info.Key] = info
			t.all = append(t.all, info)
		}
		return true
	})
	slices.SortFunc(t.all, func(a, b *Info) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name))
	})
	return t
})

// Of returns what the contract says about a value of an ErrorReason. It panics
// for a value without a reason option, which is a mistake in the program.
func Of(value protoreflect.Enum) *Info {
	info := reasons().byNumber[number{value.Descriptor().FullName(), value.Number()}]
	if info == nil {
		panic(fmt.Sprintf("reason: %s(%d) has no meaning", value.Descriptor().FullName(), value.Number()))
	}
	return info
}

// Find returns what the contract says about a reason; nil when no contract that
// this program imports has it.
func Find(key Key) *Info { return reasons().byKey[key] }

// All returns the reasons of all contracts that this program imports, by domain
// and name.
func All() []*Info { return slices.Clone(reasons().all) }

// Enum is a generated ErrorReason.
type Enum interface {
	~int32
	protoreflect.Enum
}

// As returns the value of E that the key names; its zero value, UNSPECIFIED, when
// the key is of another domain or unknown.
func As[E Enum](key Key) E {
	var none E
	d := none.Descriptor()
	if domain, _ := proto.GetExtension(d.Options(), errorv1.E_Domain).(string); domain != key.Domain {
		return none
	}
	v := d.Values().ByName(protoreflect.Name(prefix + key.Name))
	if v == nil {
		return none
	}
	return E(v.Number())
}

// httpStatus is the HTTP status of a code, where a reason does not say otherwise.
// The mapping is that of google/rpc/code.proto, but a precondition that failed is
// a conflict with the state of a resource (409), as it is no header's, and a
// service that is out of capacity is one (503), not a client that asks too often.
func httpStatus(code codes.Code) int {
	switch code {
	case codes.InvalidArgument, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted, codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	}
	return http.StatusInternalServerError
}
