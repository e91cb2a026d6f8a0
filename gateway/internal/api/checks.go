package api

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/proto/money"
)

// The values of request bodies, checked against openapi.yaml, so that each
// wrong field is named. The services check what they depend on once more.

var (
	methodPattern  = regexp.MustCompile(`^pm_[A-Za-z0-9_]{1,100}$`)
	countryPattern = regexp.MustCompile(`^[A-Z]{2}$`)
)

// maxFieldErrors bounds the errors of one answer.
const maxFieldErrors = 20

type checks []problem.Field

func (c *checks) add(field, format string, args ...any) {
	if len(*c) < maxFieldErrors {
		*c = append(*c, problem.Field{Field: field, Detail: fmt.Sprintf(format, args...)})
	}
}

func (c *checks) text(field, s string, least, most int) {
	n := utf8.RuneCountInString(s)
	switch {
	case n < least || least > 0 && strings.TrimSpace(s) == "":
		c.add(field, "is required")
	case n > most:
		c.add(field, "must be at most %d characters, it has %d", most, n)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f }):
		c.add(field, "must not have control characters")
	}
}

func (c *checks) between(field string, n, least, most int64) {
	if n < least || n > most {
		c.add(field, "must be %d to %d, it is %d", least, most, n)
	}
}

func (c *checks) sku(field, s string) {
	switch {
	case s == "":
		c.add(field, "is required")
	case len(s) > 64:
		c.add(field, "must be at most 64 characters")
	}
}

func (c *checks) price(field string, m Money) {
	p, err := money.New(m.Amount, m.Currency)
	switch {
	case err != nil:
		c.add(field+".currency", "must be an ISO 4217 code")
	case p.Units <= 0:
		c.add(field+".amount", "must be greater than zero, it is %d", m.Amount)
	}
}

func (c *checks) lines(lines []Line) {
	if len(lines) > cart.MaxLines {
		c.add("lines", "must be at most %d", cart.MaxLines)
		return
	}
	seen := make(map[string]bool, len(lines))
	for i, l := range lines {
		at := fmt.Sprintf("lines[%d].", i)
		c.sku(at+"sku", l.SKU)
		c.between(at+"quantity", l.Quantity, 1, cart.MaxQuantity)
		if seen[l.SKU] {
			c.add(at+"sku", "is there twice")
		}
		seen[l.SKU] = true
	}
}

func (b *Line) check() []problem.Field {
	var c checks
	c.sku("sku", b.SKU)
	c.between("quantity", b.Quantity, 1, cart.MaxQuantity)
	return c
}

func (b *Quantity) check() []problem.Field {
	var c checks
	c.between("quantity", b.Quantity, 1, cart.MaxQuantity)
	return c
}

func (b *NewCart) check() []problem.Field {
	var c checks
	c.lines(b.Lines)
	return c
}

func (b *Lines) check() []problem.Field {
	var c checks
	if b.Lines == nil {
		c.add("lines", "is required")
	}
	c.lines(b.Lines)
	return c
}

func (b *Checkout) check() []problem.Field {
	var c checks
	if _, err := uuid.Parse(b.CartID); err != nil || len(b.CartID) != 36 {
		c.add("cart_id", "must be a UUID")
	}
	if b.CartVersion != nil && *b.CartVersion < 1 {
		c.add("cart_version", "must be at least 1")
	}
	if !methodPattern.MatchString(b.PaymentMethod) {
		c.add("payment_method", `must be the payment provider's token, such as "pm_card_visa", and never a card number`)
	}
	if !validEmail(b.Email) {
		c.add("email", "must be an e-mail address")
	}
	a := &b.ShippingAddress
	c.text("shipping_address.name", a.Name, 1, 100)
	c.text("shipping_address.line1", a.Line1, 1, 200)
	c.text("shipping_address.line2", a.Line2, 0, 200)
	c.text("shipping_address.city", a.City, 1, 100)
	c.text("shipping_address.postal_code", a.PostalCode, 0, 20)
	if !countryPattern.MatchString(a.Country) {
		c.add("shipping_address.country", `must be an ISO 3166-1 alpha-2 code, such as "GB"`)
	}
	return c
}

// validEmail accepts a bare address that a mail can be sent to.
func validEmail(s string) bool {
	if len(s) > 254 {
		return false
	}
	addr, err := mail.ParseAddress(s)
	return err == nil && addr.Address == s && addr.Name == ""
}

func (b *RefundInput) check() []problem.Field {
	var c checks
	c.lines(b.Lines)
	c.text("reason", b.Reason, 0, 200)
	return c
}

func (b *StockAdjustment) check() []problem.Field {
	var c checks
	c.text("reason", b.Reason, 1, 200)
	c.between("changes", int64(len(b.Changes)), 1, 2000)
	seen := map[string]bool{}
	for i, ch := range b.Changes {
		at := fmt.Sprintf("changes[%d].", i)
		c.sku(at+"sku", ch.SKU)
		c.between(at+"delta", ch.Delta, -1_000_000_000, 1_000_000_000)
		if ch.Delta == 0 {
			c.add(at+"delta", "must not be zero")
		}
		if seen[ch.SKU] {
			c.add(at+"sku", "is there twice")
		}
		seen[ch.SKU] = true
	}
	return c
}

func (b *PriceChanges) check() []problem.Field {
	var c checks
	c.between("changes", int64(len(b.Changes)), 1, 2000)
	seen := map[string]bool{}
	for i, ch := range b.Changes {
		at := fmt.Sprintf("changes[%d].", i)
		c.sku(at+"sku", ch.SKU)
		c.price(at+"price", ch.Price)
		if seen[ch.SKU] {
			c.add(at+"sku", "is there twice")
		}
		seen[ch.SKU] = true
	}
	return c
}

// check leaves the code, which is in the path, to the handler.
func (b *ProductInput) check() []problem.Field {
	var c checks
	for i, v := range b.Variants {
		if len(b.Variants) <= catalog.MaxVariants {
			c.price(fmt.Sprintf("variants[%d].price", i), v.Price)
		}
	}
	p := b.product("X")
	for i := range p.Variants {
		p.Variants[i].Price.Units = max(p.Variants[i].Price.Units, 1) // told above
	}
	for _, e := range catalog.CheckProduct("", &p) {
		c.add(e.Field, "%s", e.Detail)
	}
	return c
}

func (b *ProductInput) product(code string) catalog.ProductInput {
	p := catalog.ProductInput{
		Code: code, Name: b.Name, Description: b.Description, Category: b.Category,
		CategoryName: b.CategoryName, Popularity: b.Popularity,
		Variants: make([]catalog.VariantInput, len(b.Variants)),
	}
	for i, v := range b.Variants {
		p.Variants[i] = catalog.VariantInput{
			SKU: v.SKU, Name: v.Name, Stock: v.Stock,
			Price: money.Money{Units: v.Price.Amount, Currency: v.Price.Currency},
		}
	}
	return p
}

func (b *ReconciliationWindow) check() []problem.Field {
	var c checks
	for field, t := range map[string]*time.Time{"from_time": b.FromTime, "to_time": b.ToTime} {
		if t != nil && (t.Year() < 1970 || t.Year() > 9000) {
			c.add(field, "must be from 1970 to 9000")
		}
	}
	return c
}
