package shopclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// Money is an amount in minor units of an ISO 4217 currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Product is what a product page shows.
type Product struct {
	ID          string    `json:"id"`
	Code        string    `json:"code"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Category    string    `json:"category"`
	Price       Money     `json:"price"` // of the cheapest variant
	Variants    []Variant `json:"variants"`
	Popularity  int64     `json:"popularity"`
	Picture     string    `json:"picture"`
	URL         string    `json:"url"`
}

// Variant is what is sold.
type Variant struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Price     Money  `json:"price"`
	Available int64  `json:"available"`
	// Stock is shown to the operator only.
	Stock *Stock `json:"stock"`
}

// Stock counts units: available + held + committed = total.
type Stock struct {
	Total     int64 `json:"total"`
	Held      int64 `json:"held"`
	Committed int64 `json:"committed"`
	Available int64 `json:"available"`
}

// ProductQuery narrows a listing. Zero values do not narrow.
type ProductQuery struct {
	Query              string
	Exact              bool // the words as written, not corrected
	Category           string
	MinPrice, MaxPrice int64 // minor units
	InStock            bool
	Sort               string // relevance, popularity, price, -price, name, newest
	Limit              int
	Cursor             string
	Facets             bool
}

func (q ProductQuery) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "0" && value != "false" {
			v.Set(name, value)
		}
	}
	set("q", q.Query)
	set("exact", strconv.FormatBool(q.Exact))
	set("category", q.Category)
	set("min_price", strconv.FormatInt(q.MinPrice, 10))
	set("max_price", strconv.FormatInt(q.MaxPrice, 10))
	set("in_stock", strconv.FormatBool(q.InStock))
	set("sort", q.Sort)
	set("limit", strconv.Itoa(q.Limit))
	set("cursor", q.Cursor)
	set("facets", strconv.FormatBool(q.Facets))
	return v
}

// ProductPage is a page of a listing.
type ProductPage struct {
	Products   []Product `json:"products"`
	NextCursor string    `json:"next_cursor"` // empty on the last page
	Facets     *Facets   `json:"facets"`
	// SearchedFor is the words that found the products, where no product has those
	// of the query.
	SearchedFor string `json:"searched_for"`
}

// Facets count what matches a query.
type Facets struct {
	Total      int64         `json:"total"`
	AtLeast    bool          `json:"at_least"` // every count may be greater
	InStock    int64         `json:"in_stock"`
	Categories []Category    `json:"categories"`
	Prices     []PriceBucket `json:"prices"`
}

// Category groups products.
type Category struct {
	Slug         string `json:"slug"`
	Name         string `json:"name"`
	ProductCount int64  `json:"product_count"`
}

// PriceBucket counts products whose price is From to To, in minor units; To 0
// is no limit.
type PriceBucket struct {
	From  int64 `json:"from"`
	To    int64 `json:"to"`
	Count int64 `json:"count"`
}

// Products lists a page.
func (c *Client) Products(ctx context.Context, q ProductQuery) (*ProductPage, error) {
	out := &ProductPage{}
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/products", query: q.values()}, out)
	return out, err
}

// Product returns the product that a SKU or code belongs to.
func (c *Client) Product(ctx context.Context, sku string) (*Product, error) {
	out := &Product{}
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/products/" + url.PathEscape(sku)}, out)
	return out, err
}

// Related returns what is bought together with a product; limit 0 is the
// shop's own.
func (c *Client) Related(ctx context.Context, sku string, limit int) ([]Product, error) {
	out := &ProductPage{}
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/products/" + url.PathEscape(sku) + "/related", query: q}, out)
	return out.Products, err
}

// Categories lists all.
func (c *Client) Categories(ctx context.Context) ([]Category, error) {
	var out struct {
		Categories []Category `json:"categories"`
	}
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/categories"}, &out)
	return out.Categories, err
}

// Imported counts what an import did.
type Imported struct {
	Created  int64 `json:"created"`
	Updated  int64 `json:"updated"`
	Variants int64 `json:"variants"`
}

// ImportProducts sends a CSV of products; all or none. For the operator.
func (c *Client) ImportProducts(ctx context.Context, csv io.Reader) (*Imported, error) {
	out := &Imported{}
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/products/import", body: csv, contentType: "text/csv; charset=utf-8"}, out)
	return out, err
}

// ImportPatiently is ImportProducts that comes again when the shop says, as long as it asks
// only for patience (429, 503) and ctx lasts.
func (c *Client) ImportPatiently(ctx context.Context, csv []byte) (*Imported, error) {
	for {
		got, err := c.ImportProducts(ctx, bytes.NewReader(csv))
		refused, ok := errors.AsType[*Problem](err)
		if !ok || refused.RetryAfter == 0 || refused.Status != http.StatusTooManyRequests && refused.Status != http.StatusServiceUnavailable {
			return got, err
		}
		if retry.Sleep(ctx, refused.RetryAfter) != nil {
			return nil, err
		}
	}
}

// StockChange adds to the stock of a SKU, or takes from it.
type StockChange struct {
	SKU   string `json:"sku"`
	Delta int64  `json:"delta"`
}

// AdjustStock changes stock, all lines or none, once a key. For the operator.
func (c *Client) AdjustStock(ctx context.Context, key, reason string, changes []StockChange) error {
	body := struct {
		Reason  string        `json:"reason"`
		Changes []StockChange `json:"changes"`
	}{reason, changes}
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/stock-adjustments", body: body, key: key}, nil)
	return err
}

// PriceChange is a new price of a SKU.
type PriceChange struct {
	SKU   string `json:"sku"`
	Price Money  `json:"price"`
}

// SetPrices changes prices, all or none. For the operator.
func (c *Client) SetPrices(ctx context.Context, changes []PriceChange) error {
	body := struct {
		Changes []PriceChange `json:"changes"`
	}{changes}
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/prices", body: body}, nil)
	return err
}

// Ready says whether the shop can serve: nil, or why not.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/readyz"}, nil)
	return err
}
