// Package contact says what a valid e-mail address and a valid postal address are. It
// is the one place for these rules: the REST API, the storefront and the order service
// all ask it, so that what one takes no other refuses.
//
// Values have a normal form (Unicode NFC, no space around them, a region by its code,
// a postal code in upper case), and what is in that form stays as it is. What is wrong
// is said in a sentence for people.
package contact

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The longest value of each field, in characters. MaxEmail is in octets: the longest
// path of RFC 5321, section 4.5.3.1.3, without its angle brackets.
const (
	MaxEmail      = 254
	MaxName       = 100
	MaxLine       = 200
	MaxCity       = 100
	MaxRegion     = 100
	MaxPostalCode = 20
)

// Problem is what is wrong with a field.
type Problem struct {
	// Field is the JSON name of the field, as in "postal_code".
	Field string
	// Detail is a sentence for people.
	Detail string
}

// clean is a text in normal form.
func clean(s string) string { return strings.TrimSpace(norm.NFC.String(s)) }

// textProblem says why s cannot be one line of text with limit characters, "" if it
// can be.
func textProblem(s string, limit int) string {
	switch {
	case !utf8.ValidString(s):
		return "This is not UTF-8."
	case strings.ContainsFunc(s, control):
		return "This has control characters or line breaks."
	case utf8.RuneCountInString(s) > limit:
		return "This is longer than " + strconv.Itoa(limit) + " characters."
	}
	return ""
}

// control tells of characters that are no text: Unicode's control characters, its line
// and paragraph separators, and the overrides of direction, with which one text can be
// shown as another (UTR 36, section 2.9).
func control(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' ||
		r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069'
}
