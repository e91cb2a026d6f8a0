// Package storeclient asks a store of recent traces or metrics, by HTTP and with its token.
package storeclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of a store's answer, in bytes.
const maxAnswer = 64 << 20

// Client asks a store. Safe for concurrent use.
type Client struct {
	base, token           string
	notFound, unavailable error
	http                  *http.Client
}

// New makes a client of the store at a URL, such as http://127.0.0.1:4318, which asks for a
// token. notFound is returned for what the store does not have, and unavailable is in the
// error when it does not answer.
func New(base, token string, notFound, unavailable error) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q: want a URL such as http://127.0.0.1:4318", base)
	}
	return &Client{base: strings.TrimRight(base, "/"), token: token, notFound: notFound, unavailable: unavailable, http: &http.Client{
		Timeout: 10 * time.Second,
		// The answer is the store's own; another place is not to get the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Get decodes the store's answer for a path.
func (c *Client) Get(ctx context.Context, path string, into any) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", c.unavailable, err)
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	body := io.LimitReader(res.Body, maxAnswer)
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return c.notFound
	default:
		text, _ := io.ReadAll(io.LimitReader(body, 512))
		return fmt.Errorf("%w: %s: %s", c.unavailable, res.Status, strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("%w: %w", c.unavailable, err)
	}
	return nil
}
