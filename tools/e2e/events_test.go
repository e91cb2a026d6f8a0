package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// TestEventsFollowAnOrderToItsEnd over server-sent events.
func TestEventsFollowAnOrderToItsEnd(t *testing.T) {
	t.Parallel()
	sku := product(t, 5)
	c, cart := guest(t, line(sku, 1))
	o, err := c.PlaceOrder(t.Context(), uuid.NewString(), 0, checkoutOf(cart.ID, goodCard))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, shop.URL+"/v1/orders/"+o.ID+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || !strings.HasPrefix(ct, "text/event-stream") {
		t.Fatalf("answered %s, %s", res.Status, ct)
	}
	var last shopclient.Order
	n := 0
	sc := bufio.NewScanner(res.Body)
	for sc.Scan() { // the server ends the stream
		data, ok := strings.CutPrefix(sc.Text(), "data:")
		if !ok {
			continue
		}
		version := last.Version
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			t.Fatalf("event %q: %v", data, err)
		}
		if n > 0 && last.Version <= version {
			t.Errorf("version %d after %d", last.Version, version)
		}
		n++
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	if last.State != shopclient.StatePaid {
		t.Errorf("after %d events the order is %s", n, last.State)
	}
}
