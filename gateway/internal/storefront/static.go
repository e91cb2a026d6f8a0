package storefront

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// static serves files under names that hold a hash of their content, so that
// they can be cached for good: souk.css is /static/souk-1a2b3c4d5e6f.css.
type static struct {
	urls  map[string]string // by the name in the tree
	files map[string]*file  // by the name served
}

// file is something to be served again and again, also compressed.
type file struct {
	kind        string
	plain, gzip []byte
}

func newFile(kind string, b []byte) *file {
	var z bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&z, gzip.BestCompression) // the level is valid
	_, _ = zw.Write(b)                                     // a buffer never fails
	_ = zw.Close()
	return &file{kind: kind, plain: b, gzip: z.Bytes()}
}

// send writes the file as the client likes it.
func (f *file) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if len(f.gzip) < len(f.plain) && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
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
		sum := sha256.Sum256(b)
		ext := path.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), ext) + "-" + hex.EncodeToString(sum[:6]) + ext
		s.urls[e.Name()] = "/static/" + name
		s.files[name] = newFile(kinds[ext], b)
	}
	return s, nil
}

// kinds does not ask the machine, whose tables differ.
var kinds = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
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
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	f.send(w, r)
}

// acceptsGzip reads Accept-Encoding; "gzip;q=0" refuses.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, err := mime.ParseMediaType("x/" + strings.TrimSpace(part))
		if err == nil && (name == "x/gzip" || name == "x/*") {
			q, err := strconv.ParseFloat(params["q"], 64)
			return err != nil || q > 0
		}
	}
	return false
}
