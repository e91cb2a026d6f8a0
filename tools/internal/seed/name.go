package seed

import (
	"regexp"
	"strings"
	"unicode"
)

// words that the shop's own labels shorten, in lower case.
var words = map[string]string{
	"w": "with", "w/": "with", "asstd": "assorted", "ass": "assorted", "asst": "assorted", "des": "design",
	"col": "colour", "neckl": "necklace", "b'fly": "butterfly", "c/cover": "cushion cover", "xmas": "christmas",
	"cushon": "cushion", "artiifcial": "artificial", "tassle": "tassel", "ch.": "children's", "turq": "turquoise",
	"squarecushion": "square cushion", "vippassport": "vip passport", "no": "no.",
	"childs": "child's", "childrens": "children's", "pck": "pack", "sm": "small", "lge": "large", "med": "medium",
	"diamante": "diamanté", "decoupage": "découpage", "cafe": "café", "doiley": "doily", "recipie": "recipe",
	"metalic": "metallic",
	"n/c":     "necklace", "dec": "decoration", "doorsign": "door sign",
	"hldr": "holder", "cinammon": "cinnamon", "chocolatecandle": "chocolate candle", "strawbery": "strawberry",
	"hydranga": "hydrangea", "fuschia": "fuchsia", "lt.blue": "light blue", "necklac": "necklace",
	"str": "strings", "blackchristmas": "black christmas", "w/sucker": "with sucker", "incense/cand": "incense & candle",
	"livingroom": "living room", "photoframe": "photo frame",
}

// small words stay in lower case inside a name.
var small = map[string]bool{
	"a": true, "an": true, "and": true, "at": true, "by": true, "de": true, "du": true, "en": true, "for": true,
	"from": true, "in": true, "of": true, "on": true, "or": true, "the": true, "to": true, "with": true, "la": true,
	"cm": true, "g": true, "kg": true, "m": true, "ml": true, "pcs": true, "le": true,
}

// upper words are abbreviations or names written in capitals.
var upper = map[string]bool{
	"led": true, "uk": true, "usb": true, "tv": true, "vip": true, "diy": true, "usa": true, "ii": true, "iv": true,
	"vi": true, "dj": true, "abc": true, "3d": true, "ok": true, "nyc": true, "bbq": true,
	"dvd": true, "cd": true, "ttl": true, "m.o.p": true, "m.o.p.": true, "fm": true, "hrh": true,
}

var (
	setOf   = regexp.MustCompile(`(?i)\b(?:s|set)\s*/\s*(\d+)`)
	packOf  = regexp.MustCompile(`(?i)\bpack\s*/\s*(\d+)`)
	quoted  = regexp.MustCompile(`(\S)("[^"]+")`)
	strange = regexp.MustCompile(`[^\p{L}\p{N} .,:;'’"&+%()/#!?£-]+`)
	spaces  = regexp.MustCompile(`\s+`)
	comma   = regexp.MustCompile(`\s*,\s*`)
	measure = regexp.MustCompile(`(?i)^[\d.]+(?:x[\d.]+)*(?:cm|mm|ml|m|g|kg|l|x|pc|pcs)(?:x[\d.]+(?:cm)?)*$`)
)

// Name makes a readable name of a description in the data set: title case,
// short forms written out, marks and doubled spaces removed.
func Name(description string) string {
	s := strange.ReplaceAllString(description, " ")
	s = setOf.ReplaceAllString(s, "set of $1 ")
	s = packOf.ReplaceAllString(s, "pack of $1 ")
	s = quoted.ReplaceAllString(s, "$1 $2")
	s = comma.ReplaceAllString(s, ", ")
	s = strings.ReplaceAll(s, "+", " + ")
	s = strings.ReplaceAll(s, " -", " - ")
	s = strings.Trim(spaces.ReplaceAllString(s, " "), " ,.-+/'")
	fields := strings.Fields(s)
	out := make([]string, 0, len(fields))
	for _, f := range fields {
		bare := strings.ToLower(strings.Trim(f, `,"()!.`))
		if long, ok := words[bare]; ok {
			f = strings.Replace(strings.ToLower(f), bare, long, 1)
		}
		out = append(out, strings.Fields(f)...)
	}
	for i, w := range out {
		out[i] = titled(w, i == 0 || strings.HasSuffix(out[i-1], ":") || out[i-1] == "-")
	}
	return strings.Join(out, " ")
}

// titled writes one word as in a title; each part of "t-light" for itself.
func titled(w string, first bool) string {
	low := strings.ToLower(w)
	bare := strings.Trim(low, `,"()!`)
	first = first || strings.ContainsRune(w, '"') // "Letter "A" Key Ring"
	switch {
	case upper[bare]:
		return strings.ToUpper(w)
	case small[bare] && !first, measure.MatchString(bare):
		return low
	case bare == "no.":
		return "No."
	}
	var b strings.Builder
	start := true
	for _, r := range low {
		if start && unicode.IsLetter(r) {
			r = unicode.ToUpper(r)
		}
		// A letter after an apostrophe or a digit goes on with the word.
		start = !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '’' && r != '.'
		b.WriteRune(r)
	}
	return b.String()
}
