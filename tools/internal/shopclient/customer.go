package shopclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// FoundCustomer is who ordered with an e-mail address.
type FoundCustomer struct {
	CustomerID   string    `json:"customer_id"`
	Orders       int64     `json:"orders"`
	LastPlacedAt time.Time `json:"last_placed_at"`
}

// Erasure is where an erasure stands; FinishedAt is the zero time until it is done.
type Erasure struct {
	RequestedAt time.Time `json:"requested_at"`
	FinishedAt  time.Time `json:"finished_at"`
}

// FindCustomers returns who ordered with an e-mail address; for operators.
func (c *Client) FindCustomers(ctx context.Context, email string) ([]FoundCustomer, error) {
	var out struct {
		Customers []FoundCustomer `json:"customers"`
	}
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/customers?email=" + url.QueryEscape(email)}, &out)
	return out.Customers, err
}

// ExportCustomer returns all that is held about a customer, as the shop writes it; for
// operators. With an empty id it is the shopper of the token.
func (c *Client) ExportCustomer(ctx context.Context, id string) (json.RawMessage, error) {
	var out json.RawMessage
	_, err := c.do(ctx, request{method: http.MethodGet, path: personalData(id)}, &out)
	return out, err
}

// EraseCustomer erases what identifies a customer; for operators. With an empty id it is
// the shopper of the token.
func (c *Client) EraseCustomer(ctx context.Context, id string) (*Erasure, error) {
	out := new(Erasure)
	_, err := c.do(ctx, request{method: http.MethodDelete, path: personalData(id)}, out)
	return out, err
}

// EndSessions ends a customer's sessions; for operators. With an empty id it is the shopper
// of the token.
func (c *Client) EndSessions(ctx context.Context, id string) error {
	path := "/v1/session"
	if id != "" {
		path = "/v1/customers/" + url.PathEscape(id) + "/sessions"
	}
	_, err := c.do(ctx, request{method: http.MethodDelete, path: path}, nil)
	return err
}

func personalData(id string) string {
	if id == "" {
		return "/v1/personal-data"
	}
	return "/v1/customers/" + url.PathEscape(id) + "/personal-data"
}
