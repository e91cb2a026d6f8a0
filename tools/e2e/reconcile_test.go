package e2e

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// TestTheShopReconcilesItself: payment's own comparison with the provider finds
// no difference, whatever the other tests do meanwhile.
func TestTheShopReconcilesItself(t *testing.T) {
	t.Parallel()
	sku := product(t, 5)
	c, cart := guest(t, line(sku, 2))
	if o := order(t, c, cart.ID, goodCard); o.State != shopclient.StatePaid {
		t.Fatalf("order ended %s", o.State)
	}
	client := operator()
	r, err := client.Reconcile(t.Context(), time.Unix(0, 0).UTC(), time.Now().Add(time.Minute).UTC())
	for deadline := time.Now().Add(time.Minute); err == nil && !r.Done && time.Now().Before(deadline); {
		<-time.After(100 * time.Millisecond) // the shop goes on by itself
		r, err = client.Reconciliation(t.Context(), r.ID)
	}
	if err != nil || !r.Done || r.DifferenceCount != 0 || len(r.Totals) == 0 {
		t.Errorf("reconciliation %+v, %v", r, err)
	}
}
