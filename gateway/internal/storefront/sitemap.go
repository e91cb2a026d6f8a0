package storefront

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

// Sitemaps (sitemaps.org): an index, a map of the pages, and one of each 50,000
// products, which begins at a code. A map is written from the catalog's stream into
// its compressed form, some 400 kB, and kept for an hour; for a client that takes no gzip
// it is unpacked on the way. One is made at a time: many crawlers cost the catalog no
// more than one. A code that begins no map leads to the map that it is in: addresses
// that are made up make no more maps than the index has.

const (
	sitemapSize = 50_000 // the most that a map may have
	sitemapAge  = time.Hour
	sitemapKept = 16 // maps: 6 MB
)

type sitemaps struct {
	making chan struct{} // holds one while a map is made

	mu   sync.Mutex
	kept map[string]*sitemap
}

type sitemap struct {
	packed []byte
	starts []string // of the index: the first code of each map of products
	tag    string
	made   time.Time
}

func newSitemaps() *sitemaps {
	return &sitemaps{making: make(chan struct{}, 1), kept: map[string]*sitemap{}}
}

func (m *sitemaps) find(key string) *sitemap {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.kept[key]; found != nil && time.Since(found.made) < sitemapAge {
		return found
	}
	return nil
}

// keep takes the place of the oldest when there are too many; the index stays, because
// each map is found by it.
func (m *sitemaps) keep(key string, made *sitemap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[key] = made
	if len(m.kept) <= sitemapKept {
		return
	}
	oldest := key
	for k, s := range m.kept {
		if s.starts == nil && s.made.Before(m.kept[oldest].made) {
			oldest = k
		}
	}
	delete(m.kept, oldest)
}

// get finds a map or makes it.
func (m *sitemaps) get(ctx context.Context, key string, write func(*sitemap, io.Writer) error) (*sitemap, error) {
	if found := m.find(key); found != nil {
		return found, nil
	}
	select {
	case m.making <- struct{}{}:
		defer func() { <-m.making }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if found := m.find(key); found != nil { // another made it meanwhile
		return found, nil
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	made := &sitemap{}
	if err := write(made, z); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	made.packed, made.tag, made.made = buf.Bytes(), `W/"`+compress.ContentTag(buf.Bytes())+`"`, time.Now()
	m.keep(key, made)
	return made, nil
}

func (s *Storefront) serveSitemap(w http.ResponseWriter, r *http.Request) error {
	if s.public == "" {
		return errNoPage // every address in it would be whole
	}
	var found *sitemap
	var err error
	switch ctx := r.Context(); r.URL.Path {
	case "/sitemap.xml":
		found, err = s.sitemapIndex(ctx)
	case "/sitemap-pages.xml":
		found, err = s.sitemaps.get(ctx, r.URL.Path, func(_ *sitemap, to io.Writer) error { return s.writePages(ctx, to) })
	default:
		found, err = s.sitemapOf(ctx, r.URL.Query().Get("from"))
	}
	if err != nil {
		return err
	}
	found.send(w, r)
	return nil
}

func (s *Storefront) sitemapIndex(ctx context.Context) (*sitemap, error) {
	return s.sitemaps.get(ctx, "/sitemap.xml", func(made *sitemap, to io.Writer) error { return s.writeIndex(ctx, made, to) })
}

// sitemapOf is the map that a code is in.
func (s *Storefront) sitemapOf(ctx context.Context, code string) (*sitemap, error) {
	if !plausibleSKU(code) {
		return nil, errNoPage
	}
	index, err := s.sitemapIndex(ctx)
	if err != nil {
		return nil, err
	}
	if len(index.starts) == 0 {
		return nil, errNoPage
	}
	at, begins := slices.BinarySearch(index.starts, code)
	if !begins {
		at = max(at-1, 0)
	}
	from := index.starts[at]
	return s.sitemaps.get(ctx, "/sitemap-products.xml?from="+from, func(_ *sitemap, to io.Writer) error { return s.writeProducts(ctx, to, from) })
}

func (m *sitemap) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", m.tag)
	if compress.Matches(strings.Join(r.Header["If-None-Match"], ","), m.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/xml; charset=utf-8")
	if compress.Accept(r.Header).Passing == compress.Gzip {
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(len(m.packed)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(m.packed) //nolint:gosec // XML with what it names escaped; the client may be gone
		}
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	if z, err := gzip.NewReader(bytes.NewReader(m.packed)); err == nil {
		_, _ = io.Copy(w, z)
	}
}

const sitemapSpace = ` xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">` + "\n"

func (s *Storefront) writeIndex(ctx context.Context, made *sitemap, to io.Writer) error {
	first, err := s.catalog.CodePages(ctx, sitemapSize)
	if err != nil {
		return err
	}
	made.starts = first
	var b bytes.Buffer
	b.WriteString(xml.Header + "<sitemapindex" + sitemapSpace)
	s.entry(&b, "sitemap", "/sitemap-pages.xml", time.Time{})
	for _, code := range first {
		s.entry(&b, "sitemap", "/sitemap-products.xml?from="+url.QueryEscape(code), time.Time{})
	}
	b.WriteString("</sitemapindex>\n")
	_, err = b.WriteTo(to)
	return err
}

func (s *Storefront) writePages(ctx context.Context, to io.Writer) error {
	categories, err := s.catalog.Categories(ctx)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(xml.Header + "<urlset" + sitemapSpace)
	s.entry(&b, "url", "/", time.Time{})
	s.entry(&b, "url", "/products", time.Time{})
	for _, c := range newCategoryLinks(categories.Categories) {
		s.entry(&b, "url", c.URL, time.Time{})
	}
	b.WriteString("</urlset>\n")
	_, err = b.WriteTo(to)
	return err
}

func (s *Storefront) writeProducts(ctx context.Context, to io.Writer, from string) error {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<urlset" + sitemapSpace)
	err := s.catalog.Codes(ctx, from, sitemapSize, func(code string, changed time.Time) error {
		s.entry(&b, "url", catalog.ProductURL(code), changed)
		if b.Len() < 32<<10 {
			return nil
		}
		_, err := b.WriteTo(to)
		return err
	})
	if err != nil {
		return err
	}
	b.WriteString("</urlset>\n")
	_, err = b.WriteTo(to)
	return err
}

// entry writes one address with the time of its last change, if that is known.
func (s *Storefront) entry(b *bytes.Buffer, element, path string, changed time.Time) {
	b.WriteString("<" + element + "><loc>")
	_ = xml.EscapeText(b, []byte(s.public+path)) // a buffer takes everything
	b.WriteString("</loc>")
	if !changed.IsZero() {
		b.WriteString("<lastmod>" + changed.UTC().Format(time.RFC3339) + "</lastmod>")
	}
	b.WriteString("</" + element + ">\n")
}
