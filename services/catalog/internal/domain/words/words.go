// Package words decides how the shop compares, finds and sorts text: what a word
// is, in any script, which words are the same, what a misspelled word may have
// meant, and which name comes first. Databases store its results as bytes and
// compare them as bytes, so that an answer never depends on a server's version,
// C library or locale.
package words

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/collate"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// Edition is the version of the rules. What is derived from text is kept with it;
// raise it with every change of a rule, and products of an earlier edition are
// derived again.
const Edition = 1

// Clean is the form in which text is stored: Unicode's NFC.
func Clean(s string) string { return norm.NFC.String(s) }

// letters are those that Unicode does not take apart but people type otherwise,
// and the marks of Arabic and Hebrew spelling that people leave out.
var letters = strings.NewReplacer(
	"ł", "l", "ø", "o", "đ", "d", "ð", "d", "þ", "th", "ß", "ss", "æ", "ae", "œ", "oe", "ı", "i",
	"ŋ", "n", "ħ", "h", "ŧ", "t", "ĸ", "k", "ƒ", "f", "ə", "e", "ɨ", "i", "ɵ", "o",
	"ς", "σ", "ґ", "г", "є", "е", "і", "и",
	"ة", "ه", "ى", "ي", "ی", "ي", "ک", "ك", "ٱ", "ا", "ـ", "",
	"ך", "כ", "ם", "מ", "ן", "נ", "ף", "פ", "ץ", "צ", "׳", "", "״", "",
	"'", "", "’", "", "‘", "", "ʼ", "", "`", "", "´", "",
	"\u00ad", "", "\u200b", "", "\u200c", "", "\u200d", "", "\u2060", "", "\ufeff", "",
)

// Fold returns the form in which text is compared: without case, without accents
// and the other marks that people leave out, every digit an ASCII digit, Katakana
// as Hiragana, full and half width alike.
func Fold(s string) string {
	if folded, ok := foldASCII(s); ok {
		return folded
	}
	s = strings.ToLower(cases.Fold().String(norm.NFKC.String(s))) // Cherokee folds to capitals
	s = strings.Map(func(r rune) rune {
		switch {
		case omitted(r):
			return -1
		case r >= 'ァ' && r <= 'ヶ':
			return r - 'ァ' + 'ぁ'
		case r > unicode.MaxASCII && unicode.Is(unicode.Nd, r):
			return '0' + digit(r)
		}
		return r
	}, norm.NFKD.String(letters.Replace(s)))
	return norm.NFC.String(letters.Replace(s))
}

func foldASCII(s string) (string, bool) {
	if !isASCII(s) || strings.ContainsAny(s, "'`") {
		return "", false
	}
	return strings.ToLower(s), true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// omitted are marks that search does without: those of Latin, Greek and Cyrillic
// letters, of Arabic and Hebrew vowels. Marks that make a letter of another sound
// (Kana, Devanagari, Thai) stay.
func omitted(r rune) bool {
	switch {
	case r < 0x300:
		return false
	case r <= 0x36f, r >= 0x1ab0 && r <= 0x1aff, r >= 0x1dc0 && r <= 0x1dff, r >= 0x20d0 && r <= 0x20ff, r >= 0xfe00 && r <= 0xfe0f, r >= 0xfe20 && r <= 0xfe2f:
		return true
	case r >= 0x591 && r <= 0x5c7:
		return unicode.Is(unicode.Mn, r)
	case r >= 0x610 && r <= 0x61a, r >= 0x64b && r <= 0x65f, r == 0x670, r >= 0x6d6 && r <= 0x6ed:
		return unicode.Is(unicode.Mn, r)
	}
	return false
}

// digit is the value of a decimal digit: each script has its ten in a row.
func digit(r rune) rune {
	zero := r
	for unicode.Is(unicode.Nd, zero-1) && r-zero < 9 {
		zero--
	}
	for _, rg := range unicode.Nd.R16 {
		if lo, hi := rune(rg.Lo), rune(rg.Hi); r >= lo && r <= hi {
			return (r - lo) % 10
		}
	}
	for _, rg := range unicode.Nd.R32 {
		if lo, hi := rune(rg.Lo), rune(rg.Hi); r >= lo && r <= hi {
			return (r - lo) % 10
		}
	}
	return r - zero
}

const (
	// sortRunes is how many characters of a name decide its place among others.
	sortRunes = 100
	// maxSortKey bounds the bytes of a sort key: cursors carry one.
	maxSortKey = 160
)

var collators = sync.Pool{New: func() any {
	return &collator{c: collate.New(language.Und, collate.IgnoreCase)}
}}

type collator struct {
	c   *collate.Collator
	buf collate.Buffer
}

// SortKey returns bytes whose order is the order of names: the root order of
// Unicode's collation, so that Äpfel stands beside Apfel, without regard to case.
func SortKey(name string) []byte {
	name = Clean(strings.Join(strings.Fields(name), " "))
	n := 0
	for i := range name {
		if n++; n > sortRunes {
			name = name[:i]
			break
		}
	}
	c := collators.Get().(*collator)
	defer collators.Put(c)
	c.buf.Reset()
	key := c.c.KeyFromString(&c.buf, name)
	return append([]byte(nil), key[:min(len(key), maxSortKey)]...)
}
