package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// medusaShop is Medusa 2, by its Store API (https://docs.medusajs.com/api/store).
type medusaShop struct {
	url, key string
	client   *http.Client
	lines    int

	region   string
	variants []string
	shipping string
}

// medusaID is of what a call made.
type medusaID struct {
	ID string `json:"id"`
}

func (m *medusaShop) prepare(ctx context.Context) error {
	var regions struct {
		Regions []struct {
			ID        string `json:"id"`
			Countries []struct {
				Code string `json:"iso_2"`
			} `json:"countries"`
		} `json:"regions"`
	}
	if err := m.ask(ctx, http.MethodGet, "/store/regions", nil, &regions); err != nil {
		return err
	}
	for _, r := range regions.Regions {
		for _, c := range r.Countries {
			if c.Code == "gb" {
				m.region = r.ID
			}
		}
	}
	if m.region == "" {
		return errors.New("it has no region with GB")
	}
	var products struct {
		Products []struct {
			Variants []medusaID `json:"variants"`
		} `json:"products"`
	}
	if err := m.ask(ctx, http.MethodGet, "/store/products?limit=100&region_id="+m.region, nil, &products); err != nil {
		return err
	}
	for _, p := range products.Products {
		for _, variant := range p.Variants {
			m.variants = append(m.variants, variant.ID)
		}
	}
	if len(m.variants) < m.lines {
		return fmt.Errorf("it has %d products, an order needs %d", len(m.variants), m.lines)
	}
	cart, err := m.cart(ctx, 0)
	if err != nil {
		return err
	}
	var options struct {
		Options []medusaID `json:"shipping_options"`
	}
	if err := m.ask(ctx, http.MethodGet, "/store/shipping-options?cart_id="+cart, nil, &options); err != nil {
		return err
	}
	if len(options.Options) == 0 {
		return errors.New("it has no shipping option for an address in GB")
	}
	m.shipping = options.Options[0].ID
	return nil
}

// cart makes a guest's cart with what is bought and where it goes, in one call.
func (m *medusaShop) cart(ctx context.Context, n int) (string, error) {
	items := make([]map[string]any, m.lines)
	for i := range items {
		items[i] = map[string]any{"variant_id": m.variants[(n*31+i*7)%len(m.variants)], "quantity": 1}
	}
	var made struct {
		Cart medusaID `json:"cart"`
	}
	err := m.ask(ctx, http.MethodPost, "/store/carts", map[string]any{
		"region_id": m.region, "email": "bench@example.com", "items": items,
		"shipping_address": map[string]any{"first_name": "Ben", "last_name": "Ch", "address_1": "1 High Street", "city": "Town", "postal_code": "SW1Y 4JH", "country_code": "gb"},
	}, &made)
	return made.Cart.ID, err
}

func (m *medusaShop) checkout(ctx context.Context, n int) error {
	cart, err := m.cart(ctx, n)
	if err != nil {
		return err
	}
	var ignored struct{}
	if err := m.ask(ctx, http.MethodPost, "/store/carts/"+cart+"/shipping-methods", map[string]any{"option_id": m.shipping}, &ignored); err != nil {
		return err
	}
	var payment struct {
		Collection medusaID `json:"payment_collection"`
	}
	if err := m.ask(ctx, http.MethodPost, "/store/payment-collections", map[string]any{"cart_id": cart}, &payment); err != nil {
		return err
	}
	if err := m.ask(ctx, http.MethodPost, "/store/payment-collections/"+payment.Collection.ID+"/payment-sessions", map[string]any{"provider_id": "pp_system_default"}, &ignored); err != nil {
		return err
	}
	var done struct {
		Type  string `json:"type"`
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := m.ask(ctx, http.MethodPost, "/store/carts/"+cart+"/complete", map[string]any{}, &done); err != nil {
		return err
	}
	if done.Type != "order" {
		return fmt.Errorf("the cart did not become an order: %s", done.Error.Message)
	}
	return nil
}

func (m *medusaShop) ask(ctx context.Context, method, path string, in, out any) error {
	_, err := call(ctx, m.client, method, m.url+path, http.Header{"X-Publishable-Api-Key": {m.key}}, in, out)
	return err
}
