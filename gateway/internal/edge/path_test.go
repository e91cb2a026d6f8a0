package edge

import "testing"

func TestPathsAreShownWithoutWhatClientsPutIntoThem(t *testing.T) {
	t.Parallel()
	const id = "0199a5f1-3c0e-7b1a-9d3e-2f4b5c6d7e8f"
	for _, tc := range []struct {
		path, route string
		found       bool
		want        string
	}{
		{"/v1/products/MUG-330", "/v1/products/{sku}", true, "/v1/products/MUG-330"},
		{"/v1/products/florence@example.com", "/v1/products/{sku}", false, "/v1/products/REDACTED"},
		{"/v1/products/4000056655665556", "/v1/products/{sku}", false, "/v1/products/REDACTED"},
		{"/v1/orders/" + id + "/cancel", "/v1/orders/{order_id}/cancel", false, "/v1/orders/" + id + "/cancel"},
		{"/v1/orders/urn:uuid:" + id, "/v1/orders/{order_id}", false, "/v1/orders/REDACTED"},
		{"/static/app-3f2a91.css", "/static/{file}", true, "/static/app-3f2a91.css"},
		{"/wp-login.php", "", false, "/wp-login.php"},
		{"/v1/parcels", "", false, "/v1/parcels"},
		{"/4000 0566 5566 5556/", "", false, "/REDACTED/"},
		{"/canary-bearer-2f9e1c", "", false, "/REDACTED"},
		{"/checkout/Florence Canary", "", true, "/checkout/REDACTED"},
		{"/", "/", true, "/"},
		{"", "", false, ""},
		{"*", "", false, "REDACTED"},
	} {
		if got := shown(tc.path, tc.route, tc.found); got != tc.want {
			t.Errorf("%q by %q, found %v: %q, want %q", tc.path, tc.route, tc.found, got, tc.want)
		}
	}
}
