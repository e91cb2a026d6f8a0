package storefront

import (
	"math"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/gateway/metrics"
)

// The size of a chart: its height in pixels, of which the top is for the label of the highest
// grid line, and its width in units that the browser stretches.
const (
	chartHeight = 150
	chartTop    = 16
	chartWidth  = 1000
)

// maxDrawn is the largest number that is drawn, so that differences stay finite.
const maxDrawn = 1e300

// chart is a picture of series over time.
type chart struct {
	Height int
	Grid   []gridLine
	// Limit is where the alert begins; empty for one that is not in the picture.
	Limit string
	Lines []chartLine
}

// gridLine is a value of the scale, and its label above it.
type gridLine struct{ Y, LabelY, Label string }

// chartLine is a series; Class names its color.
type chartLine struct {
	Name, Class, Path string
	Area              bool
}

// newChart draws the series of a panel.
func newChart(p *metrics.Panel, points int) *chart {
	tops := make([]metrics.Values, len(p.Series)) // the lines' values
	below := make([]metrics.Values, len(p.Series))
	for i := range p.Series {
		tops[i] = drawn(p.Series[i].Values)
		if p.Kind == metrics.Stacked {
			below[i] = make(metrics.Values, len(tops[i]))
			if i > 0 {
				copy(below[i], tops[i-1])
			}
			for j := range tops[i] {
				tops[i][j] = min(below[i][j]+zeroIfNone(tops[i][j]), maxDrawn)
			}
		}
	}
	s := scaleOf(tops, p.Unit, p.Limit)
	c := &chart{Height: chartHeight}
	for _, v := range s.ticks {
		y := s.y(v)
		c.Grid = append(c.Grid, gridLine{Y: place(y), LabelY: place(y - 3), Label: formatValue(v, p.Unit)})
	}
	if p.Limit != 0 && p.Limit <= s.high {
		c.Limit = place(s.y(p.Limit))
	}
	for i := range tops {
		line := chartLine{Name: p.Series[i].Name, Class: colorOf(i), Area: p.Kind == metrics.Stacked}
		if line.Area {
			line.Path = s.area(below[i], tops[i], points)
		} else {
			line.Path = s.line(tops[i], points)
		}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// colorOf is the class of a series' color: six, and then the same ones dashed.
func colorOf(i int) string { return "c" + strconv.Itoa(i%metrics.MaxSeries) }

// drawn are values within what is drawn.
func drawn(v metrics.Values) metrics.Values {
	out := make(metrics.Values, len(v))
	for i, n := range v {
		out[i] = min(max(n, -maxDrawn), maxDrawn) // NaN stays
	}
	return out
}

func zeroIfNone(n float64) float64 {
	if math.IsNaN(n) {
		return 0
	}
	return n
}

// scale places values: ticks are round numbers from low to high.
type scale struct {
	low, high float64
	ticks     []float64
}

// scaleOf is a scale that has all values, 0, and the limit if that is near.
func scaleOf(lines []metrics.Values, unit string, limit float64) *scale {
	low, high := 0., 0.
	for _, v := range lines {
		for _, n := range v {
			if !math.IsNaN(n) {
				low, high = min(low, n), max(high, n)
			}
		}
	}
	if limit > high && limit <= 2*high {
		high = limit
	}
	if low == high || unit == unitYesNo {
		high = max(high, 1)
	}
	if unit == unitYesNo {
		return &scale{low: low, high: high, ticks: []float64{0, 1}}
	}
	step := roundStep((high-low)/3, unit)
	s := &scale{low: math.Floor(low/step) * step, high: math.Ceil(high/step) * step}
	for i := 0; ; i++ {
		v := s.low + float64(i)*step
		if i > 6 || v > s.high+step/2 {
			break
		}
		if math.Abs(v) < step/1e6 {
			v = 0
		}
		s.ticks = append(s.ticks, v)
	}
	return s
}

// roundStep is a round number that is not smaller than a step: 1, 2 or 5 times a power of
// ten, or a power of two for bytes.
func roundStep(step float64, unit string) float64 {
	if step <= 0 {
		return 1
	}
	if unit == unitBytes || unit == unitBytesPerSecond {
		return math.Exp2(math.Ceil(math.Log2(step)))
	}
	power := math.Pow(10, math.Floor(math.Log10(step)))
	if power == 0 { // smaller than what has a power
		return step
	}
	for _, times := range []float64{1, 2, 5} {
		if times*power >= step*(1-1e-9) {
			return times * power
		}
	}
	return 10 * power
}

func (s *scale) y(v float64) float64 {
	return chartTop + (1-(v-s.low)/(s.high-s.low))*(chartHeight-1-chartTop)
}

// x is the place of a point.
func x(i, points int) float64 {
	if points < 2 {
		return chartWidth
	}
	return float64(i) * chartWidth / float64(points-1)
}

// line draws a line with gaps where there is nothing. A point between gaps is a dash.
func (s *scale) line(v metrics.Values, points int) string {
	var b strings.Builder
	pen := false
	for i, n := range v {
		if math.IsNaN(n) {
			pen = false
			continue
		}
		if pen {
			b.WriteByte('L')
		} else {
			b.WriteByte('M')
		}
		b.WriteString(place(x(i, points)) + " " + place(s.y(n)))
		if !pen && (i+1 == len(v) || math.IsNaN(v[i+1])) {
			dash := "h-4"
			if x(i, points) < 4 {
				dash = "h4"
			}
			b.WriteString(dash)
		}
		pen = true
	}
	return b.String()
}

// area draws what lies between two lines.
func (s *scale) area(below, above metrics.Values, points int) string {
	if len(above) == 0 {
		return ""
	}
	var b strings.Builder
	for i, n := range above {
		if i == 0 {
			b.WriteByte('M')
		} else {
			b.WriteByte('L')
		}
		b.WriteString(place(x(i, points)) + " " + place(s.y(n)))
	}
	for i := len(below) - 1; i >= 0; i-- {
		b.WriteString("L" + place(x(i, points)) + " " + place(s.y(below[i])))
	}
	b.WriteByte('Z')
	return b.String()
}

// place is a coordinate.
func place(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// The units that need more than a word behind the number, as Grafana names them.
const (
	unitSeconds        = "s"
	unitBytes          = "bytes"
	unitBytesPerSecond = "Bps"
	unitShare          = "percentunit"
	unitYesNo          = "bool_yes_no"
	// unitSuffix stands before a word.
	unitSuffix = "suffix:"
)

// words stand behind the numbers of a unit.
var words = map[string]string{"cps": "/s", "reqps": "/s", "short": "", "": ""}

// formatValue writes a value for people.
func formatValue(v float64, unit string) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "no data"
	}
	switch unit {
	case unitSeconds:
		return formatSeconds(v)
	case unitBytes:
		return formatBytes(v)
	case unitBytesPerSecond:
		return formatBytes(v) + "/s"
	case unitShare:
		return formatNumber(100*v) + "%"
	case unitYesNo:
		switch v {
		case 0:
			return "no"
		case 1:
			return "yes"
		}
		return formatNumber(v)
	}
	if word, ok := strings.CutPrefix(unit, unitSuffix); ok {
		return formatNumber(v) + " " + strings.TrimSpace(word)
	}
	word, ok := words[unit]
	if !ok {
		word = " " + unit
	}
	return formatLarge(v) + word
}

func formatSeconds(v float64) string {
	size := math.Abs(v)
	switch {
	case v == 0:
		return "0 s"
	case size < .9995e-3:
		return formatNumber(v*1e6) + " µs"
	case size < .9995:
		return formatNumber(v*1e3) + " ms"
	case size < 120:
		return formatNumber(v) + " s"
	case size < 2*3600:
		return formatNumber(v/60) + " min"
	case size < 2*86400:
		return formatNumber(v/3600) + " h"
	}
	return formatNumber(v/86400) + " days"
}

func formatBytes(v float64) string {
	unit := "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if math.Abs(v) < 1000 {
			break
		}
		v, unit = v/1024, next
	}
	return formatNumber(v) + " " + unit
}

// formatLarge shortens numbers from a million on.
func formatLarge(v float64) string {
	for _, one := range []struct {
		size float64
		name string
	}{{1e12, " T"}, {1e9, " G"}, {1e6, " M"}} {
		if math.Abs(v) >= one.size && math.Abs(v) < 1e15 {
			return formatNumber(v/one.size) + one.name
		}
	}
	return formatNumber(v)
}

// formatNumber writes three digits, or all of a whole number.
func formatNumber(v float64) string {
	size := math.Abs(v)
	if size >= 1e15 || size > 0 && size < 1e-4 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := 0
	if v != math.Trunc(v) && size < 100 {
		digits = 2
		if size >= 10 {
			digits = 1
		} else if size < 1 {
			digits = 2 - int(math.Floor(math.Log10(size)))
		}
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	if size >= 999.5 {
		return count(int64(math.Round(v)))
	}
	return text
}
