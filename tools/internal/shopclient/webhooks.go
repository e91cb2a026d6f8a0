package shopclient

import (
	"context"
	"net/http"
	"time"
)

// WebhookEndpoint is a URL that is told what happens in the shop.
type WebhookEndpoint struct {
	ID         string    `json:"id"`
	URL        string    `json:"url"`
	EventTypes []string  `json:"event_types"`
	Ordered    bool      `json:"ordered"`
	Enabled    bool      `json:"enabled"`
	CreatedAt  time.Time `json:"created_at"`
}

// NewWebhookEndpoint is what an endpoint is registered with.
type NewWebhookEndpoint struct {
	URL        string   `json:"url"`
	EventTypes []string `json:"event_types"`
	Ordered    bool     `json:"ordered"`
}

// RegisterWebhook registers an endpoint and returns it with its secret, "whsec_..."; for
// operators. Calls with one key make one endpoint.
func (c *Client) RegisterWebhook(ctx context.Context, key string, n NewWebhookEndpoint) (*WebhookEndpoint, string, error) {
	var out struct {
		Endpoint WebhookEndpoint `json:"endpoint"`
		Secret   string          `json:"secret"`
	}
	if _, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/webhook-endpoints", key: key, body: n}, &out); err != nil {
		return nil, "", err
	}
	return &out.Endpoint, out.Secret, nil
}
