package retail

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// grouper collects lines into invoices. An invoice's lines are together in the
// file but for a few exceptions.
type grouper struct {
	index    map[string]int
	invoices []Invoice
	stats    Stats
}

func (g *grouper) add(l Line) error {
	if g.index == nil {
		g.index = map[string]int{}
	}
	i, ok := g.index[l.Invoice]
	if !ok {
		i = len(g.invoices)
		g.index[l.Invoice] = i
		g.invoices = append(g.invoices, Invoice{
			Number: l.Invoice, Kind: l.Kind, Customer: l.Customer, Country: l.Country, At: l.At,
		})
		g.stats.Invoices++
	}
	inv := &g.invoices[i]
	if inv.Customer != l.Customer {
		return fmt.Errorf("line %d: invoice %s has the customers %q and %q", l.Number, l.Invoice, inv.Customer, l.Customer)
	}
	g.stats.Lines++
	g.stats.Skipped[l.Skip]++
	if l.Skip == Kept {
		inv.Lines = append(inv.Lines, l)
	}
	return nil
}

func (g *grouper) finish() *Invoices {
	out := &Invoices{Stats: g.stats}
	st := &out.Stats
	st.Skipped[Kept] = 0
	for _, inv := range g.invoices {
		switch inv.Kind {
		case Sale:
			if len(inv.Lines) == 0 {
				continue
			}
			st.Orders++
			for _, l := range inv.Lines {
				st.OrderLines++
				st.OrderUnits += l.Units()
			}
		case Cancellation:
			st.Cancellations++
			for _, l := range inv.Lines {
				st.CancelledLines++
				st.CancelledUnits += l.Units()
			}
		case Adjustment:
		}
		out.All = append(out.All, inv)
	}
	sort.SliceStable(out.All, func(i, j int) bool { return out.All[i].At.Before(out.All[j].At) })
	return out
}

// text returns a description as UTF-8 without control characters. What is not
// UTF-8 is Windows-1252.
func text(s string) string {
	if !utf8.ValidString(s) {
		s = fromWindows1252(s)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func fromWindows1252(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 0x80 && c < 0xa0 {
			b.WriteRune(windows1252[c-0x80])
		} else {
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}

// windows1252 has the characters 0x80 to 0x9f, the only ones that differ from
// Latin-1; five of them are not assigned.
var windows1252 = [32]rune{
	'€', utf8.RuneError, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', utf8.RuneError, 'Ž', utf8.RuneError,
	utf8.RuneError, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', utf8.RuneError, 'ž', 'Ÿ',
}
