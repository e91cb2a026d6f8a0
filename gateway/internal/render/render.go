// Package render is the picture renderer: a pure function from a request to an answer.
// gateway/renderer serves it as a process, under Knative and as an AWS Lambda function; the
// gateway asks it through Remote. Whoever draws, the same request gives the same bytes.
package render

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
)

// Path is the renderer's only address.
const Path = "/render/picture.svg"

// The parameters of a request. A picture is drawn from a seed and words. A caller that names
// the version that it expects gets no other; a signature is needed where the renderer has a key.
const (
	paramSeed, paramWords, paramVersion, paramSignature = "seed", "words", "v", "sig"
)

// The limits of a request, in bytes. A name of a product with that of a variant has 1,602 at
// most: 200 characters of up to 4 bytes each, twice, and what joins them.
const (
	MaxSeed  = 128
	MaxWords = 2048
	maxQuery = 8 << 10
)

// How long answers are kept: those whose address names their version for good.
const (
	forGood = "public, max-age=31536000, immutable"
	forNow  = "public, max-age=3600"
	never   = "no-store"
)

// Request is what the answer depends on.
type Request struct {
	Method, Path string
	// Query is the part of the address behind the question mark, as it was sent.
	Query       string
	IfNoneMatch string
}

// Response is an answer.
type Response struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Renderer answers requests. The zero Renderer draws for everyone; with Key it draws what the
// owner of the private key has signed, so that nobody else has the shop show words of theirs.
type Renderer struct{ Key ed25519.PublicKey }

// invalid is an error of a request, which names the field at fault.
type invalid struct{ field, detail string }

func (e invalid) Error() string { return e.field + ": " + e.detail }

// Answer answers a request. It reads and keeps nothing else.
func (d Renderer) Answer(r Request) Response {
	switch {
	case r.Path != Path:
		return problem(http.StatusNotFound, invalid{"path", "there is only " + Path})
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		a := problem(http.StatusMethodNotAllowed, invalid{"method", "want GET or HEAD"})
		a.Header["Allow"] = "GET, HEAD"
		return a
	}
	q, err := parse(r.Query)
	if err != nil {
		return problem(http.StatusBadRequest, err)
	}
	if d.Key != nil && !signed(d.Key, q) {
		return problem(http.StatusForbidden, invalid{paramSignature, "want the signature of the other parameters"})
	}
	cached := forNow
	if v := q.Get(paramVersion); v != "" {
		if v != picture.Version(q.Get(paramSeed), q.Get(paramWords)) {
			return problem(http.StatusConflict, invalid{paramVersion, "this renderer draws another edition of the picture"})
		}
		cached = forGood
	}
	body := picture.SVG(q.Get(paramSeed), q.Get(paramWords))
	a := Response{Status: http.StatusOK, Header: map[string]string{
		"Cache-Control":           cached,
		"Content-Security-Policy": edge.PicturePolicy,
		"Etag":                    `"` + compress.ContentTag(body) + `"`,
		"X-Content-Type-Options":  "nosniff",
	}}
	if compress.Matches(r.IfNoneMatch, a.Header["Etag"]) {
		a.Status = http.StatusNotModified
		return a
	}
	a.Header["Content-Type"] = contentType
	a.Body = body
	return a
}

const contentType = "image/svg+xml; charset=utf-8"

// parse reads and checks a query.
func parse(raw string) (url.Values, error) {
	if len(raw) > maxQuery {
		return nil, invalid{"query", fmt.Sprintf("want at most %d bytes", maxQuery)}
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalid{"query", "is not well-formed"}
	}
	for name, values := range q {
		switch {
		case name != paramSeed && name != paramWords && name != paramVersion && name != paramSignature:
			return nil, invalid{strings.ToValidUTF8(name, "\uFFFD"), "is no parameter"}
		case len(values) > 1:
			return nil, invalid{name, "is given twice"}
		}
	}
	for _, p := range []struct {
		name string
		most int
	}{{paramSeed, MaxSeed}, {paramWords, MaxWords}} {
		switch text := q.Get(p.name); {
		case !q.Has(p.name) || p.name == paramSeed && text == "":
			return nil, invalid{p.name, "is required"}
		case len(text) > p.most:
			return nil, invalid{p.name, fmt.Sprintf("want at most %d bytes", p.most)}
		case !utf8.ValidString(text):
			return nil, invalid{p.name, "is not UTF-8"}
		}
	}
	return q, nil
}

// query writes the parameters of a picture, signed if there is a key.
func query(seed, words, version string, key ed25519.PrivateKey) string {
	q := url.Values{paramSeed: {seed}, paramWords: {words}, paramVersion: {version}}
	if key != nil {
		q.Set(paramSignature, base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, unsigned(q))))
	}
	return q.Encode()
}

// unsigned is what is signed: the other parameters, in one order and one encoding.
func unsigned(q url.Values) []byte {
	return []byte(url.Values{paramSeed: {q.Get(paramSeed)}, paramWords: {q.Get(paramWords)}, paramVersion: {q.Get(paramVersion)}}.Encode())
}

func signed(key ed25519.PublicKey, q url.Values) bool {
	signature, err := base64.RawURLEncoding.DecodeString(q.Get(paramSignature))
	return err == nil && ed25519.Verify(key, unsigned(q), signature)
}

// problem is an error as RFC 9457 has it.
func problem(status int, err error) Response {
	doc := struct {
		Type   string              `json:"type"`
		Title  string              `json:"title"`
		Status int                 `json:"status"`
		Detail string              `json:"detail"`
		Errors []map[string]string `json:"errors,omitempty"`
	}{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: err.Error()}
	if at, ok := errors.AsType[invalid](err); ok {
		doc.Errors = []map[string]string{{"field": at.field, "detail": at.detail}}
	}
	body, _ := json.Marshal(doc) // texts and a number
	return Response{Status: status, Header: map[string]string{
		"Cache-Control": never, "Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff",
	}, Body: body}
}

// ServeHTTP answers by HTTP.
func (d Renderer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == Path {
		edge.SetRoute(r.Context(), Path)
	}
	a := d.Answer(Request{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, IfNoneMatch: strings.Join(r.Header["If-None-Match"], ","),
	})
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.Body) // the client may be gone
	}
}
