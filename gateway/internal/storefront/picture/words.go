package picture

import (
	"strconv"
	"strings"
)

// words is a name, read.
type words struct {
	text  string   // upper case, one space between words, a space at both ends
	list  []string // the same, split
	thing string   // text up to what it merely comes with ("with", "in", "for")
	count int      // pieces in a set; 1 unless the name says so
}

// read splits a name into words of A-Z and 0-9; T-LIGHT stays one word.
func read(name string) words {
	up := strings.ToUpper(name)
	up = strings.ReplaceAll(up, "T-LIGHT", "TLIGHT")
	up = strings.ReplaceAll(up, "T LIGHT", "TLIGHT")
	up = strings.ReplaceAll(up, "W/", " WITH ")
	up = strings.ReplaceAll(up, "'", "")
	list := split(up)
	if len(list) > 40 {
		list = list[:40]
	}
	w := words{list: list, count: 1}
	w.text = " " + strings.Join(list, " ") + " "
	w.thing = w.text
	if head, _, ok := strings.Cut(up, ","); ok {
		if n := len(split(head)); n > 0 {
			w.thing = " " + strings.Join(list[:min(n, len(list))], " ") + " "
		}
	}
	for _, stop := range []string{" WITH ", " IN ", " FOR ", " FROM ", " AND "} {
		if i := strings.Index(w.thing, stop); i > 0 {
			w.thing = w.thing[:i+1]
		}
	}
	w.count = count(list)
	return w
}

func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// count reads "SET OF 3", "SET/6", "PACK OF 12", "S/4", "6 RIBBONS".
func count(list []string) int {
	for i, s := range list {
		n, err := strconv.Atoi(s)
		if err != nil || n < 2 {
			continue
		}
		if i == 0 && len(list) > 1 || i > 0 && (list[i-1] == "SET" || list[i-1] == "S" || list[i-1] == "OF" || list[i-1] == "PACK") {
			return n
		}
	}
	for _, s := range list {
		if s == "PAIR" {
			return 2
		}
	}
	return 1
}

// has tells whether any of the wanted words is in the name.
func (w words) has(wanted ...string) bool {
	for _, s := range wanted {
		if strings.Contains(w.text, " "+s+" ") {
			return true
		}
	}
	return false
}

// last is where in the text the phrase stands last; -1 if it does not. A plural
// counts.
func last(text, phrase string) int {
	return max(
		strings.LastIndex(text, " "+phrase+" "),
		strings.LastIndex(text, " "+phrase+"S "),
	)
}
