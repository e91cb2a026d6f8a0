package budget

import (
	"fmt"
	"net/http"
	"strings"
)

// The sizes of bodies.
const (
	kib = 1 << 10
	mib = 1 << 20
	// exported is what an export holds: a page of the order service's is 2 MiB, and four times
	// that with what it decodes to.
	exported = 8 * mib
)

// Operation is something that the gateway is asked for, with what it costs those who ask.
type Operation struct {
	// Method and Path are a route; {name} stands for one segment. GET is HEAD, too.
	Method, Path string
	// Cost is in units: 1 is what a read from the gateway's own copies costs.
	Cost float64
	// Searched is added when the request has words to search for (q).
	Searched float64
	// Kilobyte is added for each KiB of the body.
	Kilobyte float64
	// Body is the largest body, in bytes.
	Body int64
	// Held is how many bytes are held for each byte of a body: the text, what it decodes to,
	// the message to a service and the answer.
	Held int64
	// Answer is how many bytes are held while the answer is made, however large it gets: a page
	// of what a service sends at a time, and what is made of it.
	Answer int64
	// Recorded says that each request of it leaves an entry in the audit log for good, on a
	// guest's word.
	Recorded bool
	// Keeps says that the body's bytes are kept for weeks, on a guest's word.
	Keeps bool
	// Carts says who makes a cart by it.
	Carts carts
	// Stream says that the answer goes on until the client has enough.
	Stream bool
	// Reason is why it costs that.
	Reason string
}

// carts are who makes a cart by an operation.
type carts int

const (
	noCart    carts = iota
	newGuests       // who has none yet
	everybody
)

