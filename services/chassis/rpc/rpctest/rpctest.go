// Package rpctest has what the tests of services share about their error tables.
package rpctest

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/souk-shop/souk/proto/reason"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// CheckErrors fails t unless a service's table has a rule for each reason of its
// contract, but those that the service makes in another way, and none of another
// service's.
func CheckErrors(t *testing.T, table rpc.ErrorTable, contract protoreflect.EnumDescriptor, elsewhere ...protoreflect.Enum) {
	t.Helper()
	given := map[protoreflect.EnumNumber]bool{0: true} // UNSPECIFIED
	for _, e := range elsewhere {
		given[e.Number()] = true
	}
	for _, rule := range table {
		info := reason.Of(rule.Reason)
		switch rule.Reason.Descriptor().FullName() {
		case contract.FullName():
			given[rule.Reason.Number()] = true
		case "souk.error.v1.ErrorReason":
		default:
			t.Errorf("%v is another service's reason", info.Key)
		}
	}
	for i := range contract.Values().Len() {
		if v := contract.Values().Get(i); !given[v.Number()] {
			t.Errorf("no rule gives %s", v.Name())
		}
	}
}
