package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// vendureShop is Vendure 3, by its Shop API (https://docs.vendure.io/reference/graphql-api/shop).
type vendureShop struct {
	url    string
	client *http.Client
	lines  int

	variants []string
	shipping string
	payment  string
}

func (v *vendureShop) prepare(ctx context.Context) error {
	var products struct {
		Products struct {
			Items []struct {
				Variants []struct {
					ID         string `json:"id"`
					StockLevel string `json:"stockLevel"`
				} `json:"variants"`
			} `json:"items"`
		} `json:"products"`
	}
	if err := new(vendureGuest).ask(ctx, v, `{products(options: {take: 100}) {items {variants {id stockLevel}}}}`, nil, &products); err != nil {
		return err
	}
	for _, p := range products.Products.Items {
		for _, variant := range p.Variants {
			if variant.StockLevel != "OUT_OF_STOCK" {
				v.variants = append(v.variants, variant.ID)
			}
		}
	}
	if len(v.variants) < v.lines {
		return fmt.Errorf("it has %d products in stock, an order needs %d", len(v.variants), v.lines)
	}
	guest := &vendureGuest{}
	if err := v.fill(ctx, guest, 0); err != nil {
		return err
	}
	var ways struct {
		Shipping []struct {
			ID string `json:"id"`
		} `json:"eligibleShippingMethods"`
		Payment []struct {
			Code       string `json:"code"`
			IsEligible bool   `json:"isEligible"`
		} `json:"eligiblePaymentMethods"`
	}
	if err := guest.ask(ctx, v, `{eligibleShippingMethods {id} eligiblePaymentMethods {code isEligible}}`, nil, &ways); err != nil {
		return err
	}
	if len(ways.Shipping) == 0 {
		return errors.New("it has no shipping method for an address in GB")
	}
	v.shipping = ways.Shipping[0].ID
	for _, p := range ways.Payment {
		if p.IsEligible {
			v.payment = p.Code
		}
	}
	if v.payment == "" {
		return errors.New("it has no payment method for the order")
	}
	return nil
}

// vendureError is selected of each result of a mutation that may be an error.
const vendureError = `... on ErrorResult {errorCode message}`

// fill makes a guest's order and says where it goes.
func (v *vendureShop) fill(ctx context.Context, guest *vendureGuest, n int) error {
	for i := range v.lines {
		id := v.variants[(n*31+i*7)%len(v.variants)]
		if err := guest.do(ctx, v, `mutation ($id: ID!) {result: addItemToOrder(productVariantId: $id, quantity: 1) {__typename `+vendureError+`}}`, map[string]any{"id": id}); err != nil {
			return err
		}
	}
	if err := guest.do(ctx, v, `mutation {result: setCustomerForOrder(input: {emailAddress: "bench@example.com", firstName: "Ben", lastName: "Ch"}) {__typename `+vendureError+`}}`, nil); err != nil {
		return err
	}
	return guest.do(ctx, v, `mutation {result: setOrderShippingAddress(input: {fullName: "Bench", streetLine1: "1 High Street", city: "Town", postalCode: "SW1Y 4JH", countryCode: "GB"}) {__typename `+vendureError+`}}`, nil)
}

func (v *vendureShop) checkout(ctx context.Context, n int) error {
	guest := &vendureGuest{}
	if err := v.fill(ctx, guest, n); err != nil {
		return err
	}
	if err := guest.do(ctx, v, `mutation ($id: [ID!]!) {result: setOrderShippingMethod(shippingMethodId: $id) {__typename `+vendureError+`}}`, map[string]any{"id": []string{v.shipping}}); err != nil {
		return err
	}
	if err := guest.do(ctx, v, `mutation {result: transitionOrderToState(state: "ArrangingPayment") {__typename `+vendureError+`}}`, nil); err != nil {
		return err
	}
	var paid struct {
		Result vendureResult `json:"result"`
	}
	if err := guest.ask(ctx, v, `mutation ($method: String!) {result: addPaymentToOrder(input: {method: $method, metadata: {}}) {__typename ... on Order {state} `+vendureError+`}}`, map[string]any{"method": v.payment}, &paid); err != nil {
		return err
	}
	if paid.Result.State != "PaymentSettled" {
		return fmt.Errorf("the order ended %s: %s %s", paid.Result.State, paid.Result.ErrorCode, paid.Result.Message)
	}
	return nil
}

// vendureResult is what a mutation of an order returns.
type vendureResult struct {
	State     string `json:"state"`
	ErrorCode string `json:"errorCode"`
	Message   string `json:"message"`
}

// vendureGuest is one who buys: Vendure gives each a token with the first answer.
type vendureGuest struct{ token string }

// do sends a mutation whose result may be an error.
func (g *vendureGuest) do(ctx context.Context, v *vendureShop, query string, variables map[string]any) error {
	var out struct {
		Result vendureResult `json:"result"`
	}
	if err := g.ask(ctx, v, query, variables, &out); err != nil {
		return err
	}
	if out.Result.ErrorCode != "" {
		return fmt.Errorf("%s: %s: %s", query, out.Result.ErrorCode, out.Result.Message)
	}
	return nil
}

func (g *vendureGuest) ask(ctx context.Context, v *vendureShop, query string, variables map[string]any, data any) error {
	headers := http.Header{}
	if g.token != "" {
		headers.Set("Authorization", "Bearer "+g.token)
	}
	var out struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	got, err := call(ctx, v.client, http.MethodPost, v.url, headers, map[string]any{"query": query, "variables": variables}, &out)
	if err != nil {
		return err
	}
	if len(out.Errors) > 0 {
		return fmt.Errorf("%s: %s", query, out.Errors[0].Message)
	}
	if token := got.Get("vendure-auth-token"); token != "" {
		g.token = token
	}
	return json.Unmarshal(out.Data, data)
}