// Operations is the table of all that costs something else than Other.
var Operations = []Operation{
	{Method: "GET", Path: "/v1/products", Cost: 2, Searched: 8, Reason: "a page of a listing, from the gateway's copy; words are looked up in the catalog's database"},
	{Method: "GET", Path: "/v1/products/{sku}", Cost: 1, Reason: "a product, from the gateway's copy"},
	{Method: "GET", Path: "/v1/categories", Cost: 1, Reason: "from a copy"},
	{Method: "GET", Path: "/v1/products/{sku}/related", Cost: 2, Reason: "a list, from a copy"},
	{Method: "POST", Path: "/v1/carts", Cost: 10, Kilobyte: 1, Body: 512 * kib, Held: 4, Keeps: true, Carts: everybody, Reason: "a guest and a cart, kept for 30 days; admission control"},
	{Method: "GET", Path: "/v1/carts/{cart_id}", Cost: 3, Reason: "calls of the cart service and of the catalog"},
	{Method: "GET", Path: "/v1/carts/{cart_id}/quote", Cost: 8, Reason: "three services price the cart"},
	{Method: "PUT", Path: "/v1/carts/{cart_id}/lines", Cost: 6, Kilobyte: 1, Body: 512 * kib, Held: 4, Keeps: true, Reason: "a write of up to 2,000 lines, kept for 30 days"},
	{Method: "POST", Path: "/v1/carts/{cart_id}/lines", Cost: 6, Body: 2 * kib, Held: 4, Keeps: true, Reason: "a write of one line"},
	{Method: "PUT", Path: "/v1/carts/{cart_id}/lines/{sku}", Cost: 6, Body: 2 * kib, Held: 4, Keeps: true, Reason: "a write of one line"},
	{Method: "DELETE", Path: "/v1/carts/{cart_id}/lines/{sku}", Cost: 6, Reason: "a write of one line"},
	{Method: "POST", Path: "/v1/orders", Cost: 40, Body: 576 * kib, Held: 2, Reason: "the most that a shopper can ask for: some 20 transactions in four databases and two calls of the payment provider; the body has the agreement of up to 2,000 lines"},
	{Method: "GET", Path: "/v1/orders", Cost: 4, Reason: "a query of the orders; an operator's also one of the read model"},
	{Method: "GET", Path: "/v1/orders/export", Cost: 100, Answer: exported, Reason: "reads all orders of a window; operators"},
	{Method: "GET", Path: "/v1/orders/{order_id}", Cost: 3, Reason: "one call of the order service"},
	{Method: "POST", Path: "/v1/orders/{order_id}/cancel", Cost: 20, Body: 4 * kib, Held: 2, Reason: "gives stock and money back: calls of three services and of the provider"},
	{Method: "GET", Path: "/v1/orders/{order_id}/events", Cost: 6, Stream: true, Reason: "a stream of its own from the order service"},
	{Method: "POST", Path: "/v1/orders/{order_id}/refunds", Cost: 20, Body: 512 * kib, Held: 2, Reason: "money goes back: the provider is called; operators"},
	{Method: "GET", Path: "/v1/orders/{order_id}/refunds/{refund_id}", Cost: 3, Reason: "one call of the order service"},
	{Method: "DELETE", Path: "/v1/session", Cost: 4, Reason: "a write of one row"},
	{Method: "GET", Path: "/v1/personal-data", Cost: 100, Answer: exported, Recorded: true, Reason: "reads all orders, payments and carts of a shopper"},
	{Method: "DELETE", Path: "/v1/personal-data", Cost: 100, Recorded: true, Reason: "writes all orders, payments and carts of a shopper"},
	{Method: "GET", Path: "/v1/reports", Cost: 3, Reason: "one call of the insight service; operators"},
	{Method: "GET", Path: "/v1/reports/sales", Cost: 50, Reason: "sums all lines that were paid within a time; operators"},
	{Method: "GET", Path: "/v1/reports/funnel", Cost: 20, Reason: "counts all orders of a time; operators"},
	{Method: "GET", Path: "/v1/reports/refunds", Cost: 10, Reason: "sums all refunds of a time; operators"},
	{Method: "GET", Path: "/v1/refunds", Cost: 10, Reason: "a query of the refunds; operators"},
	{Method: "GET", Path: "/v1/audit-log", Cost: 20, Reason: "a query of each service's log, whose whole length a filter may read; operators"},
	{Method: "GET", Path: "/v1/mails", Cost: 10, Reason: "a query of the mails; operators"},
	{Method: "GET", Path: "/v1/mails/{mail_id}", Cost: 4, Reason: "a mail, and its order at another service; operators"},
	{Method: "GET", Path: "/v1/webhook-endpoints", Cost: 3, Reason: "one call of the notification service; operators"},
	{Method: "POST", Path: "/v1/webhook-endpoints", Cost: 10, Body: 64 * kib, Held: 2, Reason: "a write of one row, and of the audit log; operators"},
	{Method: "GET", Path: "/v1/webhook-endpoints/{endpoint_id}", Cost: 3, Reason: "one call of the notification service; operators"},
	{Method: "PATCH", Path: "/v1/webhook-endpoints/{endpoint_id}", Cost: 10, Body: 64 * kib, Held: 2, Reason: "a write of one row, and of the audit log; operators"},
	{Method: "DELETE", Path: "/v1/webhook-endpoints/{endpoint_id}", Cost: 10, Reason: "deletes the endpoint's deliveries, too; operators"},
	{Method: "POST", Path: "/v1/webhook-endpoints/{endpoint_id}/secret", Cost: 10, Body: 4 * kib, Held: 2, Reason: "a write of one row, and of the audit log; operators"},
	{Method: "POST", Path: "/v1/webhook-endpoints/{endpoint_id}/test", Cost: 10, Body: 4 * kib, Held: 2, Reason: "a delivery; operators"},
	{Method: "POST", Path: "/v1/webhook-endpoints/{endpoint_id}/replay", Cost: 100, Body: 4 * kib, Held: 2, Reason: "sends all deliveries again that failed since a time; operators"},
	{Method: "GET", Path: "/v1/webhook-endpoints/{endpoint_id}/deliveries", Cost: 10, Reason: "a query of the deliveries; operators"},
	{Method: "GET", Path: "/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}", Cost: 4, Reason: "a delivery and its attempts; operators"},
	{Method: "POST", Path: "/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/replay", Cost: 10, Body: 4 * kib, Held: 2, Reason: "a delivery; operators"},
	{Method: "GET", Path: "/v1/customers", Cost: 10, Reason: "a query of the orders; operators"},
	{Method: "GET", Path: "/v1/customers/{customer_id}/personal-data", Cost: 100, Answer: exported, Reason: "as GET /v1/personal-data; operators"},
	{Method: "DELETE", Path: "/v1/customers/{customer_id}/personal-data", Cost: 100, Reason: "as DELETE /v1/personal-data; operators"},
	{Method: "DELETE", Path: "/v1/customers/{customer_id}/sessions", Cost: 4, Reason: "a write of one row; operators"},
	{Method: "PUT", Path: "/v1/products/{sku}", Cost: 10, Body: 1 * mib, Held: 4, Reason: "an edit, under the catalog's lock; operators"},
	{Method: "DELETE", Path: "/v1/products/{sku}", Cost: 10, Reason: "an edit, under the catalog's lock; operators"},
	{Method: "PUT", Path: "/v1/products/{sku}/state", Cost: 10, Body: 4 * kib, Held: 2, Reason: "an edit, under the catalog's lock; operators"},
	{Method: "DELETE", Path: "/v1/products/{sku}/variants/{variant_sku}", Cost: 10, Reason: "an edit, under the catalog's lock; operators"},
	{Method: "PUT", Path: "/v1/products/{sku}/variants/{variant_sku}/state", Cost: 10, Body: 4 * kib, Held: 2, Reason: "an edit, under the catalog's lock; operators"},
	{Method: "POST", Path: "/v1/products/import", Cost: 200, Kilobyte: .1, Body: 16 * mib, Held: 2, Reason: "up to 20,000 products, checked as a whole and written in batches; operators"},
	{Method: "POST", Path: "/v1/stock-adjustments", Cost: 10, Body: 1 * mib, Held: 2, Reason: "an edit; operators"},
	{Method: "POST", Path: "/v1/prices", Cost: 10, Kilobyte: .5, Body: 1 * mib, Held: 2, Reason: "up to 2,000 prices in one transaction; operators"},
	{Method: "POST", Path: "/v1/reconciliations", Cost: 200, Body: 4 * kib, Held: 2, Reason: "reads the provider's list and the ledger; operators"},
	{Method: "GET", Path: "/v1/reconciliations/{reconciliation_id}", Cost: 3, Reason: "one call of payment; operators"},

	{Method: "GET", Path: "/", Cost: 1, Reason: "from a copy"},
	{Method: "GET", Path: "/products/{sku}", Cost: 1, Reason: "from a copy"},
	{Method: "GET", Path: "/static/{file}", Cost: 1, Reason: "from memory"},
	{Method: "GET", Path: "/pictures/categories/{file}", Cost: 1, Reason: "drawn once, and kept"},
	{Method: "GET", Path: "/search", Cost: 1, Reason: "leads to /products"},
	{Method: "GET", Path: "/products", Cost: 2, Searched: 8, Reason: "as GET /v1/products, as a page"},
	{Method: "GET", Path: "/categories/{slug}", Cost: 2, Searched: 8, Reason: "as GET /v1/products, as a page"},
	{Method: "GET", Path: "/cart", Cost: 4, Reason: "as GET /v1/carts/{cart_id}, as a page"},
	{Method: "POST", Path: "/cart", Cost: 6, Kilobyte: 1, Body: 576 * kib, Held: 4, Keeps: true, Reason: "a write of up to 2,000 lines, and the page"},
	{Method: "POST", Path: "/cart/lines", Cost: 10, Body: 2 * kib, Held: 4, Keeps: true, Carts: newGuests, Reason: "a write of one line, of the first one with a guest and a cart; admission control"},
	{Method: "GET", Path: "/checkout", Cost: 8, Reason: "three services price the cart"},
	{Method: "POST", Path: "/checkout", Cost: 40, Body: 576 * kib, Held: 2, Reason: "as POST /v1/orders"},
	{Method: "POST", Path: "/session/new", Cost: 12, Body: 2 * kib, Held: 4, Keeps: true, Carts: everybody, Reason: "a query of the orders, a read of the cart, and a new one; admission control"},
	{Method: "POST", Path: "/session/end", Cost: 4, Body: 2 * kib, Held: 4, Reason: "a write of one row"},
	{Method: "GET", Path: "/orders", Cost: 4, Reason: "a query of the orders"},
	{Method: "GET", Path: "/orders/{id}", Cost: 3, Reason: "one call of the order service"},
	{Method: "GET", Path: "/orders/{id}/events", Cost: 6, Stream: true, Reason: "a stream of its own from the order service"},
	{Method: "POST", Path: "/orders/{id}/cancel", Cost: 20, Body: 4 * kib, Held: 2, Reason: "as POST /v1/orders/{order_id}/cancel"},
	{Method: "GET", Path: "/admin", Cost: 1, Reason: "leads to /admin/traces"},
	{Method: "GET", Path: "/admin/sign-in", Cost: 1, Reason: "a form"},
	{Method: "POST", Path: "/admin/sign-in", Cost: 40, Body: 2 * kib, Held: 4, Reason: "a guess of an operator's token, if it is none"},
	{Method: "POST", Path: "/admin/sign-out", Cost: 1, Body: 2 * kib, Held: 4, Reason: "a note in memory; operators"},
	{Method: "GET", Path: "/admin/metrics", Cost: 20, Reason: "as GET /admin/metrics/{dashboard}"},
	{Method: "GET", Path: "/admin/metrics/{dashboard}", Cost: 20, Reason: "the store of metrics evaluates up to 20 queries; operators"},
	{Method: "GET", Path: "/admin/traces", Cost: 20, Reason: "searches the store of traces; operators"},
	{Method: "GET", Path: "/admin/traces/{id}", Cost: 20, Reason: "up to 1,000 spans of the store of traces; operators"},
	{Method: "GET", Path: "/sitemap.xml", Cost: 4, Reason: "kept for an hour"},
	{Method: "GET", Path: "/sitemap-pages.xml", Cost: 4, Reason: "kept for an hour"},
	{Method: "GET", Path: "/sitemap-products.xml", Cost: 10, Reason: "kept for an hour; up to 50,000 addresses"},
	{Method: "GET", Path: "/pictures/{file}", Cost: 1, Reason: "drawn once, and kept"},
}

