package storefront

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/edgecache"
)

//go:embed templates/*.html
var templateFiles embed.FS

// frame is the part of a view that every page has.
type frame struct {
	Title       string // of the window; the shop's name is added
	Description string // for search engines; may be empty
	Query       string // in the search box
	Section     string // which item of the navigation is current
	Failed      bool   // what was sent is wrong: the window's title says so first
	Refresh     int    // seconds until a browser without scripts reloads; 0 for never

	Path     string // of the page's one address, for search engines; empty for none
	Previous string // address of the page before, of several
	Next     string // and of the one after
	NoIndex  bool   // search engines leave it out
	Picture  string // of the first screen, to be fetched first
	Kind     string // of Open Graph; "" is "website"
	Facts    []any  // JSON-LD: what the page is about

	about []string // of a page that is the same for everybody: its keys for edges
}

// Frame lets the layout reach it in any view.
func (f *frame) Frame() *frame { return f }

// view is what a template is executed with.
type view interface{ Frame() *frame }

// rendered is a page that is the same for everybody. The script puts the number on the cart,
// which the browser's cookie has.
type rendered struct {
	*compress.Body
	about edgecache.Keys
}

// pages are the parsed templates by name.
type pages struct {
	templates map[string]*template.Template
	marker    []byte
	buffers   sync.Pool
}

// pageNames are the templates that are pages; each defines "main".
var pageNames = []string{"home", "listing", "product", "cart", "checkout", "order", "orders", "error", "signin", "traces", "trace", "metrics"}

