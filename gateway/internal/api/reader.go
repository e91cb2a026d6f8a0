package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

// reader reads a JSON body once, into the types of openapi.gen.go, whose read
// methods know what the document says of each field. It refuses more than
// encoding/json does: unknown fields, fields that are there twice or in other
// letters, and null, all named by their path.
type reader struct {
	dec   *json.Decoder
	path  []step
	wrong fieldErrors
	err   error // no JSON: ends the reading
}

// step is a field's name or, without one, an index in a list.
type step struct {
	name  string
	index int
}

// readJSON reads one JSON object, and nothing else, with the type's read method.
func readJSON(data []byte, read func(*reader)) error {
	if !utf8.Valid(data) {
		return problem.Newf(problem.BodyMalformed, "The body is not UTF-8: byte %d.", invalidAt(data))
	}
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return problem.Newf(problem.BodyMalformed, "The body must be a JSON object.")
	}
	r := reader{dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	read(&r)
	if r.err != nil {
		return r.err
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return problem.Newf(problem.BodyMalformed, "There is something after the JSON object: byte %d.", r.dec.InputOffset())
	}
	return r.wrong.err()
}

// token returns the next token; false when there is none.
func (r *reader) token() (json.Token, bool) {
	if r.err != nil {
		return nil, false
	}
	token, err := r.dec.Token()
	if err != nil {
		r.err = syntaxError(err)
		return nil, false
	}
	if s, ok := token.(string); ok && strings.IndexByte(s, 0) >= 0 {
		r.err = problem.Newf(problem.BodyMalformed, "The body has a NUL character (\\u0000): before byte %d.", r.dec.InputOffset())
		return nil, false
	}
	return token, true
}

func syntaxError(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return problem.Newf(problem.BodyMalformed, "The JSON ends too early.")
	case errors.As(err, &syntax):
		return problem.Newf(problem.BodyMalformed, "The JSON is malformed: byte %d.", syntax.Offset)
	}
	return problem.Newf(problem.BodyMalformed, "The JSON can't be read.")
}

// add reports what is wrong with the value at the path.
func (r *reader) add(detail string) {
	if len(r.wrong) < maxFieldErrors {
		r.wrong.add(r.where(), detail)
	}
}

// where is the path as JavaScript writes it: lines[1].quantity.
func (r *reader) where() string {
	if len(r.path) == 0 {
		return "body"
	}
	var out strings.Builder
	for i, s := range r.path {
		switch {
		case s.name == "" && s.index >= 0:
			out.WriteString("[" + strconv.Itoa(s.index) + "]")
		case i == 0:
			out.WriteString(s.name)
		default:
			out.WriteString("." + s.name)
		}
	}
	return out.String()
}

func (r *reader) enter(s step) { r.path = append(r.path, s) }

func (r *reader) leave() { r.path = r.path[:len(r.path)-1] }

// object reads an object. field reads the value of a field, or reports that there
// is no such field.
func (r *reader) object(required []string, field func(name string) bool) {
	if !r.opens('{', "an object") {
		return
	}
	seen := make([]string, 0, 8)
	for r.err == nil && r.dec.More() {
		token, ok := r.token()
		if !ok {
			return
		}
		name, _ := token.(string)
		r.enter(step{name, -1})
		switch {
		case slices.Contains(seen, name):
			r.add("is there more than once")
			r.skip()
		case !field(name):
			r.add(unknownField(name))
			r.skip()
		default:
			seen = append(seen, name)
		}
		r.leave()
	}
	if _, ok := r.token(); !ok { // the closing brace
		return
	}
	for _, name := range required {
		if !slices.Contains(seen, name) {
			r.enter(step{name, -1})
			r.add("is required")
			r.leave()
		}
	}
}

func unknownField(name string) string {
	switch strings.ToLower(name) {
	case "price", "unit_price", "total", "amount", "currency", "subtotal", "discount":
		return "is not a known field: prices and totals are the shop's and are not sent"
	}
	return "is not a known field"
}

