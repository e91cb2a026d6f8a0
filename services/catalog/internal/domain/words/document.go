package words

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Weight says where in a product a word stands.
type Weight byte

// The weights, best first.
const (
	InName        Weight = 'A'
	InVariant     Weight = 'B' // names of variants, code and SKUs
	InDescription Weight = 'C'
)

// maxPosition is the last position that a lexeme can have in a document.
const maxPosition = 16000

// maxDocument bounds the bytes of a document's lexemes and places, of which PostgreSQL
// takes 1,048,575. No word finds what comes after: the end of a description, or the
// names of the last of a thousand variants in a script that is found by pairs.
const maxDocument = 1_000_000

// Product is what is searched of a product.
type Product struct {
	Name        string
	Variants    []string // names
	Codes       []string // its code and SKUs
	Description string
}

// Document is what is kept of a product to find it.
type Document struct {
	// Lexemes are what queries are compared with, with the places where they stand.
	Lexemes map[string][]Place
	// Words are the words as written, folded: what a misspelled one may have meant.
	Words []string
}

// Place is where a lexeme stands.
type Place struct {
	Position int
	Weight   Weight
}

// whole begins the lexeme that is a product's whole name; no word has the character.
const whole = "="

// Index takes a product apart.
func Index(p Product) Document {
	d := indexer{Document: Document{Lexemes: map[string][]Place{}}, seen: map[string]bool{}}
	d.text(p.Name, InName)
	d.Lexemes[whole+strings.Join(stems(units(Fold(p.Name))), " ")] = []Place{{1, InName}}
	for _, v := range p.Variants {
		d.text(v, InVariant)
	}
	d.codes = true
	for _, c := range p.Codes {
		d.text(c, InVariant)
	}
	d.codes = false
	d.text(p.Description, InDescription)
	slices.Sort(d.Words)
	return d.Document
}

type indexer struct {
	Document
	seen     map[string]bool
	position int
	codes    bool
	size     int // of the lexemes
}

func (d *indexer) add(lexeme string, w Weight) {
	if lexeme == "" || len(lexeme) > 4*maxWord {
		return
	}
	places := d.Lexemes[lexeme]
	size := 2 // a place
	if len(places) == 0 {
		size += len(lexeme) + 3 // how many places there are, at an even address
	}
	if len(places) < 200 && d.size+size <= maxDocument {
		d.size += size
		d.Lexemes[lexeme] = append(places, Place{min(max(d.position, 1), maxPosition), w})
	}
}

// known keeps a word for the dictionary. The words of codes that have digits are
// left out: there are as many as products.
func (d *indexer) known(w string) {
	if !d.seen[w] && len(w) <= 4*maxWord && !(d.codes && hasDigit(w)) && d.size < maxDocument-4*maxWord {
		d.seen[w] = true
		d.Words = append(d.Words, w)
	}
}

// umlauts are letters that are also written as two where a keyboard lacks them.
var umlauts = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "å", "aa", "ø", "oe", "Ä", "ae", "Ö", "oe", "Ü", "ue", "Å", "aa", "Ø", "oe")

func (d *indexer) text(s string, w Weight) {
	all := units(Fold(s))
	if composed := Clean(s); !isASCII(composed) {
		for _, u := range units(Fold(umlauts.Replace(composed))) {
			if u.kind == word && !slices.ContainsFunc(all, func(o unit) bool { return o.text == u.text }) {
				d.add(Stem(u.text), w)
				d.known(u.text)
			}
		}
	}
	for i, u := range all {
		if u.kind == gram {
			d.grams(u.text, w)
			if i+1 < len(all) && all[i+1].kind == gram && w != InDescription { // people leave the space out
				last, _ := utf8.DecodeLastRuneInString(u.text)
				next, _ := utf8.DecodeRuneInString(all[i+1].text)
				d.add(string(last)+string(next), w)
			}
			continue
		}
		d.position++
		if stop[u.text] {
			continue
		}
		d.add(Stem(u.text), w)
		d.known(u.text)
		for _, p := range parts(u.text) {
			d.add(Stem(p), w)
			d.known(p)
		}
		// People write two words as one: the pairs of a name, what a joiner joins.
		if i+1 < len(all) && all[i+1].kind == word && (w != InDescription || all[i+1].group == u.group) {
			d.add(Stem(u.text+all[i+1].text), w)
		}
	}
	for _, joined := range groups(all) {
		d.add(Stem(joined), w)
	}
	d.position += 8 // no phrase goes from one text into the next
}

func (d *indexer) grams(run string, w Weight) {
	for _, g := range grams(run) {
		d.position++
		d.add(g, w)
	}
	for _, r := range run {
		d.add(string(r), w)
		d.known(string(r))
	}
	for _, g := range grams(run) {
		d.known(g)
	}
}

// groups are the words that three or more units make when their joiners are left out.
func groups(all []unit) []string {
	var out []string
	for i := 0; i < len(all); {
		end := i + 1
		for end < len(all) && all[end].group == all[i].group && all[end].kind == word {
			end++
		}
		if end-i > 2 {
			var b strings.Builder
			for _, u := range all[i:end] {
				b.WriteString(u.text)
			}
			out = append(out, b.String())
		}
		i = end
	}
	return out
}

// stems are the words of a text that are not stop words, reduced.
func stems(all []unit) []string {
	var out []string
	for _, u := range all {
		switch {
		case u.kind == gram:
			out = append(out, u.text)
		case !stop[u.text]:
			out = append(out, Stem(u.text))
		}
	}
	return out
}
