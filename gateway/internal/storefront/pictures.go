package storefront

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
)

// pictureCacheBytes bounds the drawings kept; one is about 4 kB, plain and
// compressed.
const pictureCacheBytes = 6 << 20

// Draw draws a picture, as picture.SVG does. It never fails.
type Draw func(ctx context.Context, seed, words string) []byte

// pictures keeps drawings in two generations: what is used moves to the young
// one, and when that is half the size allowed, the old one goes.
type pictures struct {
	half int
	draw Draw

	mu         sync.Mutex
	size       int // of the young
	young, old map[string]*compress.Body
}

func newPictures(size int, draw Draw) *pictures {
	return &pictures{half: size / 2, draw: draw, young: map[string]*compress.Body{}}
}

// get returns the drawing for a seed and words, under their version.
func (p *pictures) get(ctx context.Context, version, seed, words string) *compress.Body {
	p.mu.Lock()
	drawn, ok := p.young[version]
	if !ok {
		if drawn, ok = p.old[version]; ok {
			p.put(version, drawn)
		}
	}
	p.mu.Unlock()
	if ok {
		return drawn
	}
	// Weak: the plain and the compressed forms share it.
	drawn = compress.NewBody(p.draw(ctx, seed, words), `W/"`+version+`"`)
	p.mu.Lock()
	p.put(version, drawn)
	p.mu.Unlock()
	return drawn
}

// put stores under the lock.
func (p *pictures) put(version string, drawn *compress.Body) {
	size := 2 * len(drawn.Plain.Bytes) // with its compressed forms
	if p.size+size > p.half {
		p.old, p.young, p.size = p.young, map[string]*compress.Body{}, 0
	}
	p.young[version] = drawn
	p.size += size
}

// servePicture draws a product, or the variant whose SKU is asked for. With the
// version of its words in the address it can be kept for good, otherwise for an
// hour.
func (s *Storefront) servePicture(w http.ResponseWriter, r *http.Request) error {
	sku, ok := strings.CutSuffix(r.PathValue("file"), ".svg")
	if !ok || !plausibleSKU(sku) {
		return errNoPage
	}
	p, err := s.catalog.Product(r.Context(), sku)
	if err != nil {
		return err
	}
	s.sendPicture(w, r, p.Code, pictureWords(p, sku), picture.Version(sku, lineName(p, sku)))
	return nil
}

// serveCategoryPicture draws a category from its name.
func (s *Storefront) serveCategoryPicture(w http.ResponseWriter, r *http.Request) error {
	slug, ok := strings.CutSuffix(r.PathValue("file"), ".svg")
	if !ok {
		return errNoPage
	}
	list, err := s.catalog.Categories(r.Context())
	if err != nil {
		return err
	}
	for _, c := range list.Categories {
		if c.Slug == slug {
			s.sendPicture(w, r, c.Slug, c.Name, "")
			return nil
		}
	}
	return errNoPage
}

// sendPicture sends a drawing. alias is another version of the same words: that of
// the lines of carts and orders, which do not know the product's code.
func (s *Storefront) sendPicture(w http.ResponseWriter, r *http.Request, seed, words, alias string) {
	version := picture.Version(seed, words)
	h := w.Header()
	h.Set("Content-Security-Policy", edge.PicturePolicy)
	if asked, ok := strings.CutPrefix(r.URL.RawQuery, "v="); ok && asked != "" && (asked == version || asked == alias) {
		h.Set("Cache-Control", forGood)
	} else {
		h.Set("Cache-Control", "public, max-age=3600")
	}
	h.Set("Content-Type", svgType)
	s.pictures.get(r.Context(), version, seed, words).Serve(w, r)
}

// pictureWords are the words that a product, or one of its variants, is drawn
// from.
func pictureWords(p *catalog.Product, sku string) string {
	for i := range p.Variants {
		if v := &p.Variants[i]; v.SKU == sku && sku != p.Code && v.Name != "" {
			// The comma keeps the thing the product's: "Mug, box of 2" is no box.
			return p.Name + ", " + v.Name
		}
	}
	return p.Name
}

// lineName is what a line of a cart calls a variant.
func lineName(p *catalog.Product, sku string) string {
	for i := range p.Variants {
		if v := &p.Variants[i]; v.SKU == sku && v.Name != "" {
			return p.Name + ", " + v.Name
		}
	}
	return p.Name
}

// plausibleSKU reports whether an address can name a product, without asking the
// catalog.
func plausibleSKU(sku string) bool {
	if sku == "" || len(sku) > 64 {
		return false
	}
	for _, c := range []byte(sku) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
