package cell_test

import (
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/cell"
)

func TestMap(t *testing.T) {
	t.Parallel()
	const text = "c1 0-255,768-1023 order-c1:9090; c2 256-766 dns:///order-c2:9090; c3 767 127.0.0.1:1"
	m, err := cell.ParseMap(text)
	if err != nil {
		t.Fatal(err)
	}
	for b, want := range map[cell.Bucket]string{0: "c1", 255: "c1", 256: "c2", 766: "c2", 767: "c3", 768: "c1", 1023: "c1"} {
		if got := m.Cells[m.Of(b)].Name; got != want {
			t.Errorf("bucket %d is in cell %s, not %s", b, got, want)
		}
	}
	if m.String() != text {
		t.Errorf("%q is written %q", text, m)
	}
	if !cell.IsMap(text) || cell.IsMap("dns:///order:9090") {
		t.Error("a table of cells is not told from a target")
	}
}

// A table that leaves a bucket out, or has one twice, is refused, and says which.
func TestMapsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "is not a name, buckets and a target",
		"c1 0-1023":                        "is not a name, buckets and a target",
		"c1 0-511 a:1":                     "no cell has the buckets 512-1023",
		"c1 0-9,12-1023 a:1":               "no cell has the buckets 10-11",
		"c1 0-511 a:1; c2 511-1023 b:1":    "bucket 511 is in cell c1 and in cell c2",
		"c1 0-511 a:1; c1 512-1023 b:1":    `cell "c1"`,
		"C1 0-1023 a:1":                    `cell "C1"`,
		"c1 0-1024 a:1":                    `"0-1024" is no range`,
		"c1 9-1 a:1":                       `"9-1" is no range`,
		"c1 0-5,5 a:1":                     "5 is named twice",
		"c1 all a:1":                       `"all" is no range`,
		"c1 0-511 a:1; c2 512-1023 b:1; ;": "is not a name",
	} {
		if _, err := cell.ParseMap(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := cell.NewMap(nil); err == nil {
		t.Error("a shop without cells")
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 7; n++ {
		var cells []cell.Cell
		for i, s := range cell.Split(n) {
			cells = append(cells, cell.Cell{Name: string(rune('a' + i)), Buckets: s})
		}
		if _, err := cell.NewMap(cells); err != nil {
			t.Errorf("%d cells: %v", n, err)
		}
	}
	if got := cell.Split(4)[1].String(); got != "256-511" {
		t.Errorf("the second of four has %s", got)
	}
	if all := cell.All(); all.String() != "0-1023" || all != cell.Split(1)[0] {
		t.Errorf("all are %s", all)
	}
}
