package api

import (
	"context"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

// The limits of bodies, in bytes.
const (
	maxBody   = 1 << 20
	maxImport = 16 << 20
)

// importTime is how long an import may take, upload included.
const importTime = 5 * time.Minute

// request is what the types of openapi.gen.go read themselves from: parameters
// and a body, each of which is taken once.
type request struct {
	w      http.ResponseWriter
	r      *http.Request
	values url.Values  // the query's that were not taken yet
	wrong  fieldErrors // what is wrong with parameters
	taken  []string    // headers that were read
	err    error       // what is wrong as a whole, such as a body that is no JSON
}

// answer is what a handler has to say.
type answer interface{ write(w http.ResponseWriter) }

// handle joins reading a request and answering it. What the document cannot say of a
// request is in the method check of its type, if it has one.
func handle[In any, P interface {
	*In
	read(q *request)
}](do func(ctx context.Context, in P) (answer, error)) func(w http.ResponseWriter, r *http.Request) (answer, error) {
	return func(w http.ResponseWriter, r *http.Request) (answer, error) {
		q := request{w: w, r: r}
		in := P(new(In))
		if err := q.read(in.read); err != nil {
			return nil, err
		}
		if c, ok := any(in).(interface{ check() error }); ok {
			if err := c.check(); err != nil {
				return nil, err
			}
		}
		return do(r.Context(), in)
	}
}

func (q *request) read(into func(*request)) error {
	if q.r.URL.RawQuery != "" {
		var err error
		if q.values, err = url.ParseQuery(q.r.URL.RawQuery); err != nil {
			return problem.Invalid(problem.Field{Field: "query", Detail: "is not a valid query string"})
		}
	}
	into(q)
	if q.r.Method != http.MethodGet {
		for _, name := range preconditions {
			if q.r.Header.Get(name) != "" && !slices.Contains(q.taken, name) {
				q.wrong.add(name, "is not taken here: nothing was changed, because it could not be checked")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if isText(name) {
			q.wrong.add(name, "is not a known parameter")
		} else {
			q.wrong.add("query", "has a name that is not text")
		}
	}
	if q.err != nil {
		return q.err
	}
	return q.wrong.err()
}

// isText reports that s is UTF-8 without control characters.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// param is the value of a parameter, if there is one that is text.
type param struct {
	q           *request
	name, value string
	there       bool
}

// path is a part of the path, which is always there.
func (q *request) path(name string) param {
	value := chi.URLParam(q.r, name)
	if q.r.URL.RawPath != "" { // then chi goes by it
		var err error
		if value, err = url.PathUnescape(value); err != nil {
			q.wrong.add(name, "is not escaped as a URL is")
			return param{}
		}
	}
	return q.param(name, value)
}

func (q *request) query(name string) param {
	values := q.values[name]
	if len(values) == 0 {
		return param{}
	}
	delete(q.values, name)
	if len(values) > 1 {
		q.wrong.add(name, "is there more than once")
		return param{}
	}
	return q.param(name, values[0])
}

// requiredQuery is a parameter that must be there.
func (q *request) requiredQuery(name string) param {
	if len(q.values[name]) == 0 {
		q.wrong.add(name, "is required")
	}
	return q.query(name)
}

// lists are the headers whose value is a list: it may come in several lines
// (RFC 9110, section 5.3).
var lists = []string{"If-Match", "If-None-Match", "Prefer"}

// preconditions are headers that an operation which changes something must not pass
// over in silence.
var preconditions = []string{"If-Match", "If-None-Match"}

// header is a header that is optional.
func (q *request) header(name string) param {
	q.taken = append(q.taken, name)
	values := q.r.Header.Values(name)
	switch {
	case len(values) == 0:
		return param{}
	case len(values) > 1 && !slices.Contains(lists, name):
		q.wrong.add(name, "is there more than once")
		return param{}
	}
	return q.param(name, strings.Join(values, ", "))
}

// requiredHeader is a header that must be there.
func (q *request) requiredHeader(name string) param {
	if q.r.Header.Get(name) != "" {
		return q.header(name)
	}
	if name == "Idempotency-Key" {
		q.err = problem.New(problem.IdempotencyKeyMissing)
	} else {
		q.wrong.add(name, "is required")
	}
	return param{}
}

func (q *request) param(name, value string) param {
	if !utf8.ValidString(value) {
		q.wrong.add(name, "must be UTF-8 text")
		return param{}
	}
	return param{q, name, value, true}
}

func (p param) text(into *string, rule *textRule) {
	if !p.there {
		return
	}
	if wrong := rule.wrong(p.value); wrong != "" {
		p.q.wrong.add(p.name, wrong)
		return
	}
	*into = p.value
}

func (p param) id(into *uuid.UUID) {
	if !p.there {
		return
	}
	id, wrong := parseID(p.value)
	if wrong != "" {
		p.q.wrong.add(p.name, wrong)
		return
	}
	*into = id
}

// keyID reads a key that must be a UUID. Without a token it is as good as a secret, so
// the nil UUID is refused.
func (p param) keyID(into *uuid.UUID) {
	if p.id(into); p.there && p.value == uuid.Nil.String() {
		p.q.wrong.add(p.name, "must not be the nil UUID, which others would choose, too")
	}
}

func (p param) integer(into **int64, least, most int64) {
	if !p.there {
		return
	}
	n, err := strconv.ParseInt(p.value, 10, 64)
	wrong := outside(n, least, most)
	switch {
	case errors.Is(err, strconv.ErrRange):
		wrong = outOfRange(p.value, least, most)
	case err != nil:
		wrong = "must be a whole number"
	}
	if wrong != "" {
		p.q.wrong.add(p.name, wrong)
		return
	}
	*into = &n
}

func (p param) time(into *time.Time) {
	if !p.there {
		return
	}
	t, wrong := parseTime(p.value)
	if wrong != "" {
		p.q.wrong.add(p.name, wrong)
		return
	}
	*into = t
}

func (p param) boolean(into *bool) {
	switch {
	case !p.there:
	case p.value == "true", p.value == "false":
		*into = p.value == "true"
	default:
		p.q.wrong.add(p.name, "must be true or false")
	}
}

// json reads a JSON body; an optional one may be missing.
func (q *request) json(optional bool, read func(*reader)) {
	if q.err != nil {
		return
	}
	q.err = q.readBody(optional, read)
	if e := (*problem.Error)(nil); errors.As(q.err, &e) && e.Type == problem.RequestInvalid {
		for _, f := range e.Fields { // beside those of the parameters
			q.wrong.add(f.Field, f.Detail)
		}
		q.err = nil
	}
}

func (q *request) readBody(optional bool, read func(*reader)) error {
	if q.r.ContentLength > maxBody {
		return bodyTooLarge(maxBody)
	}
	data, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, maxBody))
	switch {
	case err != nil:
		return bodyError(err)
	case len(data) == 0 && optional:
		return nil
	case len(data) == 0:
		return problem.Newf(problem.BodyMalformed, "The body is missing.")
	}
	if err := mediaType(q.r, "application/json"); err != nil {
		return err
	}
	return readJSON(data, read)
}

// stream returns a body of another type, to be read as it comes.
func (q *request) stream(want string) io.Reader {
	if err := mediaType(q.r, want); err != nil {
		q.err = err
		return nil
	}
	if q.r.ContentLength > maxImport {
		q.err = bodyTooLarge(maxImport)
		return nil
	}
	control := http.NewResponseController(q.w)
	_ = control.SetReadDeadline(time.Now().Add(importTime)) // not every test writer can
	_ = control.SetWriteDeadline(time.Now().Add(importTime))
	return http.MaxBytesReader(q.w, q.r.Body, maxImport)
}

// bodyError explains an error of reading a body.
func bodyError(err error) error {
	var limit *problem.Error
	if errors.As(err, &limit) {
		return limit
	}
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