// array reads a list of least to most items, each with item.
func (r *reader) array(least, most int, item func()) {
	if !r.opens('[', "a list") {
		return
	}
	n := 0
	for ; r.err == nil && r.dec.More(); n++ {
		if n >= most {
			r.skip()
			continue
		}
		r.enter(step{"", n})
		item()
		r.leave()
	}
	if _, ok := r.token(); !ok { // the closing bracket
		return
	}
	switch {
	case n > most:
		r.add("must be at most " + strconv.Itoa(most) + ", there are " + strconv.Itoa(n))
	case n < least:
		r.add("must be at least " + strconv.Itoa(least))
	}
}

func (r *reader) text(into *string, rule *textRule) {
	s, ok := r.string("a string")
	if !ok {
		return
	}
	if wrong := rule.wrong(s); wrong != "" {
		r.add(wrong)
		return
	}
	*into = s
}

func (r *reader) id(into *uuid.UUID) {
	s, ok := r.string("a UUID")
	if !ok {
		return
	}
	id, wrong := parseID(s)
	if wrong != "" {
		r.add(wrong)
		return
	}
	*into = id
}

// parseID takes the canonical form alone.
func parseID(s string) (id uuid.UUID, wrong string) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return id, "must be a UUID"
	}
	return id, ""
}

func (r *reader) time(into *time.Time) {
	s, ok := r.string("a time")
	if !ok {
		return
	}
	t, wrong := parseTime(s)
	if wrong != "" {
		r.add(wrong)
		return
	}
	*into = t
}

// parseTime takes what RFC 3339 and the services' timestamps have in common.
func parseTime(s string) (t time.Time, wrong string) {
	t, err := time.Parse(time.RFC3339, s)
	switch {
	case err != nil:
		return t, `must be a time as RFC 3339 writes it, such as "2026-11-25T00:00:00Z"`
	case t.Year() < 1970 || t.Year() > 9000:
		return t, "must be from 1970 to 9000"
	}
	return t, ""
}

func (r *reader) integer(into *int64, least, most int64) {
	token, ok := r.token()
	if !ok {
		return
	}
	number, ok := token.(json.Number)
	if !ok {
		r.mistyped(token, "a whole number")
		return
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	switch {
	case err != nil && strings.ContainsAny(string(number), ".eE"):
		r.mistyped(token, "a whole number")
	case err != nil:
		r.add(outOfRange(string(number), least, most))
	default:
		if wrong := outside(n, least, most); wrong != "" {
			r.add(wrong)
			return
		}
		*into = n
	}
}

func (r *reader) boolean(into *bool) {
	token, ok := r.token()
	if !ok {
		return
	}
	if *into, ok = token.(bool); !ok {
		r.mistyped(token, "true or false")
	}
}

func (r *reader) string(want string) (string, bool) {
	token, ok := r.token()
	if !ok {
		return "", false
	}
	s, ok := token.(string)
	if !ok {
		r.mistyped(token, want)
	}
	return s, ok
}

// opens takes the token that opens an object or a list.
func (r *reader) opens(delim json.Delim, want string) bool {
	token, ok := r.token()
	if !ok {
		return false
	}
	if token != delim {
		r.mistyped(token, want)
		return false
	}
	return true
}

// mistyped reports a value of another type, whose first token is taken, and
// passes over its rest.
func (r *reader) mistyped(token json.Token, want string) {
	var got string
	switch t := token.(type) {
	case nil:
		got = "null"
	case json.Number:
		got = "the number " + cut(string(t))
	case string:
		got = "a string"
	case bool:
		got = strconv.FormatBool(t)
	case json.Delim:
		got = map[json.Delim]string{'{': "an object", '[': "a list"}[t]
		r.add("must be " + want + ", not " + got)
		r.close(1)
		return
	}
	r.add("must be " + want + ", not " + got)
}

// skip passes over a value.
func (r *reader) skip() {
	if token, ok := r.token(); ok {
		if _, opens := token.(json.Delim); opens {
			r.close(1)
		}
	}
}

// close passes over what is left of as many nested values.
func (r *reader) close(depth int) {
	for depth > 0 {
		token, ok := r.token()
		if !ok {
			return
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// invalidAt is the offset of the first byte that is not UTF-8.
func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}
