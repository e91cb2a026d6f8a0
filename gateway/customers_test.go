package gateway

import (
	"strings"
	"testing"
)

// personal is the document of an export, as far as tests look at it.
type personal struct {
	CustomerID string `json:"customer_id"`
	Carts      []struct {
		ID string `json:"id"`
	} `json:"carts"`
	Orders []struct {
		Order struct {
			ID    string `json:"id"`
			Email string `json:"email"`
		} `json:"order"`
		Payment struct {
			DeclineCode string `json:"decline_code"`
			ProviderID  string `json:"provider_reference"`
		} `json:"payment"`
	} `json:"orders"`
}

// ownerOf is the shopper of a cart.
func (s *shopUnderTest) ownerOf(cart cartDoc) string {
	s.cart.mu.Lock()
	defer s.cart.mu.Unlock()
	return s.cart.carts[cart.ID].GetOwnerId()
}

// A shopper gets all that is held, over all pages, and an operator with the scope does; no
// other shopper. After an erasure nothing personal is left, and the session has ended.
func TestPersonalDataOverREST(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	owner := s.ownerOf(cart)
	s.want(201, "POST", "/v1/carts", `{"lines":[{"sku":"SKU01","quantity":1}]}`, me)
	for _, key := range []header{"Idempotency-Key: 1", "Idempotency-Key: 2", "Idempotency-Key: 3"} {
		s.want(201, "POST", "/v1/orders", checkoutOf(cart.ID), me, key, "Prefer: wait=1")
	}
	var mine, theirs personal
	a := s.want(200, "GET", "/v1/personal-data", "", me)
	a.decode(t, &mine)
	if mine.CustomerID != owner || len(mine.Carts) != 2 || len(mine.Orders) != 3 || mine.Orders[2].Order.Email != "ada@example.com" || mine.Orders[0].Payment.ProviderID == "" {
		t.Errorf("%s", a.body)
	}
	if strings.Contains(string(a.body), "stolen_card") {
		t.Error("a shopper is told the bank's code")
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/json" {
		t.Error(a.Header)
	}
	path := "/v1/customers/" + owner + "/personal-data"
	s.want(200, "GET", path, "", asOperator).decode(t, &theirs)
	if len(theirs.Orders) != 3 || theirs.Orders[0].Payment.DeclineCode != "stolen_card" {
		t.Errorf("%+v", theirs)
	}
	if a := s.want(200, "GET", "/v1/customers?email=ada@example.com", "", asOperator); !strings.Contains(string(a.body), owner) {
		t.Errorf("%s", a.body)
	}
	s.want(400, "GET", "/v1/customers", "", asOperator)
	s.want(403, "GET", path, "", me)
	s.want(403, "DELETE", path, "", me)
	s.want(404, "GET", "/v1/customers/0199d7a0-0000-7000-8000-000000000009/personal-data", "", asOperator)
	s.want(404, "DELETE", "/v1/customers/0199d7a0-0000-7000-8000-000000000009/personal-data", "", asOperator)

	other, them := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	s.want(202, "POST", "/v1/orders", checkoutOf(other.ID), them, "Idempotency-Key: 1")
	if a := s.want(409, "DELETE", "/v1/personal-data", "", them); !strings.Contains(string(a.body), "/problems/customer-has-open-orders") {
		t.Errorf("%s", a.body)
	}
	s.want(200, "DELETE", "/v1/personal-data", "", me)
	s.want(401, "GET", "/v1/personal-data", "", me)
	a = s.want(200, "GET", path, "", asOperator)
	for _, gone := range []string{"ada@example.com", "Ada Lovelace", "St James"} {
		if strings.Contains(string(a.body), gone) {
			t.Errorf("%s is still there: %s", gone, a.body)
		}
	}
}
