package gateway

import (
	"strings"
	"testing"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
)

// Shoppers see what is on sale, and of what no longer is, that it was; the operator sees
// all of it.
func TestStatesOfProducts(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.CacheTTL = -1 })
	s.catalog.mu.Lock()
	p := s.catalog.find("SKU01")
	p.Variants = append(p.Variants,
		&catalogv1.Variant{Sku: "SKU01-B", Price: gbp(900), Stock: &catalogv1.Stock{Total: 4, Available: 4}},
		&catalogv1.Variant{Sku: "SKU01-C", Price: gbp(901), Stock: &catalogv1.Stock{}, State: catalogv1.ProductState_PRODUCT_STATE_DRAFT})
	s.catalog.mu.Unlock()
	type seen struct {
		State     string
		Available int64
		Price     struct{ Amount int64 }
		Variants  []struct {
			SKU, State string
			Available  int64
		}
	}
	get := func(headers ...header) (got seen) {
		t.Helper()
		s.want(200, "GET", "/v1/products/SKU01", "", headers...).decode(t, &got)
		return got
	}
	set := func(path, state string) {
		t.Helper()
		s.want(200, "PUT", "/v1/products/"+path+"/state", `{"state":"`+state+`"}`, asOperator)
	}
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2},{"sku":"SKU02","quantity":1}]}`)
	if got := get(); got.State != "active" || len(got.Variants) != 2 || got.Available != 14 || got.Variants[0].State != "" {
		t.Errorf("%+v", got)
	}
	if got := get(asOperator); len(got.Variants) != 3 || got.Variants[2].State != "draft" {
		t.Errorf("the operator sees %+v", got)
	}
	set("SKU01/variants/SKU01", "archived")
	if got := get(); got.State != "active" || len(got.Variants) != 1 || got.Available != 4 || got.Price.Amount != 900 {
		t.Errorf("with a retired variant: %+v", got)
	}
	set("SKU01", "archived")
	if got := get(); got.State != "archived" || got.Available != 0 || len(got.Variants) != 2 || got.Variants[1].Available != 0 {
		t.Errorf("archived: %+v", got)
	}
	page := string(s.want(200, "GET", "/products/SKU01", "").body)
	if !strings.Contains(page, "We no longer sell this.") || strings.Contains(page, `action="/cart/lines"`) || !strings.Contains(page, "(no longer sold)") {
		t.Errorf("the page of an archived product: %s", page)
	}
	// A cart says which line is no longer sold, by its name.
	var c struct {
		Orderable bool
		Lines     []struct {
			SKU, Name string
			Gone      bool
			URL       string `json:"product_url"`
		}
	}
	s.want(200, "GET", "/v1/carts/"+cart.ID, "", me).decode(t, &c)
	if l := c.Lines[0]; c.Orderable || !l.Gone || l.Name != "Heart 01" || l.URL == "" || c.Lines[1].Gone {
		t.Errorf("%+v", c)
	}
	lines := "/v1/carts/" + cart.ID + "/lines"
	if p := s.refuses(404, "sku-not-found", "POST", lines, `{"sku":"SKU01","quantity":1}`, me); !strings.Contains(p.Errors[0].Detail, "no longer sold") {
		t.Errorf("%+v", p)
	}
	s.want(200, "DELETE", lines+"/SKU01", "", me).decode(t, &c)
	if !c.Orderable {
		t.Errorf("%+v", c)
	}
	// A draft is nothing to shoppers.
	s.catalog.mu.Lock()
	s.catalog.find("SKU03").State = catalogv1.ProductState_PRODUCT_STATE_DRAFT
	s.catalog.mu.Unlock()
	s.refuses(404, "product-not-found", "GET", "/v1/products/SKU03", "")
	s.want(404, "GET", "/products/SKU03", "")
	s.want(200, "GET", "/v1/products/SKU03", "", asOperator)
	s.refuses(403, "forbidden", "GET", "/v1/products?state=draft", "")
	s.want(200, "GET", "/v1/products?state=draft", "", asOperator)
	s.refuses(400, "invalid", "GET", "/v1/products?state=gone", "", asOperator)

	tag := header("If-Match: " + s.want(200, "GET", "/v1/products/SKU02", "", asOperator).Header.Get("ETag"))
	s.want(200, "PUT", "/v1/products/SKU02/state", `{"state":"archived"}`, asOperator, tag)
	s.refuses(412, "precondition-failed", "PUT", "/v1/products/SKU02/state", `{"state":"active"}`, asOperator, tag)
	s.refuses(412, "precondition-failed", "DELETE", "/v1/products/SKU02", "", asOperator, tag)
	for _, tc := range []struct {
		status                          int
		slug, method, path, body, field string
	}{
		{409, "not-a-draft-again", "PUT", "/v1/products/SKU02/state", `{"state":"draft"}`, "state"},
		{404, "sku-not-found", "PUT", "/v1/products/SKU02/variants/SKU01/state", `{"state":"active"}`, "variant_sku"},
		{409, "last-variant", "DELETE", "/v1/products/SKU02/variants/SKU02", "", "variant_sku"},
		{409, "was-ordered", "DELETE", "/v1/products/SKU07", "", "sku"},
	} {
		s.catalog.mu.Lock()
		s.catalog.find("SKU07").Variants[0].Stock.Committed = 1
		s.catalog.mu.Unlock()
		if p := s.refuses(tc.status, tc.slug, tc.method, tc.path, tc.body, asOperator); len(p.Errors) != 1 || p.Errors[0].Field != tc.field {
			t.Errorf("%s: %+v", tc.slug, p)
		}
	}
	s.refuses(404, "product-not-found", "PUT", "/v1/products/NO/state", `{"state":"active"}`, asOperator)
	s.refuses(403, "forbidden", "PUT", "/v1/products/SKU02/state", `{"state":"active"}`, me)
	s.refuses(403, "forbidden", "DELETE", "/v1/products/SKU02", "", me)
	s.want(204, "DELETE", "/v1/products/SKU02", "", asOperator, "If-Match: *")
	s.refuses(404, "product-not-found", "DELETE", "/v1/products/SKU02", "", asOperator)
}

// What was shown is refused as a draft where the client wrote so.
func TestDraftsAgainNameTheirPlace(t *testing.T) {
	t.Parallel()
	s := start(t)
	const head, price = "code,sku,name,category,price,currency,state,variant_state\n", `"price":{"amount":1,"currency":"GBP"}`
	put := func(state, variants string) string {
		return `{"name":"N","category":"c","state":"` + state + `","variants":[` + variants + `]}`
	}
	for _, tc := range []struct{ method, path, body, field string }{
		{"PUT", "/v1/products/SHOWN-B", put("draft", `{"sku":"A",`+price+`,"state":"draft"},{"sku":"B",`+price+`,"state":"draft"}`), "variants[1].state"},
		{"PUT", "/v1/products/SHOWN-B", put("active", `{"sku":"A",`+price+`},{"sku":"B",`+price+`,"state":"draft"}`), "variants[1].state"},
		{"POST", "/v1/products/import", head + "X,X,N,c,1.00,GBP,,\nSHOWN-B,A,N,c,1.00,GBP,draft,\nSHOWN-B,B,,,1.00,GBP,,draft\n", "line 4"},
		{"POST", "/v1/products/import", head + "B,A,N,c,1.00,GBP,draft,\nB,C,,,1.00,GBP,,\nSHOWN-B,D,N,c,1.00,GBP,,\n", "line 2"},
	} {
		kind := header("Content-Type: application/json")
		if tc.method == "POST" {
			kind = "Content-Type: text/csv"
		}
		p := s.refuses(409, "not-a-draft-again", tc.method, tc.path, tc.body, asOperator, kind)
		if len(p.Errors) != 1 || p.Errors[0].Field != tc.field || !strings.HasSuffix(p.Errors[0].Detail, ": B") {
			t.Errorf("%s %s: %+v", tc.method, tc.body, p.Errors)
		}
	}
}

// A file has states, which it may leave out.
func TestStatesInAnImport(t *testing.T) {
	t.Parallel()
	s := start(t)
	const head = "code,sku,name,category,price,currency,state,variant_state\n"
	s.want(200, "POST", "/v1/products/import", head+"A,A-1,Name,c,1.00,GBP,Draft,\nA,A-2,,,1.00,GBP,,archived\n", asOperator, "Content-Type: text/csv")
	s.catalog.mu.Lock()
	in := s.catalog.last
	s.catalog.mu.Unlock()
	if in.State != catalogv1.ProductState_PRODUCT_STATE_DRAFT || in.Variants[0].State != 0 || in.Variants[1].State != catalogv1.ProductState_PRODUCT_STATE_ARCHIVED {
		t.Errorf("%v", in)
	}
	for body, about := range map[string]string{
		"A,A-1,Name,c,1.00,GBP,gone,\n":                                 "state must be draft, active, archived or empty",
		"A,A-1,Name,c,1.00,GBP,,sold\n":                                 "variant_state must be draft",
		"A,A-1,Name,c,1.00,GBP,draft,\nA,A-2,Name,c,1.00,GBP,active,\n": "state differs from line 2",
	} {
		if p := s.refuses(400, "invalid-csv", "POST", "/v1/products/import", head+body, asOperator, "Content-Type: text/csv"); !strings.Contains(p.Errors[0].Detail, about) {
			t.Errorf("%+v", p)
		}
	}
}
