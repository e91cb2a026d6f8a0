package api

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/proto/contact"
)

// maxFieldErrors bounds the errors of one answer.
const maxFieldErrors = 20

// fieldErrors collects what is wrong with a request, field by field.
type fieldErrors []problem.Field

func (f *fieldErrors) add(field, detail string) {
	if len(*f) < maxFieldErrors {
		if len(field) > 100 {
			field = strings.ToValidUTF8(field[:100], "") + "…"
		}
		*f = append(*f, problem.Field{Field: field, Detail: detail})
	}
}

// err is nil when nothing is wrong.
func (f fieldErrors) err() error {
	if len(f) == 0 {
		return nil
	}
	return problem.Invalid(f...)
}

// textRule is what openapi.yaml says of a string.
type textRule struct {
	least, most int // characters; 0 for no limit
	pattern     *regexp.Regexp
	message     string // in place of the pattern
	format      string // a key of formats
	values      []string
}

// wrong says what is wrong with s, "" if nothing is.
func (t *textRule) wrong(s string) string {
	n := utf8.RuneCountInString(s)
	switch {
	case n < t.least:
		return "must not be empty"
	case t.most > 0 && n > t.most:
		return fmt.Sprintf("must be at most %d characters, it has %d", t.most, n)
	case len(t.values) > 0 && !slices.Contains(t.values, s):
		return "must be one of: " + strings.Join(t.values, ", ")
	case t.pattern != nil && !t.pattern.MatchString(s):
		if t.message == "" {
			return "must match " + t.pattern.String()
		}
		return t.message
	case t.format != "":
		return formats[t.format](s)
	}
	return ""
}

// formats are those of openapi.yaml that say more than a pattern can.
var formats = map[string]func(s string) string{
	"email": func(s string) string {
		_, detail := contact.Email(s)
		return detail
	},
}

// outside says that n is not from least to most, "" if it is.
func outside(n, least, most int64) string {
	if n < least || n > most {
		return outOfRange(strconv.FormatInt(n, 10), least, most)
	}
	return ""
}

func outOfRange(n string, least, most int64) string {
	return fmt.Sprintf("must be %d to %d, it is %s", least, most, cut(n))
}

// cut shortens what a client sent, for an answer.
func cut(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// distinct refuses a list that has a SKU twice, which JSON Schema can't say of a
// part of an item.
func distinct[T any](list string, items []T, sku func(*T) string) error {
	var wrong fieldErrors
	seen := make(map[string]bool, len(items))
	for i := range items {
		s := sku(&items[i])
		if seen[s] {
			wrong.add(fmt.Sprintf("%s[%d].sku", list, i), "is there twice")
		}
		seen[s] = true
	}
	return wrong.err()
}

// inList names the SKUs that an error is about by their places in a list.
func inList[T any](err error, list string, items []T, sku func(*T) string) error {
	return problem.AtSKUs(err, func(s string) string {
		for i := range items {
			if sku(&items[i]) == s {
				return fmt.Sprintf("%s[%d].sku", list, i)
			}
		}
		return list
	})
}
