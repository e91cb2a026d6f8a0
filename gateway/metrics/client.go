package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
	"unicode"

	"github.com/souk-shop/souk/gateway/internal/storeclient"
)

// Query says what of a dashboard is asked for.
type Query struct {
	// Range is how far back it reaches; 0 is DefaultRange.
	Range time.Duration
	// Service is the one that is shown by a dashboard of one service; "" is all.
	Service string
}

// How far back a dashboard reaches.
const (
	DefaultRange = 15 * time.Minute
	MinRange     = time.Minute
	MaxRange     = 30 * time.Minute
)

// maxService is the length of a service's name.
const maxService = 63

const (
	paramRange, paramService = "range", "service"
)

// DashboardPath is where, with a dashboard's id behind it, a store answers a Dashboard.
const DashboardPath = "/dashboards/"

// Values writes a query as parameters.
func (q Query) Values() url.Values {
	v := url.Values{}
	if q.Range != 0 {
		v.Set(paramRange, q.Range.String())
	}
	if q.Service != "" {
		v.Set(paramService, q.Service)
	}
	return v
}

// ParseQuery reads what Values wrote. The error names the parameter.
func ParseQuery(v url.Values) (Query, error) {
	q := Query{Range: DefaultRange, Service: v.Get(paramService)}
	if text := v.Get(paramRange); text != "" {
		var err error
		if q.Range, err = time.ParseDuration(text); err != nil || q.Range < MinRange || q.Range > MaxRange {
			return q, fmt.Errorf("%s: want %s to %s, such as 15m", paramRange, MinRange, MaxRange)
		}
	}
	if !isName(q.Service) {
		return q, fmt.Errorf("%s: want the name of a service", paramService)
	}
	return q, nil
}

// isName reports whether a text may be a service's name, or none: it is put into queries.
func isName(text string) bool {
	for _, r := range text {
		if r > unicode.MaxASCII || r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return len(text) <= maxService
}

// ErrNotFound means that the store has no such dashboard.
var ErrNotFound = errors.New("there is no such dashboard")

// ErrUnavailable means that the store did not answer.
var ErrUnavailable = errors.New("the store of metrics does not answer")

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

// Dashboard returns a dashboard by its id; ErrNotFound when the store has none.
func (c *Client) Dashboard(ctx context.Context, id string, q Query) (*Dashboard, error) {
	var out Dashboard
	return &out, c.store.Get(ctx, DashboardPath+url.PathEscape(id)+"?"+q.Values().Encode(), &out)
}
