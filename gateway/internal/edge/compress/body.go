package compress

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Form is a body in one coding, with the values of its headers.
type Form struct {
	Bytes  []byte
	Length []string // Content-Length
	ETag   []string
	coding Coding
}

// Body is something that is sent again and again. Safe for concurrent use.
type Body struct {
	Plain Form
	// Tag is the entity tag of the plain form, in quotes. A strong one ("x") gets
	// the coding's name in the other forms ("x-br"), a weak one is that of all.
	Tag    string
	effort effort

	once [codings]sync.Once
	made [codings]*Form
}

// effort is how hard to try.
type effort struct{ gzip, brotli int }

var (
	// thorough is for what lives as long as the process: 2 ms for 20 kB.
	thorough = effort{gzip: 9, brotli: 9}
	// brief is for what lives a second or more: 0.13 ms for 5 kB.
	brief = effort{gzip: 6, brotli: 5}
)

// NewBody makes a Body that lives for a second or more.
func NewBody(plain []byte, tag string) *Body {
	return &Body{Plain: newForm(plain, tag, Identity), Tag: tag, effort: brief}
}

// NewFile makes a Body that lives as long as the process, tagged by its content.
func NewFile(plain []byte) *Body {
	b := NewBody(plain, `"`+ContentTag(plain)+`"`)
	b.effort = thorough
	return b
}

// ContentTag names content.
func ContentTag(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

// Tag is the entity tag of a form, from that of the plain one.
func Tag(plain string, c Coding) string {
	if c == Identity || strings.HasPrefix(plain, "W/") {
		return plain
	}
	return strings.TrimSuffix(plain, `"`) + "-" + names[c][0] + `"`
}

func newForm(b []byte, tag string, c Coding) Form {
	return Form{Bytes: b, Length: []string{strconv.Itoa(len(b))}, ETag: []string{Tag(tag, c)}, coding: c}
}

// For returns the form for a client, and sets Content-Encoding to match. Vary is
// the caller's.
func (b *Body) For(h http.Header, a Accepted) *Form {
	if a.Kept == Identity || len(b.Plain.Bytes) < MinSize && !a.Always {
		return &b.Plain
	}
	form := b.form(a.Kept)
	if form.coding != Identity {
		h["Content-Encoding"] = names[form.coding]
	}
	return form
}

func (b *Body) form(c Coding) *Form {
	b.once[c].Do(func() {
		var buf bytes.Buffer
		encode(&buf, c, b.effort, b.Plain.Bytes)
		if buf.Len() >= len(b.Plain.Bytes) { // it is compressed in itself, as a font is
			b.made[c] = &b.Plain
			return
		}
		form := newForm(bytes.Clone(buf.Bytes()), b.Tag, c)
		b.made[c] = &form
	})
	return b.made[c]
}

// Matches reports whether an If-None-Match header names the body, in any of its
// forms. The comparison is weak, as RFC 9110 asks.
func (b *Body) Matches(header string) bool { return Matches(header, b.Tag) }

// Matches reports whether an If-None-Match header names a tag, or one of its coded
// forms.
func Matches(header, tag string) bool {
	if header == "" {
		return false
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(tag, "W/"), `"`)
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" {
			return true
		}
		rest, ok := strings.CutPrefix(strings.TrimPrefix(one, "W/"), bare)
		if ok && (rest == `"` || rest == `-gzip"` || rest == `-br"`) {
			return true
		}
	}
	return false
}

// varyCoding is the Vary of what depends on the coding alone.
var varyCoding = []string{"Accept-Encoding"}

// Serve sends the body as a file: HEAD, conditions and ranges, which are those of
// the coded form. Content-Type and Cache-Control are the caller's.
func (b *Body) Serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Vary"] = append(h["Vary"], varyCoding...)
	form := b.For(h, Accept(r.Header))
	h["Etag"] = form.ETag
	if must := strings.Join(r.Header["If-Match"], ","); must != "" && !form.is(must) {
		// ServeContent would refuse with the headers of the form: its length, and the
		// time that caches keep it for.
		delete(h, "Content-Type")
		delete(h, "Content-Encoding")
		h["Cache-Control"] = noStore
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	if r.Header.Get("Range") != "" {
		h["Content-Length"] = form.Length // ServeContent leaves it out beside a coding
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(form.Bytes))
		return
	}
	h["Accept-Ranges"] = acceptRanges
	if b.Matches(strings.Join(r.Header["If-None-Match"], ",")) {
		delete(h, "Content-Type")
		delete(h, "Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Length"] = form.Length
	if r.Method != http.MethodHead {
		_, _ = w.Write(form.Bytes) // the client may be gone
	}
}

// is reports whether an If-Match header names the form. The comparison is strong, as
// RFC 9110 asks.
func (f *Form) is(header string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || one == f.ETag[0] && !strings.HasPrefix(one, "W/") {
			return true
		}
	}
	return false
}

var (
	acceptRanges = []string{"bytes"}
	noStore      = []string{"no-store"}
)
