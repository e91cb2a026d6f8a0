package bench

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// What consumers do about an order belongs to its costs, and not to its checkout.
func TestConsumersAreRecorded(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"order", "insight", "notification"} {
		rec := &recorder{}
		rec.forDatabase(name).TraceQueryStart(t.Context(), nil, pgx.TraceQueryStartData{SQL: "SELECT 1"})
		if got := rec.take(); len(got) != 1 || got[0].database != name {
			t.Errorf("of %s: %+v", name, got)
		}
		if tracer := rec.forCheckout(name); (tracer == nil) != (name != "order") {
			t.Errorf("of a checkout, of %s: %v", name, tracer)
		}
	}
}
