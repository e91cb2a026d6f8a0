package words

import (
	"slices"
	"strings"
	"unicode"
)

// maxTerms is how many words of a query are looked for.
const maxTerms = 12

// Query is a search: it finds the products that have all its terms.
type Query struct {
	Terms []Term
	// Without are terms that a product must not have ("-red").
	Without []Term
}

// Term is a word of a query, or what was written in quotes.
type Term struct {
	// Text is the word as written, folded.
	Text string
	// All are the lexemes it stands for, in their order; a product has each.
	All []string
	// Phrase says that they stand side by side, at these distances from the first.
	Phrase []int
	// Or are other spellings, of which a product may have one instead: lists of
	// lexemes that it has each of.
	Or [][]string
	// Joins are the lexemes that the word makes with the ones beside it.
	Joins []string
	// Plain says that it is a single word that has no digits and may be misspelled.
	Plain bool
	// Run says that it is a run of characters of a script without spaces.
	Run bool
}

// Parse reads a query: words, "phrases in quotes" and -words to leave out.
func Parse(text string) Query {
	var q Query
	text = quotes.Replace(text)
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			if t, ok := phrase(part); ok && len(q.Terms) < maxTerms {
				q.Terms = append(q.Terms, t)
			}
			continue
		}
		q.plain(part)
	}
	for i := range q.Terms {
		if i > 0 && pairs(q.Terms[i-1], q.Terms[i]) {
			joined := Stem(q.Terms[i-1].Text + q.Terms[i].Text)
			q.Terms[i-1].Joins = append(q.Terms[i-1].Joins, joined)
			q.Terms[i].Joins = append(q.Terms[i].Joins, joined)
		}
	}
	return q
}

var quotes = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`, "«", `"`, "»", `"`)

func pairs(a, b Term) bool { return len(a.All) == 1 && len(b.All) == 1 && !a.Run && !b.Run }

func (q *Query) plain(part string) {
	for field := range strings.FieldsSeq(part) {
		without := false
		if rest, ok := strings.CutPrefix(field, "-"); ok && strings.IndexFunc(rest, unicode.IsLetter) == 0 {
			without, field = true, rest
		}
		all := units(Fold(field))
		for i := 0; i < len(all); {
			end := i + 1
			for all[i].kind == word && end < len(all) && all[end].kind == word && all[end].group == all[i].group {
				end++
			}
			if t, ok := term(all[i:end]); ok {
				if without {
					q.Without = append(q.Without, t)
				} else if len(q.Terms) < maxTerms {
					q.Terms = append(q.Terms, t)
				}
			}
			i = end
		}
	}
}

// term makes one of units that only joiners part.
func term(all []unit) (Term, bool) {
	if all[0].kind == gram {
		return Term{Text: all[0].text, All: grams(all[0].text), Run: true}, true
	}
	if len(all) == 1 {
		w := all[0].text
		if stop[w] || len(w) > 4*maxWord {
			return Term{}, false
		}
		t := Term{Text: w, All: []string{Stem(w)}, Plain: !hasDigit(w)}
		if p := parts(w); p != nil {
			t.Or = append(t.Or, []string{Stem(p[0]), Stem(p[1])})
		}
		return t, true
	}
	var joined strings.Builder
	split := make([]string, 0, len(all))
	texts := make([]string, len(all))
	for i, u := range all {
		joined.WriteString(u.text)
		texts[i] = u.text
		if !stop[u.text] {
			split = append(split, Stem(u.text))
		}
	}
	t := Term{Text: strings.Join(texts, "-"), All: []string{Stem(joined.String())}}
	if len(split) > 0 {
		t.Or = append(t.Or, split)
	}
	return t, true
}

func phrase(text string) (Term, bool) {
	var t Term
	var texts []string
	at := 0
	for _, u := range units(Fold(text)) {
		texts = append(texts, u.text)
		if u.kind == gram {
			for _, g := range grams(u.text) {
				t.All, t.Phrase = append(t.All, g), append(t.Phrase, at)
				at++
			}
			continue
		}
		if !stop[u.text] {
			t.All, t.Phrase = append(t.All, Stem(u.text)), append(t.Phrase, at)
		}
		at++
	}
	t.Text = `"` + strings.Join(texts, " ") + `"`
	return t, len(t.All) > 0
}

// Lexemes are all that the positive terms name, without their joins.
func (q Query) Lexemes() []string {
	var out []string
	for _, t := range q.Terms {
		out = append(out, t.All...)
		for _, o := range t.Or {
			out = append(out, o...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// String is the query as people would write it.
func (q Query) String() string {
	out := make([]string, 0, len(q.Terms)+len(q.Without))
	for _, t := range q.Terms {
		out = append(out, t.Text)
	}
	for _, t := range q.Without {
		out = append(out, "-"+t.Text)
	}
	return strings.Join(out, " ")
}

// Whole is the lexeme of products whose name is the query, word for word.
func (q Query) Whole() string {
	var all []string
	for _, t := range q.Terms {
		switch {
		case t.Run:
			all = append(all, t.Text)
		case len(t.Or) > 0:
			all = append(all, t.Or[0]...)
		default:
			all = append(all, t.All...)
		}
	}
	return whole + strings.Join(all, " ")
}

// With returns the query with another text for the term at i, or without it for "".
func (q Query) With(i int, text string) Query {
	texts := make([]string, 0, len(q.Terms)+len(q.Without))
	for j, t := range q.Terms {
		switch {
		case j != i:
			texts = append(texts, t.Text)
		case text != "":
			texts = append(texts, text)
		}
	}
	for _, t := range q.Without {
		texts = append(texts, "-"+t.Text)
	}
	return Parse(strings.Join(texts, " "))
}
