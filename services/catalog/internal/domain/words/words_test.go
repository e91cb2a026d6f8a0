package words_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/catalog/internal/domain/words"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"łódź", "ŁÓDŹ", "Łódź", "lodz", "Lo\u0301dz\u0301"},
		{"ёлка", "ЁЛКА", "Елка", "елка"},
		{"öl", "ÖL", "Öl", "ol", "O\u0308l"},
		{"crème brûlée", "CREME BRULEE", "Creme Brule\u0301e"},
		{"straße", "STRASSE", "strasse", "STRAẞE"},
		{"smørrebrød", "smorrebrod", "SMØRREBRØD"},
		{"þór", "THOR"}, {"æble", "AEBLE"}, {"cœur", "COEUR"},
		{"ısırgan", "ISIRGAN", "isirgan", "İSİRGAN"},
		{"ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ", "οδυσσευσ", "Οδυσσεύς"},
		{"її", "ії", "ии"}, {"ґудзик", "гудзик"},
		{"قَهْوَة", "قهوه", "قهوة", "قـهـوة"}, {"إبريق", "ابريق", "أبريق"}, {"کتاب", "كتاب"},
		{"שָׁלוֹם", "שלום", "שלומ"},
		{"カサ", "かさ", "ｶｻ"}, {"ガラス", "がらす", "ｶﾞﾗｽ"},
		{"ＬＡＭＰ　７", "lamp 7"}, {"٧", "7"}, {"७", "7"}, {"𝟕", "7"}, {"ﬁne", "FINE"},
		{"children's", "childrens", "CHILDREN’S"},
	} {
		for _, s := range same {
			if got := words.Fold(s); got != words.Fold(same[0]) {
				t.Errorf("%q folds to %q, %q to %q", s, got, same[0], words.Fold(same[0]))
			}
		}
	}
	for _, other := range [][2]string{{"か", "が"}, {"ぱ", "は"}, {"की", "का"}, {"ไม้", "ไม่"}, {"茶", "本"}} {
		if words.Fold(other[0]) == words.Fold(other[1]) {
			t.Errorf("%q and %q are the same", other[0], other[1])
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		once := words.Fold(s)
		if twice := words.Fold(once); twice != once {
			t.Fatalf("%q folds to %q, which folds to %q", s, once, twice)
		}
		if !utf8.ValidString(once) {
			t.Fatalf("%q folds to %q", s, once)
		}
	})
}

func TestSortKey(t *testing.T) {
	t.Parallel()
	names := []string{"Zebra", "Äpfel", "apfel", "Łódź", "Lampe", "Mug", "Ørsted", "Ozean", "éclair", "Eclat", "Ёлка", "Жук", "Ель", "Ωμέγα", "Άλφα"}
	slices.SortStableFunc(names, func(a, b string) int { return bytes.Compare(words.SortKey(a), words.SortKey(b)) })
	want := []string{"apfel", "Äpfel", "éclair", "Eclat", "Lampe", "Łódź", "Mug", "Ørsted", "Ozean", "Zebra", "Άλφα", "Ωμέγα", "Ёлка", "Ель", "Жук"}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if a, b := words.SortKey("E\u0301clair"), words.SortKey("éclair"); !bytes.Equal(a, b) {
		t.Errorf("two forms of one name: %x, %x", a, b)
	}
	if key := words.SortKey(strings.Repeat("Å", 200)); len(key) > 160 {
		t.Errorf("a key of %d bytes", len(key))
	}
}

func TestStem(t *testing.T) {
	t.Parallel()
	for _, same := range []string{
		"lantern lanterns", "cookie cookies", "baby babies", "box boxes", "brush brushes", "glass glasses", "knife knives",
		"make making", "bake baked baking", "cake cakes", "candle candles", "child children childrens childs", "scented scent", "shape shaped",
		"vase vases", "pie pies", "leaf leaves", "fit fitted fitting", "holder holders", "hang hanging", "berry berries",
	} {
		forms := strings.Fields(same)
		for _, f := range forms {
			if words.Stem(f) != words.Stem(forms[0]) {
				t.Errorf("%s is %s, %s is %s", f, words.Stem(f), forms[0], words.Stem(forms[0]))
			}
		}
	}
	for _, other := range []string{"ring r", "red r", "string str", "bus bu", "king k", "wing wings2", "paper pap", "flower flow", "princess princes2", "bed be", "christmas christ"} {
		forms := strings.Fields(other)
		if words.Stem(forms[0]) == words.Stem(forms[1]) {
			t.Errorf("%s is %s", forms[0], forms[1])
		}
	}
}

