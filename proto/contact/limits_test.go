package contact_test

import (
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"

	"github.com/souk-shop/souk/proto/contact"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
)

// TestLimits: the contract's limits are those of the rules.
func TestLimits(t *testing.T) {
	t.Parallel()
	fields := (&orderv1.Address{}).ProtoReflect().Descriptor().Fields()
	for name, want := range map[string]int{
		"name": contact.MaxName, "line1": contact.MaxLine, "line2": contact.MaxLine, "city": contact.MaxCity,
		"region": contact.MaxRegion, "postal_code": contact.MaxPostalCode,
	} {
		rules, _ := proto.GetExtension(fields.ByTextName(name).Options(), validate.E_Field).(*validate.FieldRules)
		if got := rules.GetString().GetMaxLen(); got != uint64(want) {
			t.Errorf("%s: %d characters in the contract, want %d", name, got, want)
		}
	}
	email := (&orderv1.PlaceOrderRequest{}).ProtoReflect().Descriptor().Fields().ByTextName("email")
	rules, _ := proto.GetExtension(email.Options(), validate.E_Field).(*validate.FieldRules)
	if got := rules.GetString().GetMaxBytes(); got != contact.MaxEmail {
		t.Errorf("email: %d octets in the contract, want %d", got, contact.MaxEmail)
	}
}
