package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestVendureFlow: a guest's token goes along, and what Vendure refuses is an error that says so.
func TestVendureFlow(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"products":                  `{"products": {"items": [{"variants": [{"id": "1", "stockLevel": "OUT_OF_STOCK"}]}, {"variants": [{"id": "2", "stockLevel": "IN_STOCK"}]}]}}`,
		"eligibleShippingMethods":   `{"eligibleShippingMethods": [{"id": "7"}], "eligiblePaymentMethods": [{"code": "off", "isEligible": false}, {"code": "card", "isEligible": true}]}`,
		"addItemToOrder":            `{"result": {"__typename": "Order"}}`,
		"setCustomerForOrder":       `{"result": {"__typename": "Order"}}`,
		"setOrderShippingAddress":   `{"result": {"__typename": "Order"}}`,
		"setOrderShippingMethod":    `{"result": {"__typename": "Order"}}`,
		"transitionOrderToState":    `{"result": {"__typename": "Order"}}`,
		"addPaymentToOrder":         `{"result": {"__typename": "Order", "state": "PaymentSettled"}}`,
		"addItemToOrder, refused":   `{"result": {"errorCode": "INSUFFICIENT_STOCK_ERROR", "message": "no more"}}`,
		"addPaymentToOrder, waits":  `{"result": {"__typename": "Order", "state": "PaymentAuthorized"}}`,
		"addPaymentToOrder, denied": `{"result": {"errorCode": "PAYMENT_DECLINED_ERROR", "message": "declined"}}`,
	}
	for name, want := range map[string]string{
		"":                          "",
		"addItemToOrder, refused":   "INSUFFICIENT_STOCK_ERROR: no more",
		"addPaymentToOrder, waits":  "ended PaymentAuthorized",
		"addPaymentToOrder, denied": "PAYMENT_DECLINED_ERROR declined",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prepared := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				var asked struct {
					Query     string         `json:"query"`
					Variables map[string]any `json:"variables"`
				}
				if err := json.Unmarshal(body, &asked); err != nil {
					t.Error(err)
				}
				what := strings.FieldsFunc(strings.TrimPrefix(asked.Query[strings.LastIndex(asked.Query, "result: ")+1:], "esult: "), func(r rune) bool { return r == '(' || r == '{' || r == ' ' })[0]
				began := what == "products" || what == "addItemToOrder"
				if token := r.Header.Get("Authorization"); (token == "") != began {
					t.Errorf("%s has the token %q", what, token)
				}
				if what == "addItemToOrder" && asked.Variables["id"] != "2" {
					t.Errorf("what is out of stock is bought: %v", asked.Variables)
				}
				w.Header().Set("Vendure-Auth-Token", "t")
				answer := answers[what]
				if prepared && strings.HasPrefix(name, what+",") {
					answer = answers[name]
				}
				fmt.Fprintf(w, `{"data": %s}`, answer)
			}))
			defer server.Close()
			v := &vendureShop{url: server.URL, client: server.Client(), lines: 1}
			if err := v.prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if v.shipping != "7" || v.payment != "card" {
				t.Errorf("shipping %q, payment %q", v.shipping, v.payment)
			}
			prepared = true
			if err := v.checkout(t.Context(), 3); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}

// TestMedusaFlow: a cart that Medusa does not complete is an error that says why.
func TestMedusaFlow(t *testing.T) {
	t.Parallel()
	for completed, want := range map[string]string{
		`{"type": "order"}`: "",
		`{"type": "cart", "error": {"message": "no stock"}}`: "no stock",
	} {
		var calls []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Publishable-Api-Key") != "pk" {
				t.Errorf("%s has no key", r.URL)
			}
			calls = append(calls, r.Method+" "+r.URL.Path)
			switch r.URL.Path {
			case "/store/regions":
				fmt.Fprint(w, `{"regions": [{"id": "fr", "countries": [{"iso_2": "fr"}]}, {"id": "uk", "countries": [{"iso_2": "ie"}, {"iso_2": "gb"}]}]}`)
			case "/store/products":
				fmt.Fprint(w, `{"products": [{"variants": [{"id": "v"}]}]}`)
			case "/store/carts":
				var cart struct {
					Region string `json:"region_id"`
				}
				if err := json.NewDecoder(r.Body).Decode(&cart); err != nil || cart.Region != "uk" {
					t.Errorf("region %q, %v", cart.Region, err)
				}
				fmt.Fprint(w, `{"cart": {"id": "c"}}`)
			case "/store/shipping-options":
				fmt.Fprint(w, `{"shipping_options": [{"id": "so"}]}`)
			case "/store/payment-collections":
				fmt.Fprint(w, `{"payment_collection": {"id": "pc"}}`)
			case "/store/carts/c/complete":
				fmt.Fprint(w, completed)
			default:
				fmt.Fprint(w, `{}`)
			}
		}))
		m := &medusaShop{url: server.URL, key: "pk", client: server.Client(), lines: 1}
		if err := m.prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		calls = nil
		if err := m.checkout(t.Context(), 1); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if got := strings.Join(calls, ", "); got != "POST /store/carts, POST /store/carts/c/shipping-methods, POST /store/payment-collections, POST /store/payment-collections/pc/payment-sessions, POST /store/carts/c/complete" {
			t.Error(got)
		}
		server.Close()
	}
}
