// Package replay drives a real shop's invoices through Souk's public REST API,
// as its customers would, and records the answers.
package replay

import (
	"fmt"
	"sort"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// Line is a number of units of a SKU.
type Line struct {
	SKU      string
	Quantity int64
}

// Sale is an invoice to be ordered.
type Sale struct {
	Invoice  string
	Customer string // empty for a guest
	Country  string
	At       time.Time
	// Lines has each SKU once: an invoice that lists a product twice at one
	// price has one line here.
	Lines []Line
	// InvoiceLines is the number of lines before that.
	InvoiceLines int
	Total        money.Money
}

// email is the buyer's address.
func (s *Sale) email() string {
	if s.Customer == "" {
		return "guest-" + s.Invoice + "@example.com"
	}
	return "customer-" + s.Customer + "@example.com"
}

// Refund gives back units of one sale for one cancellation.
type Refund struct {
	// Cancellation is the number of the cancelling invoice.
	Cancellation string
	Sale         *Sale
	At           time.Time
	Lines        []Line
	Amount       money.Money
}

// Event is a Sale or a Refund, in the order of time.
type Event struct {
	Sale   *Sale
	Refund *Refund
}

// who is the key of the events that must follow each other: a customer's own,
// or those of one guest's invoice.
func (e Event) who() string {
	s := e.Sale
	if e.Refund != nil {
		s = e.Refund.Sale
	}
	if s.Customer == "" {
		return "guest of " + s.Invoice
	}
	return "customer " + s.Customer
}

// Product is what must be in the catalog, with a variant for each price that
// the data set has for it.
type Product struct {
	Code     string
	Name     string
	Variants []Variant
}

// Variant is a product at one price.
type Variant struct {
	SKU   string
	Price money.Money
	// Units is how many will be sold.
	Units int64
}

// Plan is everything a replay will do, decided before it starts, so that an
// interrupted replay decides the same again.
type Plan struct {
	Events   []Event
	Products []Product

	Sales, InvoiceLines, Lines, Units int64
	Gross                             money.Money
	Cancellations                     int64
	Refunds                           int64
	RefundedUnits                     int64
	Refunded                          money.Money
	// Unmatched are cancelled lines and units for which the customer has no
	// earlier sale left; they are reported, not replayed.
	UnmatchedLines, UnmatchedUnits int64
}

// planner collects invoices in the order of the file.
type planner struct {
	plan     Plan
	products map[string]*product
	// bought has each customer's units that can still be cancelled, by product.
	bought map[owned][]*holding
}

type product struct {
	name     string
	variants map[int64]*Variant // by price in minor units
}

type owned struct{ customer, code string }

// holding is what is left of one line of a sale.
type holding struct {
	sale *Sale
	sku  string
	unit money.Money
	left int64
}

// Item is a line of an invoice of the data set that is about a product.
type Item struct {
	Code     string // upper case
	Name     string
	Quantity int64 // positive
	Price    money.Money
}

func newPlanner(currency string) *planner {
	return &planner{
		plan: Plan{
			Gross:    money.Zero(currency),
			Refunded: money.Zero(currency),
		},
		products: map[string]*product{},
		bought:   map[owned][]*holding{},
	}
}

// sku names a product at a price: the data set sells one product at several.
func sku(code string, price money.Money) string {
	return fmt.Sprintf("%s-%d", code, price.Units)
}

// sale enters an invoice.
func (p *planner) sale(invoice, customer, country string, at time.Time, items []Item) error {
	s := &Sale{Invoice: invoice, Customer: customer, Country: country, At: at, InvoiceLines: len(items), Total: money.Zero(p.plan.Gross.Currency)}
	index := map[string]int{}
	for _, it := range items {
		amount, err := it.Price.Mul(it.Quantity)
		if err == nil {
			s.Total, err = s.Total.Add(amount)
		}
		if err != nil {
			return fmt.Errorf("invoice %s: %w", invoice, err)
		}
		v := p.variant(it)
		v.Units += it.Quantity
		p.plan.Units += it.Quantity
		if i, ok := index[v.SKU]; ok {
			s.Lines[i].Quantity += it.Quantity
		} else {
			index[v.SKU] = len(s.Lines)
			s.Lines = append(s.Lines, Line{v.SKU, it.Quantity})
		}
		if customer != "" {
			key := owned{customer, it.Code}
			p.bought[key] = append(p.bought[key], &holding{s, v.SKU, it.Price, it.Quantity})
		}
	}
	var err error
	if p.plan.Gross, err = p.plan.Gross.Add(s.Total); err != nil {
		return fmt.Errorf("invoice %s: %w", invoice, err)
	}
	p.plan.Sales++
	p.plan.InvoiceLines += int64(len(items))
	p.plan.Lines += int64(len(s.Lines))
	p.plan.Events = append(p.plan.Events, Event{Sale: s})
	return nil
}

func (p *planner) variant(it Item) *Variant {
	pr := p.products[it.Code]
	if pr == nil {
		pr = &product{name: it.Name, variants: map[int64]*Variant{}}
		p.products[it.Code] = pr
	}
	v := pr.variants[it.Price.Units]
	if v == nil {
		v = &Variant{SKU: sku(it.Code, it.Price), Price: it.Price}
		pr.variants[it.Price.Units] = v
	}
	return v
}

// cancellation enters a cancelling invoice: each line takes back the same
// customer's latest matching units, whatever they cost. A cancellation has no
// link to the sale that it undoes; one may need several refunds.
func (p *planner) cancellation(invoice, customer string, at time.Time, items []Item) error {
	p.plan.Cancellations++
	refunds := map[*Sale]*Refund{}
	var order []*Refund
	for _, it := range items {
		left := it.Quantity
		if customer != "" {
			key := owned{customer, it.Code}
			stack := p.bought[key]
			for left > 0 && len(stack) > 0 {
				h := stack[len(stack)-1]
				n := min(left, h.left)
				r := refunds[h.sale]
				if r == nil {
					r = &Refund{Cancellation: invoice, Sale: h.sale, At: at, Amount: money.Zero(h.unit.Currency)}
					refunds[h.sale] = r
					order = append(order, r)
				}
				if err := r.add(h, n); err != nil {
					return fmt.Errorf("invoice %s: %w", invoice, err)
				}
				p.plan.RefundedUnits += n
				left -= n
				if h.left -= n; h.left == 0 {
					stack = stack[:len(stack)-1]
				}
			}
			p.bought[key] = stack
		}
		if left > 0 {
			p.plan.UnmatchedLines++
			p.plan.UnmatchedUnits += left
		}
	}
	for _, r := range order {
		var err error
		if p.plan.Refunded, err = p.plan.Refunded.Add(r.Amount); err != nil {
			return fmt.Errorf("invoice %s: %w", invoice, err)
		}
		p.plan.Refunds++
		p.plan.Events = append(p.plan.Events, Event{Refund: r})
	}
	return nil
}

// add takes n units of a holding back.
func (r *Refund) add(h *holding, n int64) error {
	amount, err := h.unit.Mul(n)
	if err != nil {
		return err
	}
	if r.Amount, err = r.Amount.Add(amount); err != nil {
		return err
	}
	for i := range r.Lines {
		if r.Lines[i].SKU == h.sku {
			r.Lines[i].Quantity += n
			return nil
		}
	}
	r.Lines = append(r.Lines, Line{h.sku, n})
	return nil
}

// finish sorts the products, so that two plans of one file are the same.
func (p *planner) finish() *Plan {
	for code, pr := range p.products {
		out := Product{Code: code, Name: pr.name}
		for _, v := range pr.variants {
			out.Variants = append(out.Variants, *v)
		}
		sort.Slice(out.Variants, func(i, j int) bool { return out.Variants[i].Price.Units < out.Variants[j].Price.Units })
		p.plan.Products = append(p.plan.Products, out)
	}
	sort.Slice(p.plan.Products, func(i, j int) bool { return p.plan.Products[i].Code < p.plan.Products[j].Code })
	return &p.plan
}
