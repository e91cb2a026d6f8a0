package profile

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"html"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/google/pprof/profile"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// frame is a function in the place where it was called.
type frame struct {
	name  string
	time  time.Duration
	calls map[string]*frame
}

func (f *frame) call(name string) *frame {
	c := f.calls[name]
	if c == nil {
		c = &frame{name: name, calls: map[string]*frame{}}
		f.calls[name] = c
	}
	return c
}

const (
	width  = 1400.0 // of the picture, in pixels
	row    = 17
	narrow = 0.3 // what is narrower is left out
	letter = 6.3 // width of a letter
)

// flameGraph draws a profile: a box is as wide as the time that a function took with what it
// calls, below what called it. The first row are the operations.
func flameGraph(w io.Writer, p *profile.Profile, part string) error {
	root := &frame{name: part, calls: map[string]*frame{}}
	depth := 0
	for _, s := range p.Sample {
		d := time.Duration(s.Value[len(s.Value)-1])
		stack := frames(s)
		if label := s.Label[telemetry.ProfileLabel]; len(label) > 0 {
			stack = slices.Insert(stack, 0, label[0])
		}
		at := root
		at.time += d
		for _, name := range stack {
			at = at.call(name)
			at.time += d
		}
		depth = max(depth, len(stack))
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" font-family="monospace" font-size="11">
<title>Processor time of %s, %v in %v</title>
<rect width="100%%" height="100%%" fill="#fff"/>
`, width, (depth+1)*row+4, html.EscapeString(part), root.time.Round(time.Millisecond), time.Duration(p.DurationNanos).Round(time.Millisecond))
	draw(out, root, root.time, 0, 0)
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

func draw(w io.Writer, f *frame, total time.Duration, left float64, level int) {
	wide := width * float64(f.time) / float64(total)
	if wide < narrow {
		return
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, path.Dir(f.name)) // one color for a package
	fmt.Fprintf(w, `<g><title>%s: %v, %s</title><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="hsl(%d,65%%,78%%)" stroke="#fff" stroke-width=".5"/>`,
		html.EscapeString(f.name), f.time, share(f.time, total), left, level*row, wide, row-1, h.Sum32()%360)
	if n := int((wide - 4) / letter); n >= 3 {
		name := path.Base(f.name)
		if level == 1 {
			name = f.name // an operation
		}
		fmt.Fprintf(w, `<text x="%.1f" y="%d">%s</text>`, left+2, level*row+12, html.EscapeString(name[:min(len(name), n)]))
	}
	fmt.Fprintln(w, "</g>")
	for _, name := range slices.Sorted(maps.Keys(f.calls)) {
		draw(w, f.calls[name], total, left, level+1)
		left += width * float64(f.calls[name].time) / float64(total)
	}
}
