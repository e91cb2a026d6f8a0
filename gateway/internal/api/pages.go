package api

import (
	_ "embed"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

//go:embed openapi.yaml
var specification []byte

//go:embed docs.gen.html
var docsPage []byte

//go:embed docs.css
var docsStyle []byte

// routePages serves what explains the API.
func (a *API) routePages(mux chi.Router) {
	static := func(path, contentType string, body []byte) {
		page := newPage(contentType, body)
		mux.Get(path, page.ServeHTTP)
	}
	static("/openapi.yaml", "application/yaml", specification)
	static("/docs", "text/html; charset=utf-8", docsPage)
	static("/docs/style.css", "text/css; charset=utf-8", docsStyle)
	for path, body := range problem.Pages() {
		static(path, "text/html; charset=utf-8", body)
	}
}

// page is a document that never changes while the process lives.
type page struct {
	contentType []string
	body        *rendered
}

func newPage(contentType string, body []byte) *page {
	return &page{[]string{contentType}, newRendered(body, `"`+contentTag(body)+`"`)}
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	body := p.body
	h["Cache-Control"] = revalidate
	h.Add("Vary", "Accept-Encoding")
	if g, ok := w.(gzipWriter); ok {
		if z := body.gzip(); z != nil {
			h["Content-Encoding"] = gzipEncoding
			body = z
		}
		w = g.ResponseWriter
	}
	h[headerETag] = body.tag
	if p.body.matches(strings.Join(r.Header.Values("If-None-Match"), ", ")) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = p.contentType
	h.Set("Content-Length", strconv.Itoa(len(body.body)))
	_, _ = w.Write(body.body) // the client may be gone
}
