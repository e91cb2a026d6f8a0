package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// names are products of a real giftware shop, and what no shop should have.
var names = []string{
	"WHITE HANGING HEART T-LIGHT HOLDER", "REGENCY CAKESTAND 3 TIER", "JUMBO BAG RED RETROSPOT", "PARTY BUNTING",
	"SET OF 3 CAKE TINS PANTRY DESIGN", "HOT BATHS METAL SIGN", "ALARM CLOCK BAKELIKE GREEN", "LOVE BUILDING BLOCK WORD",
	"DOORMAT UNION FLAG", "RED TOADSTOOL LED NIGHT LIGHT", "SET 2 TEA TOWELS I LOVE LONDON", "COOK WITH WINE METAL SIGN",
	"SET/6 RED SPOTTY PAPER PLATES", "GINGERBREAD MAN COOKIE CUTTER", "12 COLOURED PARTY BALLOONS", "",
	"</svg><script>alert(1)</script>", "<SIGN> \" & ' SIGN", "\x00\xff\xfe", "日本の傘", strings.Repeat("LETTER ", 500),
	"LETTER \"A\" BLING KEY RING", "BLOCK WORD", "METAL SIGN", "SET OF 99999999999999999999 MUGS",
}

func TestSameWordsSamePicture(t *testing.T) {
	for _, n := range names {
		if !bytes.Equal(SVG("85123A", n), SVG("85123A", n)) {
			t.Errorf("%q: two pictures of one product differ", n)
		}
	}
	if bytes.Equal(SVG("1", "MUG"), SVG("1", "UMBRELLA")) {
		t.Error("a mug looks like an umbrella")
	}
	if URL("a/b", "X") == URL("a/b", "Y") {
		t.Error("the address of a picture does not change with its words")
	}
}

// Every motif, in every pattern, is well-formed XML of shapes and nothing else.
func TestWellFormedAndHarmless(t *testing.T) {
	allowed := map[string]bool{
		"svg": true, "defs": true, "radialGradient": true, "stop": true, "pattern": true, "g": true, "path": true,
		"rect": true, "circle": true, "ellipse": true, "text": true,
	}
	all := append([]string{}, names...)
	for _, list := range [][]motif{things, beings, fields} {
		for _, m := range list {
			for _, dress := range []string{"", "RED RETROSPOT ", "SET OF 3 BLUE STRIPE ", "PAIR UNION JACK ", "WICKER HEART ", "CHRISTMAS GINGHAM ", "SKULL HANGING ", "ROSE KNITTED "} {
				all = append(all, dress+m.phrases[0])
			}
		}
	}
	for _, n := range all {
		svg := SVG("seed", n)
		if len(svg) > 32<<10 {
			t.Errorf("%.40q: %d bytes", n, len(svg))
		}
		if bytes.Contains(svg, []byte("%!")) || bytes.Contains(svg, []byte("{m")) {
			t.Errorf("%.40q: unfilled markup: %s", n, svg)
		}
		dec := xml.NewDecoder(bytes.NewReader(svg))
		for {
			tok, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%.40q: %v\n%s", n, err, svg)
			}
			el, ok := tok.(xml.StartElement)
			if !ok {
				continue
			}
			if !allowed[el.Name.Local] {
				t.Errorf("%.40q: element %s", n, el.Name.Local)
			}
			for _, a := range el.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Name.Local, "href") || a.Name.Local == "style" {
					t.Errorf("%.40q: attribute %s", n, a.Name.Local)
				}
			}
		}
	}
}

func TestMotifs(t *testing.T) {
	for name, want := range map[string]string{
		"WHITE HANGING HEART T-LIGHT HOLDER":  "tlight",
		"Jumbo Bag Red Retrospot":             "bag",
		"LUNCH BAG CARS BLUE":                 "lunchbag",
		"STRAWBERRY LUNCH BOX WITH CUTLERY":   "lunchbox",
		"SET OF 3 CAKE TINS PANTRY DESIGN":    "tin",
		"HEART OF WICKER SMALL":               "heart",
		"ASSORTED COLOUR BIRD ORNAMENT":       "bird",
		"KNITTED UNION FLAG HOT WATER BOTTLE": "hotwater",
		"COOK WITH WINE METAL SIGN":           "sign",
		"HOME BUILDING BLOCK WORD":            "blocks",
		"ROSES REGENCY TEACUP AND SAUCER":     "teacup",
		"PAINTED METAL PEARS":                 "title",
		"":                                    "parcel",
	} {
		if got := motifOf(read(name)).is; got != want {
			t.Errorf("%q is drawn as %s, want %s", name, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for name, want := range map[string]int{"SET OF 3 TINS": 3, "SET/6 PLATES": 6, "S/4 BOXES": 4, "6 RIBBONS": 6, "MUG": 1, "PAIR OF HOOKS": 2, "DOOR SIGN 2": 1, "SET OF 0 MUGS": 1} {
		if got := read(name).count; got != want {
			t.Errorf("%q: %d pieces, want %d", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"GIN + TONIC DIET METAL SIGN":      "GIN + TONIC DIET",
		"BEWARE OF THE CAT METAL SIGN":     "BEWARE OF THE CAT",
		"LADIES & GENTLEMEN METAL SIGN":    "LADIES & GENTLEMEN",
		"YOU'RE CONFUSING ME METAL SIGN":   "YOU'RE CONFUSING ME",
		"SET OF 2 OPEN/CLOSED METAL SIGNS": "OPEN/CLOSED",
		"HOME BUILDING BLOCK WORD":         "HOME",
	} {
		if got := strings.Join(read(name).lettering(), " "); got != want {
			t.Errorf("%q reads %q, want %q", name, got, want)
		}
	}
}

// What the shop's letters cannot say is left to the machine's, escaped.
func TestLabelsSayTheName(t *testing.T) {
	t.Parallel()
	if got := strings.Join(read("PACK OF 3 ICE CREAM'S & TEA, BAG 125g,").title, " "); got != "Pack of 3 Ice Cream's & Tea, Bag 125g" {
		t.Errorf("the label reads %q", got)
	}
	for name, want := range map[string]string{"日&本の傘 <b>": "日&amp;本", "فانوس ورق": "فانوس", "विद्युत": "विद्युत"} {
		if svg := string(SVG("1", name)); !strings.Contains(svg, want) || strings.Contains(svg, "<b>") {
			t.Errorf("%q: %s", name, svg)
		}
	}
	if svg := string(SVG("1", "Zażółć gęślą jaźń")); strings.Contains(svg, "<text") {
		t.Errorf("Polish is not set in the shop's letters: %s", svg)
	}
}

func BenchmarkLabel(b *testing.B) {
	for b.Loop() {
		SVG("22086", "GROW A FLYTRAP OR SUNFLOWER IN TIN")
	}
}

func BenchmarkSVG(b *testing.B) {
	for b.Loop() {
		SVG("85099B", "JUMBO BAG RED RETROSPOT")
	}
}
