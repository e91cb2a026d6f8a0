package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/internal/problem"
)

// The limits of bodies, in bytes.
const (
	maxBody   = 1 << 20
	maxImport = 16 << 20
)

// checker is a decoded body that knows what values make sense in it.
type checker interface{ check() []problem.Field }

// readJSON reads a whole body into the value and checks it. Everything that is
// not exactly one JSON object of known fields, with values in range, is an
// error that says where. It reports false for an empty body.
func readJSON(w http.ResponseWriter, r *http.Request, into checker) (data []byte, some bool, err error) {
	if r.ContentLength > maxBody {
		return nil, true, bodyTooLarge(maxBody)
	}
	data, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, true, readError(err)
	}
	if len(data) == 0 {
		return nil, false, nil
	}
	if err := mediaType(r, "application/json"); err != nil {
		return nil, true, err
	}
	return data, true, decodeJSON(data, into)
}

// readError explains an error of reading a body.
func readError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return bodyTooLarge(large.Limit)
	}
	return problem.Newf(problem.BodyMalformed, "The body could not be read to its end.")
}

func bodyTooLarge(limit int64) error {
	return problem.Newf(problem.BodyTooLarge, "The body is more than %d bytes.", limit)
}

// mediaType refuses a Content-Type other than the one wanted, an encoding other
// than UTF-8, and compression.
func mediaType(r *http.Request, want string) error {
	got, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	encoding := r.Header.Get("Content-Encoding")
	if err != nil || got != want ||
		charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") ||
		encoding != "" && !strings.EqualFold(encoding, "identity") {
		return problem.Newf(problem.WrongMediaType, "This takes %s in UTF-8, not compressed.", want)
	}
	return nil
}

// decodeJSON decodes one JSON object strictly and checks its values.
func decodeJSON(data []byte, into checker) error {
	if !utf8.Valid(data) {
		return problem.Newf(problem.BodyMalformed, "The body is not UTF-8: byte %d.", invalidAt(data))
	}
	if at := escapedNUL(data); at >= 0 {
		return problem.Newf(problem.BodyMalformed, "The body has a NUL character (\\u0000): byte %d.", at)
	}
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return problem.Newf(problem.BodyMalformed, "The body must be a JSON object.")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return decodeError(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return problem.Newf(problem.BodyMalformed, "There is something after the JSON object: byte %d.", dec.InputOffset())
	}
	if err := checkNames(data); err != nil {
		return err
	}
	if fields := into.check(); len(fields) > 0 {
		return invalid(fields...)
	}
	return nil
}

func decodeError(err error) error {
	var (
		syntax *json.SyntaxError
		typed  *json.UnmarshalTypeError
	)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return problem.Newf(problem.BodyMalformed, "The JSON ends too early.")
	case errors.As(err, &syntax):
		return problem.Newf(problem.BodyMalformed, "The JSON is malformed: byte %d.", syntax.Offset)
	case errors.As(err, &typed):
		field := typed.Field
		if field == "" {
			field = "body"
		}
		return invalid(problem.Field{Field: field, Detail: typeHint(typed)})
	}
	// encoding/json has no type for this one.
	if name, ok := strings.CutPrefix(err.Error(), `json: unknown field `); ok {
		name = strings.Trim(name, `"`)
		detail := "is not a known field"
		switch strings.ToLower(name) {
		case "price", "unit_price", "total", "amount", "currency", "subtotal", "discount":
			detail = "is not a known field: prices and totals are the shop's and are not sent"
		}
		if len(name) > 100 {
			name = strings.ToValidUTF8(name[:100], "") + "…"
		}
		return invalid(problem.Field{Field: name, Detail: detail})
	}
	return problem.Newf(problem.BodyMalformed, "The JSON can't be read.")
}

// typeHint says what a field should have been, in JSON's words.
func typeHint(e *json.UnmarshalTypeError) string {
	var want string
	switch e.Type.Kind().String() {
	case "int64", "int", "int32":
		want = "a whole number"
		if strings.HasPrefix(e.Value, "number") && !strings.ContainsAny(e.Value, ".eE") {
			want = "a whole number that is in range"
		}
	case "string":
		want = "a string"
	case "bool":
		want = "true or false"
	case "slice":
		want = "a list"
	default:
		want = "an object"
	}
	got := e.Value
	if len(got) > 40 {
		got = got[:40] + "…"
	}
	return "must be " + want + ", not " + got
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

// escapedNUL is the offset of the first \u0000 escape, or -1. A raw NUL is
// refused by the JSON decoder itself.
func escapedNUL(data []byte) int {
	for i := 0; i < len(data)-1; i++ {
		if data[i] != '\\' {
			continue
		}
		if data[i+1] == 'u' && bytes.HasPrefix(data[i+2:], []byte("0000")) {
			return i
		}
		i++
	}
	return -1
}
