package picture

import (
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// words is a name, read.
type words struct {
	title []string // as people see them
	list  []string // upper case, without accents and apostrophes
	one   []string // the same, in the singular
	cuts  []cut    // where phrases end
	count int      // pieces in a set; 1 unless the name says so
}

// cut is a place between two words where one phrase ends and the next begins.
type cut struct {
	at    int  // index of the next phrase's first word
	joins bool // by "and", "&", "+", "of" or "or", which may also be within a phrase
	comma bool // by a comma, behind which variants are named
}

// joining and prepositions are the words between phrases.
var (
	joining      = set("AND OF OR & +")
	prepositions = set("WITH W IN FOR FROM ON TO BY AT")
)

// maxWords bounds the work that a name can ask for.
const maxWords = 40

// read splits a name into words: letters and digits of any script.
func read(name string) words {
	w := words{count: 1}
	up := strings.NewReplacer("T-LIGHT", "TLIGHT", " T LIGHT", " TLIGHT", "W/", " WITH ", "HLDR", "HOLDER")
	for i, part := range strings.Split(name, ",") {
		if i > 0 && len(w.list) > 0 {
			w.cuts = append(w.cuts, cut{at: len(w.list), comma: true})
		}
		for _, s := range strings.FieldsFunc(up.Replace(" "+plain(part)), notWord) {
			if len(w.list) == maxWords {
				break
			}
			switch {
			case joining[s]:
				w.cuts = append(w.cuts, cut{at: len(w.list), joins: true})
			case prepositions[s]:
				w.cuts = append(w.cuts, cut{at: len(w.list)})
			default:
			}
			if s != "&" && s != "+" {
				w.list = append(w.list, s)
			}
		}
	}
	w.one = make([]string, len(w.list))
	for i, s := range w.list {
		w.one[i] = singular(s)
	}
	w.title = title(name)
	w.count = count(w.list)
	return w
}

func notWord(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && r != '&' && r != '+'
}

// plain is a name in upper case without accents and apostrophes.
func plain(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToValidUTF8(s, " ")) {
		switch {
		case r == '\'' || r == '’' || r >= 0x300 && r < 0x370: // accents
		case unicode.IsControl(r):
			b.WriteByte(' ')
		default:
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String()
}

// unchanged end in S in the singular, too.
var unchanged = set("CHRISTMAS XMAS CANVAS BRASS GLASS CHESS DRESS PARIS LEIS CIRCUS BUS CUTLERIES TENNIS PAISLEY MOSS LENS PANSIES")

// singular is a word of one thing, by the rules of English nouns.
func singular(s string) string {
	n := len(s)
	switch {
	case n < 4 || s[n-1] != 'S' || s[n-2] == 'S' || s[n-2] == 'U' || unchanged[s]:
		return s
	case strings.HasSuffix(s, "IES") && n > 5 && s != "COOKIES":
		return s[:n-3] + "Y"
	case strings.HasSuffix(s, "XES"), strings.HasSuffix(s, "CHES"), strings.HasSuffix(s, "SHES"), strings.HasSuffix(s, "SSES"), strings.HasSuffix(s, "OES"):
		return s[:n-2]
	}
	return s[:n-1]
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
	for _, want := range wanted {
		for _, s := range w.list {
			if s == want {
				return true
			}
		}
	}
	return false
}

func set(list string) map[string]bool {
	m := map[string]bool{}
	for s := range strings.FieldsSeq(list) {
		m[s] = true
	}
	return m
}

// title is a name as it is set on a label: without signs that letters do not need,
// in capitals and small letters, and not longer than a label holds.
func title(name string) []string {
	capitals, small := 0, 0
	for _, r := range name {
		if unicode.IsUpper(r) {
			capitals++
		} else if unicode.IsLower(r) {
			small++
		}
	}
	shout := capitals > 3*small
	var out []string
	for _, s := range strings.Fields(strings.ToValidUTF8(name, " ")) {
		word := []rune(strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || strings.ContainsRune("&'’+-/.%!?,", r) {
				return r
			}
			return -1
		}, s))
		if shout && len(out) > 0 && (joining[s] || prepositions[s] || s == "THE" || s == "A") {
			word = []rune(strings.ToLower(s))
		} else if shout {
			for i := 1; i < len(word); i++ {
				if unicode.IsLetter(word[i-1]) || word[i-1] == '\'' || word[i-1] == '’' {
					word[i] = unicode.ToLower(word[i])
				}
			}
		}
		if len(word) > 0 && strings.IndexFunc(string(word), func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '&' || r == '+' }) >= 0 {
			out = append(out, pieces(word)...)
		}
	}
	for i, n := 0, 0; i < len(out); i++ {
		if n += len([]rune(out[i])) + 1; n > 64 || i == 10 {
			out = out[:max(i, 1)]
			break
		}
	}
	if n := len(out); n > 0 {
		out[n-1] = strings.TrimRight(out[n-1], ",.-/")
	}
	return out
}

// pieces breaks what is too long for a line, and scripts that are written without
// spaces.
func pieces(word []rune) []string {
	most := 22
	if word[0] >= 0x2e80 {
		most = 6
	}
	var out []string
	for len(word) > most {
		out = append(out, string(word[:most]))
		word = word[most:]
	}
	return append(out, string(word))
}
