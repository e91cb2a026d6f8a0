package e2e

import (
	"bufio"
	"encoding/json"
	"testing"

	"github.com/souk-shop/souk/tools/internal/audit"
)

// captures counts the provider's captures of an order in its journal.
func captures(t testing.TB, orderID string) int {
	t.Helper()
	f, err := audit.OpenJournal(t.Context(), shop.ledgers.ProviderJournal)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	orders := map[string]string{} // by payment intent
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var ev struct {
			Event         string
			ID            string
			PaymentIntent string `json:"payment_intent"`
			Metadata      map[string]string
		}
		if err := json.Unmarshal(sc.Bytes(), &ev); err != nil {
			break // the line that is being written
		}
		if id := ev.Metadata["order_id"]; id != "" {
			orders[ev.ID] = id
		}
		if ev.Event == "payment_intent.captured" && (orders[ev.ID] == orderID || orders[ev.PaymentIntent] == orderID) {
			n++
		}
	}
	return n
}
