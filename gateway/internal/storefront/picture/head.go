package picture

import (
	"slices"
	"strings"
	"unicode"
)

// What a name is about is the head of its first noun phrase: in English the last
// noun before a preposition ("paper lantern", "jam jar with lid"), behind which this
// trade puts colors, sizes and patterns ("jumbo bag red retrospot"). A drawing is
// chosen by that noun alone. Where it is a word that no drawing knows, any drawing
// would be a guess: the name is set as a label.

// kind is how a phrase of the tables counts.
type kind int

const (
	unknown kind = iota
	isThing
	isBeing
	isUndrawn
)

// entry is a phrase of the tables.
type entry struct {
	kind  kind
	motif motif
}

// maxPhrase is how many words a phrase of the tables has at most.
const maxPhrase = 6

// phrases holds the tables by their phrases, in the singular.
var phrases = func() map[string]entry {
	m := map[string]entry{}
	add := func(phrase string, e entry) {
		list := strings.Fields(phrase)
		for i, s := range list {
			list[i] = singular(s)
		}
		m[strings.Join(list, " ")] = e
	}
	for _, b := range beings {
		for _, p := range b.phrases {
			add(p, entry{isBeing, b})
		}
	}
	for _, t := range things {
		for _, p := range t.phrases {
			add(p, entry{isThing, t})
		}
	}
	for _, p := range undrawn {
		add(p, entry{kind: isUndrawn})
	}
	return m
}()

// wholes are fields of goods.
var wholes = func() map[string]motif {
	m := map[string]motif{}
	for _, f := range fields {
		for _, p := range f.phrases {
			m[singular(p)] = f
		}
	}
	return m
}()

// modifiers are words that may follow the noun without becoming it.
var modifiers = func() map[string]bool {
	m := set(`SMALL LARGE MEDIUM MINI BIG GIANT LITTLE TINY LONG TALL SHORT ROUND SQUARE OVAL TIER SIZE SINGLE DOUBLE
		ASSORTED ASSTD ASST ASS ASSORTMENT DESIGN PATTERN COLOUR COLOURED COLOURS COLOR STYLE FINISH SHAPE SHAPED SCENTED PRINTED MIX MIXED
		VINTAGE RETRO CLASSIC MODERN ANTIQUE TRADITIONAL FOLKART EDWARDIAN ART DECO NOUVEAU PIECE PC PCS PK PACK SET OF IN AND OR THE A
		CERAMIC PORCELAIN GLASS ENAMEL PAPER FELT COTTON ACRYLIC PLASTIC RESIN MARBLE IRON FILIGREE WOVEN KNITTED PATCHWORK CROCHET SEQUIN BEADED JEWELED
		HANGING DECORATION ORNAMENT DECORATIVE DECO TRELLIS SWIRL SWIRLY SKETCHED CHARM CHARMS RUSTIC SPOT STRIPE STRIPED POLKA DOT GINGHAM FLORAL CHECK
		FAIRY TOY ANIMAL ALPHABET FONT NUMBER LETTER SCHOOL PARADE LACE BAROQUE HARMONY FUN GIRL BOY GIRLS BOYS KID CHILDREN MAGIC BIRTHDAY
		LIGHT DARK BRIGHT PALE PASTEL CLEAR FROSTED ETCHED ENGRAVED FLUTED AGED DISTRESSED SHABBY CHIC JUMBO TEATIME TIME SPACE KITTY CUPID
		CLASSICAL PERIOD FRENCH ENGLISH CHINESE ITALIAN INDIAN LID VINE PETAL PETALS FLEUR UNION JACK FLAG PANSY POPPY TULIP LILY ORCHID DAISY
		FRUIT BERRY PUDDING COWBOY COWBOYS PIRATE FAIRIES PRINCESS SOLDIER ROBOT DOLLY PUPPY SAFARI JUNGLE FARMYARD BEACH SEASIDE SAILOR
		SKETCHBOOK PAINTED FABRIC HOT ANT TOY`)
	for s := range colorWords {
		m[s], m[singular(s)] = true, true
	}
	for _, d := range designs {
		for _, s := range d.words {
			m[s], m[singular(s)] = true, true
		}
	}
	return m
}()

// foreign are common words of other languages, whose nouns stand elsewhere.
var foreign = set(`DE LA LE LES DES DU EN ET AU AUX UN UNE POUR AVEC SUR AUS MIT UND FUR VON VOM ZUM ZUR DER DAS DEM DEN EIN EINE EINER
	CON PARA EL LOS LAS UNA DEL DI DELLA PER IL GLI DA COM UMA VAN VOOR MET EEN HET OG OCH MED TIL AV NA DLA ZE SA`)

// motifOf chooses the motif of a name.
func motifOf(w words) motif {
	if len(w.title) == 0 {
		return parcel
	}
	if w.foreign() {
		return label
	}
	start := w.afterQuantity()
	for n := min(maxPhrase, len(w.list)-start); n > 1; n-- {
		phrase := strings.Join(w.one[start:start+n], " ")
		if e, ok := phrases[phrase]; ok && e.motif.leads && strings.Contains(phrase, " IN ") {
			return e.motif // "plasters in tin"
		}
	}
	// A sign's words are any sentence: it is a sign whatever they say.
	whole := len(w.list)
	for _, c := range w.cuts {
		if c.comma && c.at > start {
			whole = c.at
			break
		}
	}
	if m, k := w.head(start, whole); k == isThing && m.written {
		return m
	}
	for _, c := range append(w.cuts, cut{at: len(w.list)}) {
		if c.at <= start {
			continue
		}
		m, k := w.head(start, c.at)
		if f, ok := wholes[strings.Join(w.one[start:c.at], " ")]; ok && k != isThing && w.lists() {
			return f
		}
		switch {
		case k == isThing && c.joins && w.list[c.at] == "OF":
			// "basket of flowers sewing kit" is a kit.
			if _, k := w.head(start, whole); k == isUndrawn {
				return label
			}
			return m
		case k == isThing:
			return m
		case k == isBeing && (!c.joins || w.list[c.at] == "OF"):
			return m
		case !c.joins:
			return label
		default: // "salt & pepper mills": the noun comes later
		}
	}
	return label
}