func newPages(st *static, public string) (*pages, error) {
	// The marker can't be guessed, so no text on a page can pretend to be it.
	marker := "badge-" + rand.Text()
	p := &pages{templates: map[string]*template.Template{}, marker: []byte(marker)}
	p.buffers.New = func() any { return new(bytes.Buffer) }
	base, err := template.New("layout.html").Funcs(template.FuncMap{
		"static":   st.url,
		"absolute": func(path string) string { return absolute(public, path) },
		"static_absolute": func(name string) (string, error) {
			u, err := st.url(name)
			return absolute(public, u), err
		},
		"badge":  func() template.HTML { return template.HTML(marker) }, //nolint:gosec // a constant
		"plural": plural,
		"count":  count,
		"len64":  func(l []quoteLine) int64 { return int64(len(l)) },
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	for _, name := range pageNames {
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if p.templates[name], err = t.ParseFS(templateFiles, "templates/"+name+".html"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// render executes a page into a buffer of the pool; the caller gives it back.
func (p *pages) render(name string, v view) (*bytes.Buffer, error) {
	buf := p.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	if err := p.templates[name].ExecuteTemplate(buf, "layout.html", v); err != nil {
		p.buffers.Put(buf)
		return nil, fmt.Errorf("rendering %s: %w", name, err)
	}
	return buf, nil
}

// fragment executes one part of a page's template to a string.
func (p *pages) fragment(name, part string, v any) (string, error) {
	var b strings.Builder
	err := p.templates[name].ExecuteTemplate(&b, part, v)
	return b.String(), err
}

// keep renders a page that is the same for everybody, to be served often.
func (p *pages) keep(name string, v view) (*rendered, error) {
	buf, err := p.render(name, v)
	if err != nil {
		return nil, err
	}
	defer p.buffers.Put(buf)
	head, tail, _ := bytes.Cut(buf.Bytes(), p.marker)
	whole := slices.Concat(head, []byte(badges[0]), tail)
	// The tag is weak: the compressed forms share it.
	body := compress.NewBody(whole, `W/"`+compress.ContentTag(whole)+`"`)
	return &rendered{body, edgecache.NewKeys(v.Frame().about...)}, nil
}

// Header values that are the same each time; net/http does not change them.
var (
	htmlType   = []string{"text/html; charset=utf-8"}
	noStore    = []string{"private, no-store"}
	varyCoding = []string{"Accept-Encoding"}
)

// uncompressed are the pages that hold a secret beside what the shopper typed (see
// package compress).
var uncompressed = map[string]bool{"checkout": true}

// show renders a page for one shopper and sends it. It is not stored anywhere, nor
// found by search engines: it may show what only the shopper should see. What answers a
// form repeats what was typed and is not compressed. The script makes its entry in the
// browser's history one that is asked for anew, so that going back to it works.
func (s *Storefront) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) error {
	v.Frame().NoIndex = true
	buf, err := s.pages.render(name, v)
	if err != nil {
		return err
	}
	defer s.pages.buffers.Put(buf)
	whole := s.pages.buffers.Get().(*bytes.Buffer)
	defer s.pages.buffers.Put(whole)
	whole.Reset()
	head, tail, _ := bytes.Cut(buf.Bytes(), s.pages.marker)
	whole.Write(head)
	whole.WriteString(badgeOf(s.cartCount(r, w)))
	whole.Write(tail)
	h := w.Header()
	h["Cache-Control"] = noStore
	var accepted compress.Accepted
	if !uncompressed[name] && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		h["Vary"] = varyCoding
		accepted = compress.Accept(r.Header)
	}
	writePage(w, r, status, accepted, whole.Bytes())
	return nil
}

// sendShared sends a page that was kept: the same bytes to everybody.
func (s *Storefront) sendShared(w http.ResponseWriter, r *http.Request, p *rendered) {
	h := w.Header()
	s.edges.Mark(h, p.about)
	h["Vary"] = varyCoding
	h["Etag"] = p.Plain.ETag
	if asked := r.Header["If-None-Match"]; len(asked) > 0 && p.Matches(strings.Join(asked, ",")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	form := p.For(h, compress.Accept(r.Header))
	h["Content-Type"] = htmlType
	h["Content-Length"] = form.Length
	if r.Method != http.MethodHead {
		_, _ = w.Write(form.Bytes) //nolint:gosec // made by html/template; the client may be gone, and there is no one to report to
	}
}

// writePage compresses a page for one shopper and writes it, in one system call.
func writePage(w http.ResponseWriter, r *http.Request, status int, accepted compress.Accepted, body []byte) {
	h := w.Header()
	write := func(b []byte) {
		h["Content-Type"] = htmlType
		h["Content-Length"] = []string{strconv.Itoa(len(b))}
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(b) // the client may be gone; there is no one to report to
		}
	}
	if !compress.Encode(h, accepted, body, write) {
		write(body)
	}
}

// countCookie says how many units are in the cart, so that any page can show it
// without asking. It is a hint that holds no identity: the cart's own page, and
// every change made here, set it right.
const countCookie = "souk_count"

// cartCount is the number for the badge: the one this response sets, else the
// one the browser sent.
func (s *Storefront) cartCount(r *http.Request, w http.ResponseWriter) int64 {
	if v, ok := s.policy.SetValue(w.Header(), countCookie); ok {
		return parseCount(v)
	}
	// Most requests come without cookies; they cost nothing here.
	if len(r.Header["Cookie"]) == 0 {
		return 0
	}
	c, _ := s.policy.Cookie(r, countCookie)
	return parseCount(c.Value)
}

func parseCount(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 200_000_000 {
		return 0
	}
	return n
}

// rememberCount sends the count cookie when it is not what the browser has.
func (s *Storefront) rememberCount(w http.ResponseWriter, r *http.Request, units int64) {
	if s.cartCount(r, w) == units {
		return
	}
	s.policy.SetCookie(w, r, edge.Cookie{Name: countCookie, Value: strconv.FormatInt(units, 10), Scripts: true})
}

// badges are the first few, ready.
var badges = func() (list [100]string) {
	for n := range list {
		list[n] = newBadge(int64(n))
	}
	return list
}()

func badgeOf(n int64) string {
	if n < int64(len(badges)) {
		return badges[n]
	}
	return newBadge(n)
}

func newBadge(n int64) string {
	if n == 0 {
		return `<span data-badge></span>`
	}
	return `<span data-badge><span class="badge" data-cart-count>` + count(n) + `</span><span class="unseen"> ` + plural(n, "item", "items") + `</span></span>`
}

// count writes a number with thousands separators.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
