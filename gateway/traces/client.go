package traces

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/gateway/internal/storeclient"
)

// Query says which traces are asked for. What is zero asks for any.
type Query struct {
	// Operation is a part of the name of a span, in any case of letters.
	Operation string
	// Order is the number or the id of an order.
	Order string
	// Min is how long the first span took, at least.
	Min time.Duration
	// Failed asks for traces in which a span failed.
	Failed bool
	// Requests asks for traces that begin with a request which a service answered, and not with
	// its own work; the gateway's checks of health are left out, too.
	Requests bool
	// Limit is how many at most, the newest first; 0 is DefaultLimit.
	Limit int
}

// How many traces a list has.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// The parameters of a query, and the paths of a store.
const (
	paramOperation, paramOrder, paramMin, paramFailed, paramRequests, paramLimit = "operation", "order", "min", "failed", "requests", "limit"
)

// ListPath is where a store answers a List.
const ListPath = "/traces"

// TracePath is where, with an id behind it, it answers a Trace.
const TracePath = ListPath + "/"

// Values writes a query as parameters.
func (q Query) Values() url.Values {
	v := url.Values{}
	set := func(name, value string, is bool) {
		if is {
			v.Set(name, value)
		}
	}
	set(paramOperation, q.Operation, q.Operation != "")
	set(paramOrder, q.Order, q.Order != "")
	set(paramMin, q.Min.String(), q.Min != 0)
	set(paramFailed, "true", q.Failed)
	set(paramRequests, "true", q.Requests)
	set(paramLimit, strconv.Itoa(q.Limit), q.Limit != 0)
	return v
}

// ParseQuery reads what Values wrote. The error names the parameter.
func ParseQuery(v url.Values) (Query, error) {
	q := Query{Operation: v.Get(paramOperation), Order: v.Get(paramOrder), Failed: v.Get(paramFailed) == "true", Requests: v.Get(paramRequests) == "true"}
	var err error
	if text := v.Get(paramMin); text != "" {
		if q.Min, err = time.ParseDuration(text); err != nil || q.Min < 0 {
			return q, fmt.Errorf("%s: want a duration such as 250ms", paramMin)
		}
	}
	if text := v.Get(paramLimit); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > MaxLimit {
			return q, fmt.Errorf("%s: want 1 to %d", paramLimit, MaxLimit)
		}
	}
	return q, nil
}

// List are the traces that a query found.
type List struct {
	Traces []Summary `json:"traces"`
	Stats  Stats     `json:"stats"`
}

// ErrNotFound means that the store has no such trace: it made room for newer ones, or
// never came.
var ErrNotFound = errors.New("there is no such trace, or no longer")

// ErrUnavailable means that the store did not answer.
var ErrUnavailable = errors.New("the store of traces does not answer")

// Client asks a store. Safe for concurrent use.
type Client struct{ store *storeclient.Client }

// NewClient makes a client of the store at a URL, such as http://127.0.0.1:4318, which asks
// for a token.
func NewClient(base, token string) (*Client, error) {
	store, err := storeclient.New(base, token, ErrNotFound, ErrUnavailable)
	if err != nil {
		return nil, err
	}
	return &Client{store: store}, nil
}

// List returns the traces that a query finds, the newest first.
func (c *Client) List(ctx context.Context, q Query) (*List, error) {
	var out List
	return &out, c.store.Get(ctx, ListPath+"?"+q.Values().Encode(), &out)
}

// Trace returns a trace by its id; ErrNotFound when the store has none.
func (c *Client) Trace(ctx context.Context, id string) (*Trace, error) {
	var out Trace
	return &out, c.store.Get(ctx, TracePath+url.PathEscape(id), &out)
}

// IsID reports that a text has the form of a trace's id.
func IsID(text string) bool {
	_, err := trace.TraceIDFromHex(text)
	return err == nil
}
