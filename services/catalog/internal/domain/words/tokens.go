package words

import (
	"strings"
	"unicode"
)

// maxWord bounds a word, in characters; what is longer is no word.
const maxWord = 80

// kind is how a run of characters is made into words.
type kind int

const (
	gap    kind = iota // separates
	joiner             // separates, but people also write the word without it
	word               // letters and digits of a script with spaces between words
	gram               // a script without, or one that glues words: found by pairs of characters
)

func kindOf(r rune) kind {
	switch {
	case r < 0x80:
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r >= 'A' && r <= 'Z':
			return word
		case r == '-', r == '.', r == '_', r == '/', r == '&', r == '+':
			return joiner
		}
		return gap
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar), r == 'ー', r == '々', r == '〆':
		return gram
	case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsNumber(r):
		return word
	case r == '‐', r == '‑', r == '–', r == '·', r == '・', r == '־':
		return joiner
	}
	return gap
}

// unit is a run of one kind. Units of the same group have only a joiner between
// them, or nothing.
type unit struct {
	text  string
	kind  kind
	group int
}

// units takes folded text apart.
func units(folded string) []unit {
	var out []unit
	group, glued := 0, false
	start, current := 0, gap
	flush := func(end int) {
		if current == word || current == gram {
			if !glued {
				group++
			}
			out = append(out, unit{folded[start:end], current, group})
			glued = true
		}
	}
	for i, r := range folded {
		k := kindOf(r)
		if k == current && k != joiner {
			continue
		}
		if current == gram && unicode.IsMark(r) {
			continue // belongs to the character before
		}
		flush(i)
		if k == gap || k == joiner && current == joiner {
			glued = false
		}
		start, current = i, k
	}
	flush(len(folded))
	return out
}

// parts splits a word where letters meet digits, "500ml" into "500" and "ml"; nil
// for what is one, and for a code with a single letter.
func parts(w string) []string {
	var out []string
	start, was := 0, false
	for i, r := range w {
		is := unicode.IsDigit(r)
		if i > 0 && is != was {
			out = append(out, w[start:i])
			start = i
		}
		was = is
	}
	if len(out) != 1 {
		return nil
	}
	out = append(out, w[start:])
	for _, p := range out {
		if !hasDigit(p) && len(p) < 2 {
			return nil
		}
	}
	return out
}

func hasDigit(s string) bool { return strings.ContainsFunc(s, unicode.IsDigit) }

// grams are the words of a run of a script without spaces: each two characters side
// by side, or the character if it is alone.
func grams(run string) []string {
	r := []rune(run)
	if len(r) < 2 {
		return []string{run}
	}
	out := make([]string, len(r)-1)
	for i := range out {
		out[i] = string(r[i : i+2])
	}
	return out
}

// stop are English words that say nothing about a product.
var stop = setOf("a an and are as at be by for from has have in into is it its no not of on or so than that the their them then there these this those to was were will with you your")

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}

// Stem reduces an English word to what its forms have in common: plural,
// possessive, -ing and -ed. Words of other alphabets are returned as they are.
func Stem(w string) string {
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return w
		}
	}
	if one, ok := irregular[w]; ok {
		w = one
	} else if w = singular(w); irregular[w] != "" {
		w = irregular[w] // children's
	}
	switch {
	case strings.HasSuffix(w, "ing"):
		w = verb(w, w[:len(w)-3])
	case strings.HasSuffix(w, "ed") && !strings.HasSuffix(w, "eed"):
		w = verb(w, w[:len(w)-2])
	}
	if len(w) > 4 && strings.HasSuffix(w, "ie") || len(w) > 4 && w[len(w)-1] == 'e' && !vowel(w[len(w)-2]) {
		w = w[:len(w)-1] // make and making, bake and baked
	} else if len(w) == 4 && w[3] == 'e' && !vowel(w[2]) && vowel(w[1]) {
		w = w[:3]
	}
	if n := len(w); n > 3 && w[n-1] == 'y' && !vowel(w[n-2]) {
		w = w[:n-1] + "i"
	}
	return w
}

// irregular are plurals that do not end in -s, or do so with another stem.
var irregular = map[string]string{
	"children": "child", "men": "man", "women": "woman", "mice": "mouse", "geese": "goose", "feet": "foot", "teeth": "tooth",
	"knives": "knife", "leaves": "leaf", "shelves": "shelf", "scarves": "scarf", "wolves": "wolf", "halves": "half",
	"loaves": "loaf", "elves": "elf", "calves": "calf",
}

func singular(w string) string {
	n := len(w)
	switch {
	case n < 4 || w[n-1] != 's':
		return w
	case strings.HasSuffix(w, "ies"):
		if n > 4 {
			return w[:n-3] + "y"
		}
		return w[:n-1] // pies, ties
	case strings.HasSuffix(w, "sses"), strings.HasSuffix(w, "shes"), strings.HasSuffix(w, "ches"), strings.HasSuffix(w, "xes"), strings.HasSuffix(w, "zes"):
		return w[:n-2]
	case strings.HasSuffix(w, "ss"), strings.HasSuffix(w, "us"), strings.HasSuffix(w, "is"):
		return w
	}
	return w[:n-1]
}

// verb is the stem of a verb's form if it is one: it has a vowel and three letters.
func verb(whole, stem string) string {
	if len(stem) < 3 || !strings.ContainsAny(stem, "aeiouy") {
		return whole
	}
	if n := len(stem); n > 3 && stem[n-1] == stem[n-2] && !strings.ContainsRune("lrsz", rune(stem[n-1])) {
		return stem[:n-1] // fitted
	}
	return stem
}

func vowel(c byte) bool { return strings.IndexByte("aeiou", c) >= 0 }
