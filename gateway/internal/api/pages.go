package api

import (
	_ "embed"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/souk-shop/souk/gateway/internal/edge/compress"
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
	mux.Handle("/docs/", http.RedirectHandler("/docs", http.StatusMovedPermanently))
	for path, body := range problem.Pages() {
		static(path, "text/html; charset=utf-8", body)
	}
}

// page is a document that never changes while the process lives.
type page struct {
	contentType []string
	body        *compress.Body
}

func newPage(contentType string, body []byte) *page {
	return &page{[]string{contentType}, compress.NewFile(body)}
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Cache-Control"] = revalidate
	h["Content-Type"] = p.contentType
	p.body.Serve(w, r)
}
