// Package shopclient is a typed client of Souk's public REST API, for the tools
// and tests that act as the shop's customers and operators do.
package shopclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 64 << 20

// idleTimeout ends an idle connection before a stopping gateway does,
// whose drain's delay is longer: a request that met the closing of the
// connection it was sent on would be lost, and most can't be sent again blindly
// (RFC 9112, section 9.3.1).
const idleTimeout = 300 * time.Millisecond

// Client calls one shop. It is safe for concurrent use; clients made by
// WithToken share their connections.
type Client struct {
	base  string
	token string
	extra http.Header
	http  *http.Client
	// memory is of what the client has written, so that it reads that also from replicas.
	memory *memory
}

// New returns a client of the shop at a URL ("http://127.0.0.1:8080"). It sends
// no token: see WithToken. A call takes as long as its context allows.
func New(shopURL string) *Client {
	return &Client{base: strings.TrimSuffix(shopURL, "/"), http: &http.Client{Transport: transport()}, memory: &memory{}}
}

// transport keeps a connection for every concurrent caller: the default keeps
// two a host and opens a new one for each further call.
func transport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConns:        0, // unlimited: all go to one host
		MaxIdleConnsPerHost: 4096,
		IdleConnTimeout:     idleTimeout,
		// The shop is near; to compress costs both sides more than to send.
		DisableCompression: true,
		WriteBufferSize:    16 << 10,
		ReadBufferSize:     16 << 10,
	}
}

// WithToken returns a client that acts for the token's owner: a shopper (the
// token of a cart) or the operator. Empty is a guest without one.
func (c *Client) WithToken(token string) *Client {
	out := *c
	out.token, out.memory = token, c.memory.copy()
	return &out
}

// WithHeader returns a client that sends these header fields with each call
// beside its own.
func (c *Client) WithHeader(h http.Header) *Client {
	out := *c
	out.extra = h.Clone()
	return &out
}

// WithTransport returns a client whose calls go by rt, and not by shared connections.
func (c *Client) WithTransport(rt http.RoundTripper) *Client {
	out := *c
	out.http = &http.Client{Transport: rt}
	return &out
}

// URL is the shop's address, without a slash at its end.
func (c *Client) URL() string { return c.base }

// Token is what the client sends; empty for a guest without one.
func (c *Client) Token() string { return c.token }

// Close closes idle connections, also those of clients that share them.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Meta is what an answer says beside its body.
type Meta struct {
	Status   int
	ETag     string
	Location string
	// Replayed says that the answer was determined by an earlier call with the
	// same idempotency key.
	Replayed bool
	Header   http.Header
	// Body is the answer's body as it came.
	Body []byte
}

// request is one call. The zero value of a field leaves it out.
type request struct {
	method, path string
	query        url.Values
	body         any // sent as JSON, but an io.Reader as it is
	contentType  string
	key          string
	wait         time.Duration
	ifMatch      string
	ifNoneMatch  string
}

// do sends the request and decodes the body of a 2xx into out unless that is
// nil. Any other answer is a *Problem; an error of another type means that
// there was no whole answer.
func (c *Client) do(ctx context.Context, r request, out any) (*Meta, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	sent := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err // a *url.Error, which names method and URL
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: reading the answer: %w", r.method, r.path, err)
	}
	meta := &Meta{
		Status: res.StatusCode, ETag: res.Header.Get("ETag"), Location: res.Header.Get("Location"),
		Replayed: res.Header.Get("Idempotent-Replayed") == "true", Header: res.Header,
		Body: body,
	}
	if err := c.memory.learn(res.Header); err != nil {
		return meta, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		p := problem(r, res, body)
		p.Took = time.Since(sent)
		return meta, p
	}
	if out == nil || len(body) == 0 {
		return meta, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return meta, fmt.Errorf("%s %s: answer %d is not what it should be: %w", r.method, r.path, res.StatusCode, err)
	}
	return meta, nil
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	contentType := r.contentType
	switch b := r.body.(type) {
	case nil:
	case io.Reader:
		body = b
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(data), "application/json"
	}
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	for name, values := range c.extra {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	set("Content-Type", contentType)
	set("Idempotency-Key", r.key)
	set("If-Match", r.ifMatch)
	set("If-None-Match", r.ifNoneMatch)
	c.memory.send(req.Header)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if r.wait > 0 {
		req.Header.Set("Prefer", "wait="+strconv.Itoa(int(r.wait/time.Second)))
	}
	return req, nil
}

// Problem is an answer of the shop that is no success: RFC 9457 where the shop
// gave one.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Errors name the fields at fault.
	Errors []FieldError `json:"errors"`
	// Shortages name the SKUs that there are not enough of.
	Shortages []Shortage `json:"shortages"`
	TraceID   string     `json:"trace_id"`
	// RetryAfter is how long the shop asks to wait; 0 when it does not say.
	RetryAfter time.Duration `json:"-"`
	// Call is the method and path that were refused, and Took how long it took.
	Call string        `json:"-"`
	Took time.Duration `json:"-"`
}

// FieldError is what is wrong with one field.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Shortage is a SKU that there is not enough of.
type Shortage struct {
	SKU       string `json:"sku"`
	Requested int64  `json:"requested"`
	Available int64  `json:"available"`
}

// Slug is the last part of the type, such as "price-changed".
func (p *Problem) Slug() string { return p.Type[strings.LastIndexByte(p.Type, '/')+1:] }

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d %s", p.Call, p.Status, p.Title)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "; %s: %s", e.Field, e.Detail)
	}
	for _, s := range p.Shortages {
		fmt.Fprintf(&b, "; %s: %d wanted, %d available", s.SKU, s.Requested, s.Available)
	}
	if p.TraceID != "" {
		b.WriteString(" (trace " + p.TraceID + ")")
	}
	return b.String()
}

// problem reads an answer that is no success, the gateway's or a proxy's.
func problem(r request, res *http.Response, body []byte) *Problem {
	p := &Problem{}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")) // "" when malformed
	if media != "application/problem+json" || json.Unmarshal(body, p) != nil {
		*p = Problem{Detail: strings.TrimSpace(string(body[:min(len(body), 200)]))}
	}
	p.Status, p.Call = res.StatusCode, r.method+" "+r.path
	if p.Title == "" {
		p.Title = http.StatusText(res.StatusCode)
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}