// Other is what everything else costs: what is read from the gateway's own copies, what
// there is not, and what is refused.
var Other = Operation{Cost: 1, Body: 4 * kib, Held: 1, Reason: "an answer from the gateway's own copies, or a refusal"}

// String is the operation as it stands in tables.
func (o *Operation) String() string { return o.Method + " " + o.Path }

// cost of a request without its body.
func (o *Operation) cost(r *http.Request) float64 {
	if o.Searched > 0 && searches(r.URL.RawQuery) {
		return o.Cost + o.Searched
	}
	return o.Cost
}

// bodyCost is what so many bytes of a body cost.
func (o *Operation) bodyCost(n int64) float64 { return o.Kilobyte * float64(max(n, 0)) / kib }

// searches reports that a query has the parameter q, however that is written.
func searches(query string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name == "q" || name == "%71" {
			return true
		}
	}
	return false
}

// routes finds operations by the first segment of the path after /v1.
type routes map[string][]route

type route struct {
	op       *Operation
	segments []string // "" is any
}

func newRoutes(table []Operation) (routes, error) {
	out := routes{}
	seen := map[string]bool{}
	for i := range table {
		op := &table[i]
		if seen[op.String()] {
			return nil, fmt.Errorf("budget: %s is there twice", op)
		}
		seen[op.String()] = true
		first, rest := split(op.Path)
		var segments []string
		for rest != "" {
			var s string
			s, rest, _ = strings.Cut(rest, "/")
			if strings.HasPrefix(s, "{") {
				s = ""
			}
			segments = append(segments, s)
		}
		out[first] = append(out[first], route{op, segments})
	}
	return out, nil
}

// split returns the segment by which an operation is found, "/v1/carts" or "/cart", and
// what follows it.
func split(path string) (first, rest string) {
	from := 1
	if strings.HasPrefix(path, "/v1/") {
		from = len("/v1/")
	}
	if len(path) < from {
		return path, ""
	}
	if i := strings.IndexByte(path[from:], '/'); i >= 0 {
		return path[:from+i], path[from+i+1:]
	}
	return path, ""
}

// find returns the operation of a request, Other if it has no row. Where two routes fit
// the one without a parameter is meant.
func (r routes) find(method, path string) *Operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	first, rest := split(path)
	found, fixed := &Other, -1
	for _, candidate := range r[first] {
		if candidate.op.Method != method {
			continue
		}
		if n := candidate.fits(rest); n > fixed {
			found, fixed = candidate.op, n
		}
	}
	return found
}

// fits returns how many segments are the same, -1 when the route is another.
func (r *route) fits(rest string) int {
	same := 0
	for _, want := range r.segments {
		if rest == "" {
			return -1
		}
		var got string
		got, rest, _ = strings.Cut(rest, "/")
		switch {
		case want == got:
			same++
		case want != "":
			return -1
		}
	}
	if rest != "" {
		return -1
	}
	return same
}
