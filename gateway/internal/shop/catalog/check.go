package catalog

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/internal/problem"
)

// The limits of a product's texts, in characters, and of its numbers. The
// contract has the same; checking here names the field or line.
const (
	MaxName        = 200
	MaxDescription = 10_000
	MaxCategory    = 100
	MaxStock       = 1_000_000_000
	MaxPrice       = 1<<53 - 1 // minor units: what JavaScript counts exactly
	MaxProducts    = 20_000    // an import
	MaxVariants    = 1_000     // a product
)

var (
	skuPattern      = regexp.MustCompile(`^[A-Z0-9][A-Z0-9._-]{0,63}$`)
	categoryPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// checks collects what is wrong, under the name the client knows a field by.
type checks []problem.Field

func (c *checks) add(field, format string, args ...any) {
	*c = append(*c, problem.Field{Field: field, Detail: fmt.Sprintf(format, args...)})
}

func (c *checks) code(field, s string) {
	if !skuPattern.MatchString(s) {
		c.add(field, "must be 1 to 64 characters of A-Z, 0-9, dot, dash and underscore, starting with a letter or digit; it is %s", quote(s))
	}
}

func (c *checks) text(field, s string, least, most int) {
	switch n := utf8.RuneCountInString(s); {
	case n < least && strings.TrimSpace(s) == "":
		c.add(field, "must not be empty")
	case n > most:
		c.add(field, "must be at most %d characters, it has %d", most, n)
	case !cleanText(s):
		c.add(field, "must be text: no control characters")
	}
}

func (c *checks) category(field, s string) {
	if len(s) > MaxCategory || !categoryPattern.MatchString(s) {
		c.add(field, "must be a slug of at most 100 lower-case letters, digits and single dashes; it is %s", quote(s))
	}
}

func (c *checks) count(field string, n, least, most int64) {
	if n < least || n > most {
		c.add(field, "must be %d to %d, it is %d", least, most, n)
	}
}

// CheckProduct reports what is wrong with a product of a file.
func CheckProduct(p *ProductInput) []problem.Field {
	var c checks
	c.code("code", p.Code)
	c.text("name", p.Name, 1, MaxName)
	c.text("description", p.Description, 0, MaxDescription)
	c.category("category", p.Category)
	c.text("category_name", p.CategoryName, 0, MaxCategory)
	c.count("popularity", p.Popularity, 0, MaxStock)
	c.count("variants", int64(len(p.Variants)), 1, MaxVariants)
	seen := map[string]bool{}
	for i := range p.Variants {
		v := &p.Variants[i]
		at := fmt.Sprintf("variants[%d].", i)
		c.code(at+"sku", v.SKU)
		if seen[v.SKU] {
			c.add(at+"sku", "is there twice: %s", quote(v.SKU))
		}
		seen[v.SKU] = true
		c.text(at+"name", v.Name, 0, MaxName)
		if v.Price.Units <= 0 {
			c.add(at+"price", "must be greater than zero")
		}
		if v.Price.Units > MaxPrice {
			c.add(at+"price", "must be at most %d minor units", int64(MaxPrice))
		}
		if v.Stock != nil {
			c.count(at+"stock", *v.Stock, 0, MaxStock)
		}
	}
	return c
}

// cleanText reports that s is valid UTF-8 without control characters other than
// tabs and line ends.
func cleanText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f
	})
}

// quote shows the start of what a client sent.
func quote(s string) string {
	if len(s) > 40 {
		s = strings.ToValidUTF8(s[:40], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