// lists reports whether the name is one word or enumerates, as categories' do:
// "Kitchen & Baking".
func (w words) lists() bool {
	return len(w.list) == 1 || slices.ContainsFunc(w.cuts, func(c cut) bool { return c.joins })
}

// head finds the noun between two places. A thing that leads wins over a word that
// no table knows, a thing over a being.
func (w words) head(start, end int) (motif, kind) {
	if w.leadsUndrawn(start, end) {
		return motif{}, isUndrawn
	}
	var being *motif
	for e := end; e > start; {
		if s := w.one[e-1]; s == "DESIGN" || s == "PATTERN" {
			// What is before it is on the thing: "wrap doily design".
			if m, ok := w.lead(start, e); ok {
				return m, isThing
			}
		}
		n, found := w.phraseAt(start, e)
		switch {
		case n > 0 && found.kind == isBeing:
			if being == nil {
				being = &found.motif
			}
			e -= n
		case n > 0:
			if m, ok := w.lead(start, e); ok && m.firm {
				return m, isThing
			}
			return found.motif, found.kind
		case modifiers[w.one[e-1]] || modifiers[w.list[e-1]] || number(w.list[e-1]):
			e--
		default:
			if m, ok := w.lead(start, e); ok {
				return m, isThing
			}
			return w.only(being, start, e)
		}
	}
	return w.only(being, start, start)
}

// only is a being, unless what comes before it is a thing without a drawing.
func (w words) only(being *motif, start, end int) (motif, kind) {
	if being == nil {
		return motif{}, unknown
	}
	for e := end; e > start; e-- {
		if n, found := w.phraseAt(start, e); n > 0 && found.kind == isUndrawn {
			return motif{}, isUndrawn
		}
	}
	return *being, isBeing
}

// phraseAt is the longest phrase of the tables that ends at a place.
func (w words) phraseAt(start, end int) (length int, e entry) {
	for n := min(maxPhrase, end-start); n > 0; n-- {
		if e, ok := phrases[strings.Join(w.one[end-n:end], " ")]; ok {
			return n, e
		}
	}
	return 0, entry{}
}

// phraseFrom is the longest phrase of the tables that begins at a place.
func (w words) phraseFrom(start, end int) (e entry, length int) {
	for n := min(maxPhrase, end-start); n > 0; n-- {
		if e, ok := phrases[strings.Join(w.one[start:start+n], " ")]; ok {
			return e, n
		}
	}
	return entry{}, 0
}

// lead is a thing that is named first, after what may stand before it, and is not
// the first half of another: "clock magnet".
func (w words) lead(start, end int) (motif, bool) {
	for at := start; at < end; at++ {
		if e, n := w.phraseFrom(at, end); n > 0 && e.kind == isThing {
			next, _ := w.phraseFrom(at+n, end)
			return e.motif, e.motif.firm || e.motif.leads && next.kind != isUndrawn
		}
		if !modifiers[w.one[at]] && !number(w.list[at]) {
			break
		}
	}
	return motif{}, false
}

// leadsUndrawn reports whether a thing without a drawing is named first: "baking mould chocolate cupcakes".
func (w words) leadsUndrawn(start, end int) bool {
	for at := start; at < end; at++ {
		e, n := w.phraseFrom(at, end)
		// One word in the singular is more likely part of a compound: "patch purse".
		if n > 1 || n == 1 && (w.one[at] != w.list[at] || w.one[at] == "JIGSAW") && !modifiers[w.one[at]] {
			return e.kind == isUndrawn && at+n < end
		}
		if !modifiers[w.one[at]] && !number(w.list[at]) {
			return false
		}
	}
	return false
}

// afterQuantity is where the name goes on after "set of 3", "pack of 12", "s/4",
// "box of 24", "bag 125g" or a number.
func (w words) afterQuantity() int {
	containers := set("SET S PACK PK PAIR BOX BAG TUBE BUNDLE ROLL CARD")
	at := 0
	for at+1 < len(w.list) {
		s := w.list[at]
		switch {
		case number(s) || measure(s):
			at++
		case containers[s] && measured(w.list[at+1:]), (s == "SET" || s == "PAIR" || s == "PACK" || s == "BAG") && w.list[at+1] == "OF":
			at++
			if w.list[at] == "OF" && at+1 < len(w.list) {
				at++
			}
		default:
			return at
		}
	}
	return at
}

// measured reports whether a text begins with a number or a measure, after "of".
func measured(list []string) bool {
	if len(list) > 1 && list[0] == "OF" {
		list = list[1:]
	}
	return number(list[0]) || measure(list[0]) || strings.HasPrefix(list[0], "OF") && number(list[0][2:])
}

func number(s string) bool {
	for _, r := range s {
		if !unicode.IsDigit(r) {
			return false
		}
	}
	return s != ""
}

// measure is a number with a unit: 125G, 9CM.
func measure(s string) bool {
	cut := strings.TrimRight(s, "GKCMLX")
	return cut != s && number(cut)
}

// foreign tells whether the name is in a language that is not English.
func (w words) foreign() bool {
	for _, s := range w.list {
		if foreign[s] {
			return true
		}
	}
	return false
}