func TestClosest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ wrong, right string }{
		{"lanturn", "lantern"}, {"lantren", "lantern"}, {"chirstmas", "christmas"}, {"babooshka", "babushka"},
		{"umbrela", "umbrella"}, {"dool", "doll"}, {"botle", "bottle"}, {"hart", "heart"}, {"елкаа", "елка"}, {"фонрь", "фонарь"},
	} {
		shared := slices.ContainsFunc(words.Keys(c.wrong), func(k string) bool { return slices.Contains(words.Keys(c.right), k) })
		if !shared {
			t.Errorf("%s and %s share no key", c.wrong, c.right)
		}
		if got := words.Closest(c.wrong, []words.Known{{Word: "zzzzzzz", Products: 9}, {Word: c.right, Products: 1}}, 3); !slices.Equal(got, []string{c.right}) {
			t.Errorf("%s may be %v", c.wrong, got)
		}
	}
	for _, short := range []string{"a", "ab", "abc", "12345", "50cm"} {
		if got := words.Closest(short, []words.Known{{Word: "abcd", Products: 1}, {Word: "123456", Products: 1}}, 3); len(got) > 0 && (len(short) < 4 || words.Keys(short) != nil) {
			t.Errorf("%s may be %v", short, got)
		}
	}
	if got := words.Closest("hart", []words.Known{{Word: "cart", Products: 9}, {Word: "heart", Products: 2}, {Word: "hat", Products: 5}}, 3); !slices.Equal(got, []string{"hat", "heart", "cart"}) {
		t.Errorf("%v", got)
	}
	// Whatever two words differ by, up to the errors that are allowed, they share a key.
	rapid.Check(t, func(t *rapid.T) {
		right := []rune(rapid.StringMatching(`[a-zа-я]{4,14}`).Draw(t, "word"))
		wrong := slices.Clone(right)
		errors, kinds := 1, 3
		if len(right) >= 9 {
			errors, kinds = 2, 2 // a swap and an insertion inside of it count as three
		}
		for range errors {
			at := rapid.IntRange(0, len(wrong)-1).Draw(t, "at")
			switch rapid.IntRange(0, kinds).Draw(t, "error") {
			case 0:
				wrong = slices.Delete(wrong, at, at+1)
			case 1:
				wrong = slices.Insert(wrong, at, 'q')
			case 2:
				wrong[at] = 'q'
			case 3:
				if at > 0 {
					wrong[at], wrong[at-1] = wrong[at-1], wrong[at]
				}
			}
		}
		if len(wrong) < 4 || string(wrong) == string(right) {
			return
		}
		keys := words.Keys(string(right))
		if !slices.ContainsFunc(words.Keys(string(wrong)), func(k string) bool { return slices.Contains(keys, k) }) {
			t.Fatalf("%s and %s share no key", string(wrong), string(right))
		}
		if got := words.Closest(string(wrong), []words.Known{{Word: string(right), Products: 1}}, 1); len(got) != 1 {
			t.Fatalf("%s is not taken for %s", string(wrong), string(right))
		}
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"White Lanterns":          "white lanterns",
		"the":                     "",
		"???":                     "",
		"jam -making":             "jam -making",
		`"union flag" bag`:        `"union flag" bag`,
		`“Union Flag”`:            `"union flag"`,
		"t-light":                 "t-light",
		"' OR 1=1; --":            "1 1",
		"-":                       "",
		`"unfinished white`:       `"unfinished white"`,
		"雨傘 赤い":                   "雨傘 赤い",
		strings.Repeat("a b ", 9): strings.TrimSpace(strings.Repeat("b ", 9)),
	} {
		got := words.Parse(text).String()
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
		if again := words.Parse(got).String(); again != got {
			t.Errorf("%q is read as %q", got, again)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		q := words.Parse(rapid.String().Draw(t, "query"))
		if again := words.Parse(q.String()); again.String() != q.String() {
			t.Fatalf("%q is read as %q", q.String(), again.String())
		}
	})
}
