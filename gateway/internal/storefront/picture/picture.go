// Package picture draws the shop's product pictures.
//
// A picture is an SVG made from a product's words: the thing it names is the
// motif (a bag, a mug, a lantern), its colors and patterns are what the motif is
// made of (a red bag with white dots), and what has no word is chosen by the
// seed. The same words and seed give the same bytes, on every machine.
//
// A name without a thing that can be drawn is set as a label instead.
//
// The drawings carry no script, no link and no external reference; the only
// words of the product that reach the markup are those on signs and labels, as
// outlines or escaped.
package picture

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Size is the side of a picture in its own units; it scales to any size.
const Size = 400

// URL is the path under which the storefront serves the picture of a product:
// /pictures/{sku}.svg with a version made from the name, so that it can be
// cached for good.
func URL(sku, name string) string {
	return "/pictures/" + url.PathEscape(sku) + ".svg?v=" + Version(sku, name)
}

// Version names the picture of these words: it changes with them, and with the
// edition of the drawing code.
func Version(seed, name string) string {
	return strconv.FormatUint(hash(edition(), seed, name), 36)
}

// rules counts the changes of how a name is read, which the tables do not show.
const rules = "3"

// edition names the drawings as this program makes them, so that caches fetch
// them anew when the code changes: a hash of the tables and of one drawing of each
// motif, plain and dressed.
var edition = sync.OnceValue(func() string {
	all := append([]string{rules}, undrawn...)
	for _, list := range [][]motif{things, beings, fields, {label}, {parcel}} {
		for _, m := range list {
			all = append(append(all, m.is), m.phrases...)
			for _, name := range []string{"", "Red Retrospot", "Pair of Blue Heart", "Christmas Hanging"} {
				all = append(all, string(draw(m, "edition", name)))
			}
		}
	}
	return strconv.FormatUint(hash(all...), 36)
})

// SVG draws a product. The name is what people see ("Red Retrospot Jumbo Bag");
// the seed, usually the SKU, varies what the name leaves open.
func SVG(seed, name string) []byte {
	return draw(motifOf(read(name)), seed, name)
}

func draw(m motif, seed, name string) []byte {
	w := read(name)
	d := &drawing{words: w, chance: chance(hash(append([]string{seed}, w.list...)...))}
	d.paint(m)
	return []byte(d.b.String())
}

// drawing is one picture in the making.
type drawing struct {
	b      strings.Builder
	words  words
	chance chance
	main   tone   // what the thing is made of
	accent tone   // its second color: handles, ribbons, lids
	cloth  string // paint of the large surface: a color or url(#cloth)
}

// p writes markup.
func (d *drawing) p(format string, args ...any) {
	if len(args) == 0 {
		d.b.WriteString(format)
		return
	}
	fmt.Fprintf(&d.b, format, args...)
}

// paint composes the scene: a backdrop, a soft light behind, a shadow on the
// table for what stands, and the motif, once or as a set.
func (d *drawing) paint(m motif) {
	d.main, d.accent = d.words.tones(m, &d.chance)
	ground := backdrop(d.main, &d.chance)
	d.p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="400" height="400">`)
	d.p(`<defs><radialGradient id="light" cx=".5" cy=".45" r=".6"><stop offset="0" stop-color="#fff" stop-opacity=".6"/><stop offset="1" stop-color="#fff" stop-opacity="0"/></radialGradient>`)
	d.p(`<radialGradient id="glow"><stop offset="0" stop-color="#ffdf8a" stop-opacity=".95"/><stop offset="1" stop-color="#ffdf8a" stop-opacity="0"/></radialGradient>`)
	d.cloth = d.fabric(m)
	d.p(`</defs><path fill="%s" d="M0 0h400v400H0z"/>`, ground.base)
	if !m.hangs {
		d.p(`<path fill="%s" d="M0 292Q200 276 400 292V400H0z"/>`, ground.shade)
	}
	d.p(`<path fill="url(#light)" d="M0 0h400v400H0z"/>`)
	n := 1
	if m.sets && d.words.count > 1 {
		n = min(d.words.count, 3)
	}
	switch n {
	case 1:
		d.one(m, "")
	case 2:
		d.one(m, "translate(24 76) scale(.74)")
		d.one(m, "translate(104 98) scale(.74)")
	default:
		d.one(m, "translate(-8 104) scale(.62)")
		d.one(m, "translate(160 104) scale(.62)")
		d.one(m, "translate(70 120) scale(.66)")
	}
	d.p(`</svg>`)
}

// one draws the motif with its shadow, moved and scaled.
func (d *drawing) one(m motif, transform string) {
	if transform != "" {
		d.p(`<g transform="%s">`, transform)
	}
	if !m.hangs && m.shadow > 0 {
		d.p(`<ellipse cx="200" cy="323" rx="%d" ry="13" fill="#3b2f2a" opacity=".16"/>`, m.shadow)
	}
	m.draw(d)
	if transform != "" {
		d.p(`</g>`)
	}
}

// chance is a small deterministic source of choices (splitmix64).
type chance uint64

func (c *chance) next() uint64 {
	*c += 0x9e3779b97f4a7c15
	z := uint64(*c)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// of returns a number in [0, n).
func (c *chance) of(n int) int { return int(c.next() % uint64(n)) }

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, s := range parts {
		_, _ = h.Write([]byte(s)) // never fails
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

// Kind is what a name is drawn as: "mug", "lantern", or "title" for a label.
func Kind(name string) string { return motifOf(read(name)).is }
