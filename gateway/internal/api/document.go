package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/edgecache"
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// encode renders v, tagged by its content, or by the version when there is one.
func encode(v any, version string) (*compress.Body, error) {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	body := bytes.Clone(buf.Bytes())
	tag := compress.ContentTag(body)
	if version != "" {
		tag = version + "-" + tag
	}
	return compress.NewBody(body, `"`+tag+`"`), nil
}

// Header values that many answers share; net/http does not change them.
var (
	jsonType      = []string{"application/json"}
	noStore       = []string{"no-store"}
	revalidate    = []string{"no-cache"}
	codingVary    = []string{"Accept-Encoding"}
	publicVary    = []string{"Accept-Encoding, Authorization"}
	replayedTrue  = []string{"true"}
	headerETag    = "Etag" // canonical
	headerReplied = "Idempotent-Replayed"
)

// document is the answer of every operation: an encoded body with its headers.
type document struct {
	status   int
	body     *compress.Body
	public   bool // is the same for everybody
	tagged   bool // has an ETag
	location string
	link     string
	applied  string // Preference-Applied
	replayed bool
	// Of a public one: what it is about.
	edges *edgecache.Marker
	about edgecache.Keys
}

func (d *document) write(w http.ResponseWriter) {
	h := w.Header()
	var accepted compress.Accepted
	if c, ok := w.(codingWriter); ok {
		accepted, w = c.accepted, c.ResponseWriter
	}
	form := &d.body.Plain
	if d.public {
		d.edges.Mark(h, d.about)
		h["Vary"] = append(h["Vary"], publicVary...)
		if d.status == http.StatusOK || d.status == http.StatusNotModified {
			form = d.body.For(h, accepted)
		}
	} else {
		h["Cache-Control"] = noStore
	}
	if d.tagged {
		h[headerETag] = form.ETag
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
	if d.status == http.StatusNotModified || d.status == http.StatusNoContent {
		delete(h, "Content-Encoding")
		w.WriteHeader(d.status)
		return
	}
	h["Content-Type"] = jsonType
	if !d.public && d.status == http.StatusOK {
		if compress.Encode(h, accepted, form.Bytes, func(coded []byte) {
			h["Vary"] = append(h["Vary"], codingVary...)
			if d.tagged {
				h.Set("ETag", compress.Tag(d.body.Tag, accepted.Passing))
			}
			h.Set("Content-Length", strconv.Itoa(len(coded)))
			w.WriteHeader(d.status)
			_, _ = w.Write(coded) // the client may be gone
		}) {
			return
		}
	}
	h["Content-Length"] = form.Length
	w.WriteHeader(d.status)
	_, _ = w.Write(form.Bytes) // the client may be gone
}

// codingWriter marks the writer of a client who takes a coding, for an answer that
// may be compressed: that to a GET, which repeats nothing of the request beside a
// secret (see package compress).
type codingWriter struct {
	http.ResponseWriter
	accepted compress.Accepted
}

// Unwrap is for http.ResponseController.
func (c codingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
