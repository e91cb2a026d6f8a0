package picture

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// letterFile holds the outlines of the shop's display font (Fraunces SemiBold, SIL
// Open Font License 1.1: ../static/fraunces-license.txt): pictures are images, which
// load no fonts, and machines differ in theirs. A line is a character, its advance
// and an SVG path from its origin, in units of which an em has 250. It was made with
// fonttools from ../static/fraunces.woff2: the points of each glyph divided by 8 and
// rounded.
//
//go:embed letters.txt
var letterFile string

const em = 250

type letter struct {
	advance int
	path    string
}

var letters = sync.OnceValue(func() map[rune]letter {
	m := map[rune]letter{' ': {advance: 55}}
	for line := range strings.Lines(letterFile) {
		char, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		advance, path, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(advance)
		if err != nil {
			panic("picture: letters.txt: " + line) // a file of this package
		}
		m[[]rune(char)[0]] = letter{advance: n, path: path}
	}
	return m
})

// drawn reports whether all of a text can be drawn with the shop's letters.
func drawn(text string) bool {
	for _, r := range text {
		if _, ok := letters()[r]; !ok {
			return false
		}
	}
	return true
}

// width is the width of a line in units of which an em has 250; for letters that
// the shop's font lacks it is an estimate.
func width(text string) int {
	n := 0
	for _, r := range text {
		if l, ok := letters()[r]; ok {
			n += l.advance
		} else if r >= 0x1100 {
			n += em // an ideograph, a syllable
		} else {
			n += em * 6 / 10
		}
	}
	return n
}

// write sets a line centered at x, its baseline at y. What the shop's letters
// cannot say is left to the fonts of the machine.
func (d *drawing) write(text string, x, y, size float64, color string) {
	if !drawn(text) {
		d.p(`<text x="%.0f" y="%.0f" font-family="Georgia,'Times New Roman',serif" font-weight="600" font-size="%.0f" text-anchor="middle" fill="%s">%s</text>`,
			x, y, size, color, escape(text))
		return
	}
	scale := size / em
	d.p(`<g fill="%s" transform="translate(%.1f %.1f) scale(%.3f)">`, color, x-float64(width(text))*scale/2, y, scale)
	at := 0
	for _, r := range text {
		l := letters()[r]
		if l.path != "" {
			// The path begins where the pen stands.
			d.p(`<path d="M%d 0%s"/>`, at, l.path)
		}
		at += l.advance
	}
	d.p(`</g>`)
}

// escape writes text that is letters, digits and a few signs into markup.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(text)
}

// set writes words centered at a point, broken into at most the given lines and as
// large as the box of w by h allows.
func (d *drawing) set(words []string, lines int, x, y, w, h, largest float64, color string) {
	best, size := []string{strings.Join(words, " ")}, 0.0
	for n := 1; n <= min(lines, len(words)); n++ {
		broken := broken(words, n)
		longest := 1
		for _, l := range broken {
			longest = max(longest, width(l))
		}
		fits := min(w*em/float64(longest), h/(float64(len(broken))*1.14), largest)
		if fits > size*1.02 {
			best, size = broken, fits
		}
	}
	first := y - float64(len(best)-1)*size*1.14/2 + size*.34
	for i, l := range best {
		d.write(l, x, first+float64(i)*size*1.14, size, color)
	}
}

// broken breaks words into n lines of about equal width.
func broken(words []string, n int) []string {
	total := width(strings.Join(words, " "))
	var out []string
	line := ""
	done := 0
	for i, s := range words {
		next := strings.TrimSpace(line + " " + s)
		left := n - len(out)
		goal := (total - done) / max(left, 1)
		if line != "" && left > 1 && width(next)-goal > goal-width(line) || len(words)-i < left-1 {
			out = append(out, line)
			done += width(line) + letters()[' '].advance
			next = s
		}
		line = next
	}
	return append(out, line)
}
