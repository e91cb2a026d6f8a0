package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var madeCurve = []CurvePoint{
	{Products: 3000, Orders: 1000, Buyers: 1, PerSecond: 30, P99Millis: 40},
	{Products: 3000, Orders: 1000, Buyers: 64, PerSecond: 100, P99Millis: 900},
	{Products: 3000, Orders: 1000, Buyers: 256, PerSecond: 85, P99Millis: 3000},
	{Products: 3000, Orders: 500000, Buyers: 1, PerSecond: 29, P99Millis: 41},
	{Products: 3000, Orders: 500000, Buyers: 64, PerSecond: 95, P99Millis: 1000},
	{Products: 3000, Orders: 500000, Buyers: 256, PerSecond: 70, P99Millis: 4000},
}

// TestCliffs: a shop that more buyers slow down is named, and a small loss is none.
func TestCliffs(t *testing.T) {
	t.Parallel()
	got := cliffs(madeCurve)
	if len(got) != 1 || !strings.Contains(got[0], "256 buyers get 70 orders a second of a shop with 3000 products and 500000 orders") {
		t.Errorf("%q", got)
	}
}

// TestDrawCurves: both charts have a line for each shop and a dot for each point, within the field.
func TestDrawCurves(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "curve.svg")
	if err := drawCurves(path, madeCurve); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := map[string]int{}
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
	if count["path"] != 4 || count["circle"] != 12 {
		t.Errorf("%v", count)
	}
	for _, chart := range []curveChart{
		newCurveChart("", 0, madeCurve, func(p CurvePoint) float64 { return p.PerSecond }),
		newCurveChart("", 0, madeCurve[:1], func(CurvePoint) float64 { return 0 }),
	} {
		for _, c := range chart.Curves {
			for _, d := range c.Dots {
				if d.X < 0 || d.X > curveWidth || d.Y < 0 || d.Y > curveHeight {
					t.Errorf("%+v is outside of the chart", d)
				}
			}
		}
	}
}
