package storefront

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/edge/compress"
)

//go:embed static
var staticFiles embed.FS

// static serves files under names that hold a hash of their content, so that
// they can be cached for good: souk.css is /static/souk-1a2b3c4d5e6f.css.
type static struct {
	urls  map[string]string // by the name in the tree
	files map[string]*file  // by the name served
}

// file is something to be served again and again.
type file struct {
	kind string
	*compress.Body
}

func newStatic(tree fs.FS) (*static, error) {
	s := &static{urls: map[string]string{}, files: map[string]*file{}}
	entries, err := fs.ReadDir(tree, ".")
	if err != nil {
		return nil, err
	}
	// Style sheets come last: they name other files.
	isSheet := func(e fs.DirEntry) bool { return path.Ext(e.Name()) == ".css" }
	entries = append(slices.DeleteFunc(slices.Clone(entries), isSheet), slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !isSheet(e) })...)
	for _, e := range entries {
		b, err := fs.ReadFile(tree, e.Name())
		if err != nil {
			return nil, err
		}
		if isSheet(e) {
			for name, u := range s.urls {
				b = bytes.ReplaceAll(b, []byte(`url("`+name+`")`), []byte(`url("`+u+`")`))
			}
		}
		ext := path.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), ext) + "-" + compress.ContentTag(b)[:12] + ext
		s.urls[e.Name()] = "/static/" + name
		s.files[name] = &file{kinds[ext], compress.NewFile(b)}
	}
	return s, nil
}

const svgType = "image/svg+xml; charset=utf-8"

// kinds does not ask the machine, whose tables differ.
var kinds = map[string]string{
	".css":   "text/css; charset=utf-8",
	".ico":   "image/x-icon",
	".js":    "text/javascript; charset=utf-8",
	".png":   "image/png",
	".svg":   svgType,
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// url is the address of a file; a template that names an unknown one fails.
func (s *static) url(name string) (string, error) {
	if u, ok := s.urls[name]; ok {
		return u, nil
	}
	return "", fmt.Errorf("no static file %q", name)
}

func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := s.files[r.PathValue("file")]
	if !ok {
		w.Header().Set("Cache-Control", "no-store") // another version of the shop may have it
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", forGood)
	w.Header().Set("Content-Type", f.kind)
	f.Serve(w, r)
}

// forGood is the Cache-Control of what has a version in its address.
const forGood = "public, max-age=31536000, immutable"
