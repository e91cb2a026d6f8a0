// Package edgecache has HTTP caches in front of the gateway, such as Varnish, keep what is the
// same for everybody: it says in each answer for how long and what the answer is about, and
// tells the caches when that has changed.
package edgecache

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeysHeader lists, in an answer, what the answer is about and, in a PURGE, what has changed:
// keys with blanks between them. A cache takes it off before a browser sees it.
const KeysHeader = "Surrogate-Key"

// The keys that are about more than one thing.
const (
	// All is on every answer.
	All = "all"
	// Listed is on what chooses or counts products: any product's change may change it.
	Listed = "listed"
	// Stocked is on what shows or counts the stock of many products.
	Stocked = "stocked"
	// Categories is on what shows names of categories.
	Categories = "categories"
)

// Product is the key of what shows a product.
func Product(id string) string { return "product:" + url.QueryEscape(id) }

// Stock is the key of what shows how many units of a SKU there are.
func Stock(sku string) string { return "stock:" + url.QueryEscape(sku) }

// maxKeys bounds the header of an answer, in bytes: Varnish takes 8 KiB in a line. An answer
// about more has the keys that every change of a product has.
const maxKeys = 6 << 10

// Keys are what an answer is about, ready to be sent.
type Keys []string

// NewKeys joins keys.
func NewKeys(about ...string) Keys {
	keys := slices.Compact(slices.Sorted(slices.Values(append(about, All))))
	line := strings.Join(keys, " ")
	if len(line) > maxKeys {
		keys = slices.DeleteFunc(keys, func(key string) bool { return strings.Contains(key, ":") })
		line = strings.Join(append(keys, manyProducts, manyStocks), " ")
	}
	return Keys{line}
}

// What an answer is about that shows more products than maxKeys holds.
const (
	manyProducts = "products"
	manyStocks   = "stocks"
)

// Policy is how long caches keep public answers.
type Policy struct {
	// MaxAge is for how long an edge keeps an answer that the gateway purges when it changes,
	// MaxAgeWithoutPurges for how long while the gateway cannot.
	MaxAge, MaxAgeWithoutPurges time.Duration
	// Revalidate is for how long after MaxAge an edge still gives an answer while it asks for
	// the next one, StaleIfError while it gets none. After MaxAgeWithoutPurges it waits
	// for the next one.
	Revalidate, StaleIfError time.Duration
	// Told reports that changes are told, to this process and to every edge.
	Told func() bool
}

// Header values that many answers share; net/http does not change them.
var (
	revalidate = []string{"public, no-cache"}
	header     = http.CanonicalHeaderKey(KeysHeader)
)

// Marker writes the headers of public answers.
type Marker struct {
	policy              Policy
	told, withoutPurges []string
}

// NewMarker returns a Marker. Without a policy answers may be kept, and used once the gateway
// has said that they are still right.
func NewMarker(p *Policy) *Marker {
	if p == nil {
		return &Marker{}
	}
	control := func(age, while time.Duration) []string {
		seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
		return []string{"public, max-age=0, s-maxage=" + seconds(age) + ", stale-while-revalidate=" + seconds(while) + ", stale-if-error=" + seconds(p.StaleIfError)}
	}
	return &Marker{policy: *p, told: control(p.MaxAge, p.Revalidate), withoutPurges: control(p.MaxAgeWithoutPurges, 0)}
}

// Mark says of an answer that it is the same for everybody, and what it is about.
func (m *Marker) Mark(h http.Header, about Keys) {
	switch {
	case m == nil || m.told == nil:
		h["Cache-Control"] = revalidate
		return
	case m.policy.Told():
		h["Cache-Control"] = m.told
	default:
		h["Cache-Control"] = m.withoutPurges
	}
	h[header] = about
}
