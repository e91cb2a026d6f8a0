package storefront

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/souk-shop/souk/gateway/internal/edge"
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
}

// Frame lets the layout reach it in any view.
func (f *frame) Frame() *frame { return f }

// view is what a template is executed with.
type view interface{ Frame() *frame }

// rendered is a page in two halves; the cart's badge goes between them.
type rendered struct {
	head, tail []byte
}

// pages are the parsed templates by name.
type pages struct {
	templates map[string]*template.Template
	marker    []byte
	buffers   sync.Pool
}

// pageNames are the templates that are pages; each defines "main".
var pageNames = []string{"home", "listing", "product", "cart", "checkout", "order", "orders", "error"}

func newPages(st *static) (*pages, error) {
	// The marker can't be guessed, so no text on a page can pretend to be it.
	marker := "badge-" + rand.Text()
	p := &pages{templates: map[string]*template.Template{}, marker: []byte(marker)}
	p.buffers.New = func() any { return new(bytes.Buffer) }
	base, err := template.New("layout.html").Funcs(template.FuncMap{
		"static": st.url,
		"badge":  func() template.HTML { return template.HTML(marker) },
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
	head, tail, _ := bytes.Cut(bytes.Clone(buf.Bytes()), p.marker)
	return &rendered{head, tail}, nil
}

// show renders a page for one request and sends it.
func (s *Storefront) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) error {
	buf, err := s.pages.render(name, v)
	if err != nil {
		return err
	}
	defer s.pages.buffers.Put(buf)
	head, tail, _ := bytes.Cut(buf.Bytes(), s.pages.marker)
	return s.send(w, r, status, head, tail)
}

// Header values that are the same each time; net/http does not change them.
var (
	htmlType   = []string{"text/html; charset=utf-8"}
	privately  = []string{"private, no-cache"}
	varyCookie = []string{"Cookie"}
)

// send writes the halves of a page with the badge between them.
func (s *Storefront) send(w http.ResponseWriter, r *http.Request, status int, head, tail []byte) error {
	badge := badgeOf(cartCount(r, w))
	h := w.Header()
	h["Content-Type"] = htmlType
	h["Cache-Control"] = privately
	h["Vary"] = varyCookie
	h["Content-Length"] = []string{strconv.Itoa(len(head) + len(badge) + len(tail))}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	// One write: three would be three system calls on a large page.
	buf := s.pages.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	buf.Write(head)
	buf.WriteString(badge)
	buf.Write(tail)
	_, _ = w.Write(buf.Bytes()) // the client may be gone; there is no one to report to
	s.pages.buffers.Put(buf)
	return nil
}

// countCookie says how many units are in the cart, so that any page can show it
// without asking. It is a hint that holds no identity: the cart's own page, and
// every change made here, set it right.
const countCookie = "souk_count"

// cartCount is the number for the badge: the one this response sets, else the
// one the browser sent.
func cartCount(r *http.Request, w http.ResponseWriter) int64 {
	for _, c := range w.Header()["Set-Cookie"] {
		if v, ok := strings.CutPrefix(c, countCookie+"="); ok {
			v, _, _ = strings.Cut(v, ";")
			return parseCount(v)
		}
	}
	// Most requests come without cookies; they cost nothing here.
	if len(r.Header["Cookie"]) == 0 {
		return 0
	}
	c, err := r.Cookie(countCookie)
	if err != nil {
		return 0
	}
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
	if cartCount(r, w) == units {
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
