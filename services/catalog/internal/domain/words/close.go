package words

import (
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// keyPrefix is how many characters of a word its keys are made of.
	keyPrefix = 8
	// oneError and twoErrors are the lengths from which a word may be written with
	// as many errors: shorter ones are like too many others.
	oneError  = 4
	twoErrors = 7
)

// errorsIn is how many errors a word of n characters may have.
func errorsIn(n int) int {
	switch {
	case n < oneError:
		return 0
	case n < twoErrors:
		return 1
	}
	return 2
}

// Keys are what words that differ by a few errors have in common: the word's
// beginning, with up to that many characters left out. nil for words that are too
// short, or have digits, to be taken for one another.
func Keys(w string) []string {
	r := []rune(w)
	errs := errorsIn(len(r))
	if len(r) == oneError-1 {
		errs = 1 // the right word of one that has a character too many
	}
	if errs == 0 || hasDigit(w) || len(r) > maxWord {
		return nil
	}
	if len(r) >= twoErrors-1 {
		errs = 2
	}
	r = r[:min(len(r), keyPrefix)]
	out := []string{string(r)}
	for last := out; errs > 0; errs-- {
		var next []string
		for _, k := range last {
			kr := []rune(k)
			for i := range kr {
				next = append(next, string(kr[:i])+string(kr[i+1:]))
			}
		}
		slices.Sort(next)
		next = slices.Compact(next)
		out = append(out, next...)
		last = next
	}
	return out
}

// Known is a word of the dictionary and how many products have it.
type Known struct {
	Word     string
	Products int64
}

// Closest returns up to n of the candidates that a misspelled word may have meant,
// best first: the fewest errors, then the same first letter, then the most products.
func Closest(w string, candidates []Known, n int) []string {
	type scored struct {
		Known
		cost int
	}
	length := utf8.RuneCountInString(w)
	first, _ := utf8.DecodeRuneInString(w)
	var all []scored
	for _, c := range candidates {
		most := errorsIn(max(length, utf8.RuneCountInString(c.Word)))
		if length < oneError {
			continue
		}
		d := distance(w, c.Word, most)
		if d > most || c.Word == w {
			continue
		}
		cost := 4 * d
		if r, _ := utf8.DecodeRuneInString(c.Word); r != first {
			cost += 2
		}
		all = append(all, scored{c, cost})
	}
	slices.SortFunc(all, func(a, b scored) int {
		if a.cost != b.cost {
			return a.cost - b.cost
		}
		if a.Products != b.Products {
			if a.Products > b.Products {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Word, b.Word)
	})
	out := make([]string, 0, n)
	for _, c := range all[:min(n, len(all))] {
		out = append(out, c.Word)
	}
	return out
}

// distance counts the errors between two words: a character too many, too few,
// another one, or two swapped. It stops counting above most.
func distance(a, b string, most int) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d > most || -d > most {
		return most + 1
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			d := last[j-1]
			if x[i-1] != y[j-1] {
				d++
			}
			d = min(d, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, before[j-2]+1)
			}
			row[j] = d
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
