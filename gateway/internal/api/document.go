package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// rendered is an encoded JSON document, ready to be written any number of times.
type rendered struct {
	body   []byte
	etag   string
	length []string // Content-Length
	tag    []string // ETag

	once    sync.Once
	gzipped *rendered // nil when not worth it
}

// minGzip is the size from which compression is worth its cost.
const minGzip = 1400

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// encode renders v, tagged by its content, or by the version when there is one.
func encode(v any, version string) (*rendered, error) {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	body := bytes.Clone(buf.Bytes())
	tag := contentTag(body)
	if version != "" {
		tag = version + "-" + tag
	}
	return newRendered(body, `"`+tag+`"`), nil
}

// contentTag names content.
func contentTag(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

func newRendered(body []byte, etag string) *rendered {
	return &rendered{body: body, etag: etag, length: []string{strconv.Itoa(len(body))}, tag: []string{etag}}
}

// gzip returns the compressed form, made when it is first asked for, or nil.
func (d *rendered) gzip() *rendered {
	if len(d.body) < minGzip {
		return nil
	}
	d.once.Do(func() {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		_, _ = z.Write(d.body) // a buffer takes everything
		_ = z.Close()
		d.gzipped = newRendered(buf.Bytes(), strings.TrimSuffix(d.etag, `"`)+gzipTag)
	})
	return d.gzipped
}

// gzipTag ends the ETag of a compressed form: another representation.
const gzipTag = `-gzip"`

// matches reports whether an If-None-Match header names this document, in either
// of its forms. The comparison is weak, as RFC 9110 asks.
func (d *rendered) matches(header string) bool {
	if header == "" {
		return false
	}
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == d.etag {
			return true
		}
		if cut, ok := strings.CutSuffix(tag, gzipTag); ok && cut+`"` == d.etag {
			return true
		}
	}
	return false
}

// Header values that many answers share; net/http does not change them.
var (
	jsonType      = []string{"application/json"}
	noStore       = []string{"no-store"}
	revalidate    = []string{"no-cache"}
	gzipEncoding  = []string{"gzip"}
	publicVary    = []string{"Accept-Encoding, Authorization"}
	replayedTrue  = []string{"true"}
	headerETag    = "Etag" // canonical
	headerReplied = "Idempotent-Replayed"
)

// document is the answer of every operation: a rendered body with its headers.
type document struct {
	status   int
	body     *rendered
	public   bool // may be cached by anyone who revalidates, and compressed
	tagged   bool // has an ETag
	location string
	link     string
	applied  string // Preference-Applied
	replayed bool
}

func (d *document) write(w http.ResponseWriter) {
	h := w.Header()
	body := d.body
	if d.public {
		h["Cache-Control"] = revalidate
		h["Vary"] = append(h["Vary"], publicVary...)
		if g, ok := w.(gzipWriter); ok && d.status == http.StatusOK {
			if z := body.gzip(); z != nil {
				h["Content-Encoding"] = gzipEncoding
				body = z
			}
			w = g.ResponseWriter
		}
	} else {
		h["Cache-Control"] = noStore
	}
	if d.tagged {
		h[headerETag] = body.tag
	}
	if d.location != "" {
		h.Set("Location", d.location)
	}
	if d.link != "" && d.status != http.StatusNotModified {
		h.Add("Link", d.link)
	}
	if d.applied != "" {
		h.Set("Preference-Applied", d.applied)
	}
	if d.replayed {
		h[headerReplied] = replayedTrue
	}
	if d.status == http.StatusNotModified {
		w.WriteHeader(d.status)
		return
	}
	h["Content-Type"] = jsonType
	h["Content-Length"] = body.length
	w.WriteHeader(d.status)
	_, _ = w.Write(body.body) // the client may be gone
}

// gzipWriter marks the writer of a client who takes gzip.
type gzipWriter struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (g gzipWriter) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// acceptsGzip understands "gzip", "*" and "q=0".
func acceptsGzip(header string) bool {
	if header == "" {
		return false
	}
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(part, ";")
		name = strings.TrimSpace(name)
		if !strings.EqualFold(name, "gzip") && name != "*" {
			continue
		}
		q = strings.TrimSpace(q)
		if v, ok := strings.CutPrefix(q, "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			return err == nil && f > 0
		}
		return true
	}
	return false
}
