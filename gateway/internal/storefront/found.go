package storefront

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

// What search engines, browsers and other sites read beside the pages. Their
// addresses are absolute where the shop's own is configured, and left out where it
// is not: a request's Host is the client's word.

// publicURL checks the address of the shop: an origin.
func publicURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.TrimSuffix(s, "/") != u.Scheme+"://"+u.Host {
		return "", fmt.Errorf("%q is not an address such as https://shop.example", s)
	}
	return u.Scheme + "://" + u.Host, nil
}

// absolute is a path's whole address, "" where the shop's own is not known.
func absolute(public, path string) string {
	if public == "" || path == "" {
		return ""
	}
	return public + path
}

// smallFiles makes the files with fixed addresses, which live as long as the
// process.
func (s *Storefront) smallFiles() (map[string]*file, error) {
	icon := func(name string) (*compress.Body, error) {
		u, err := s.static.url(name)
		if err != nil {
			return nil, err
		}
		return s.static.files[strings.TrimPrefix(u, "/static/")].Body, nil
	}
	favicon, err := icon("favicon.ico")
	if err != nil {
		return nil, err
	}
	touch, err := icon("icon-180.png")
	if err != nil {
		return nil, err
	}
	manifest, err := s.manifest()
	if err != nil {
		return nil, err
	}
	return map[string]*file{
		"/favicon.ico":          {kinds[".ico"], favicon},
		"/apple-touch-icon.png": {kinds[".png"], touch},
		"/manifest.webmanifest": {"application/manifest+json", compress.NewFile(manifest)},
		"/robots.txt":           {"text/plain; charset=utf-8", compress.NewFile([]byte(s.robots()))},
	}, nil
}

// serveFile sends a file that is asked for again each day.
func (f *file) serveFile(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.Header().Set("Content-Type", f.kind)
	f.Serve(w, r)
}

func (s *Storefront) manifest() ([]byte, error) {
	type icon struct {
		Source string `json:"src"`
		Sizes  string `json:"sizes"`
		Type   string `json:"type"`
	}
	var icons []icon
	for _, i := range []struct{ name, sizes, kind string }{
		{"icon-192.png", "192x192", "image/png"}, {"icon-512.png", "512x512", "image/png"}, {"mark.svg", "any", "image/svg+xml"},
	} {
		u, err := s.static.url(i.name)
		if err != nil {
			return nil, err
		}
		icons = append(icons, icon{u, i.sizes, i.kind})
	}
	return json.Marshal(struct {
		Name       string `json:"name"`
		ShortName  string `json:"short_name"`
		ID         string `json:"id"`
		Start      string `json:"start_url"`
		Display    string `json:"display"`
		Background string `json:"background_color"`
		Theme      string `json:"theme_color"`
		Icons      []icon `json:"icons"`
	}{"Souk, gifts with a bit of charm", "Souk", "/", "/", "minimal-ui", "#faf5ec", "#1f4f49", icons})
}

// robots keeps crawlers from what is a shopper's own. Searches are crawled and say
// themselves that they are not to be found.
func (s *Storefront) robots() string {
	text := "User-agent: *\nDisallow: /cart\nDisallow: /checkout\nDisallow: /orders\nDisallow: /v1/\n"
	if s.public != "" {
		text += "\nSitemap: " + s.public + "/sitemap.xml\n"
	}
	return text
}

// redirectSpelling sends an address with a slash at its end, doubled slashes or
// capital letters to the page that it means, if there is one; it reports whether it
// did. Codes of products and pictures keep their letters.
func (s *Storefront) redirectSpelling(w http.ResponseWriter, r *http.Request) bool {
	parts := strings.FieldsFunc(r.URL.Path, func(c rune) bool { return c == '/' })
	if len(parts) == 0 {
		return false
	}
	for i := range parts {
		if i == 0 || !strings.EqualFold(parts[0], "products") && !strings.EqualFold(parts[0], "pictures") {
			parts[i] = strings.ToLower(parts[i])
		}
	}
	path := "/" + strings.Join(parts, "/")
	if path == r.URL.Path {
		return false
	}
	meant := r.Clone(r.Context())
	meant.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
	if _, pattern := s.mux.Handler(meant); pattern == "/" || pattern == "" {
		return false
	}
	http.Redirect(w, r, meant.URL.String(), http.StatusMovedPermanently) //nolint:gosec // a path of our own pages, as the multiplexer has found
	return true
}

// The documents of schema.org.

type thing map[string]any

const schema = "https://schema.org"

// productFacts says what a product page is about.
func (s *Storefront) productFacts(p *catalog.Product, v *productPage) []any {
	var offers []thing
	for i := range p.Variants {
		variant := &p.Variants[i]
		availability := "OutOfStock"
		switch {
		case !p.Sells(variant):
			availability = "Discontinued"
		case variant.Stock.Available > 0:
			availability = "InStock"
		}
		offer := thing{
			"@type": "Offer", "sku": variant.SKU, "price": variant.Price.Decimal(), "priceCurrency": variant.Price.Currency,
			"availability": schema + "/" + availability,
		}
		if variant.Name != "" {
			offer["name"] = variant.Name
		}
		if u := absolute(s.public, catalog.ProductURL(variant.SKU)); u != "" {
			offer["url"] = u
		}
		offers = append(offers, offer)
	}
	product := thing{"@context": schema, "@type": "Product", "name": p.Name, "sku": p.Code, "offers": offers}
	if p.Description != "" {
		product["description"] = p.Description
	}
	if v.Category.Name != "" {
		product["category"] = v.Category.Name
	}
	here := absolute(s.public, p.URL)
	if here == "" {
		return []any{product}
	}
	product["url"], product["image"] = here, absolute(s.public, v.Picture)
	crumbs := []thing{crumb(1, "Souk", s.public+"/")}
	if v.Category.URL != "" {
		crumbs = append(crumbs, crumb(2, v.Category.Name, s.public+v.Category.URL))
	}
	crumbs = append(crumbs, crumb(len(crumbs)+1, p.Name, here))
	return []any{product, thing{"@context": schema, "@type": "BreadcrumbList", "itemListElement": crumbs}}
}

func crumb(position int, name, address string) thing {
	return thing{"@type": "ListItem", "position": position, "name": name, "item": address}
}
