package up

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/souk-shop/souk/tools/internal/localshop"
)

// display shows how a start goes: a bar on a terminal, plain lines elsewhere.
// Log lines written to it do not run into the bar.
type display struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	bar  *progressbar.ProgressBar // of the step that is counted
	last int                      // tenths of a plain count that were shown
}

func newDisplay(w io.Writer) *display {
	f, ok := w.(*os.File)
	return &display{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// Write implements io.Writer for log lines.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar != nil {
		_ = d.bar.Clear() // it is drawn again with the next progress
	}
	return d.w.Write(p)
}

// progress shows a step of the start.
func (d *display) progress(p localshop.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case p.Took > 0:
		if d.bar != nil {
			_ = d.bar.Clear() // a terminal that is gone
			d.bar = nil
		}
		d.last = 0
		fmt.Fprintf(d.w, "  %-10s %s\n", p.Step, p.Took.Round(10*time.Millisecond))
	case p.Note != "":
		fmt.Fprintf(d.w, "  %-10s %s\n", p.Step, p.Note)
	case p.Total == 0:
	case d.terminal:
		if d.bar == nil {
			d.bar = progressbar.NewOptions(p.Total,
				progressbar.OptionSetWriter(d.w), progressbar.OptionSetDescription("  "+p.Step),
				progressbar.OptionSetWidth(30), progressbar.OptionShowCount(), progressbar.OptionSetElapsedTime(false),
				progressbar.OptionSetPredictTime(false))
		}
		_ = d.bar.Set(p.Done) // a terminal that is gone
	case 10*p.Done/p.Total > d.last:
		d.last = 10 * p.Done / p.Total
		fmt.Fprintf(d.w, "  %-10s %d of %d\n", p.Step, p.Done, p.Total)
	}
}
