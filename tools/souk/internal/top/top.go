// Package top is `souk top`: what a running shop does, live in a terminal.
package top

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/state"
)

const usage = `usage: souk top [flags]

Shows what a running shop does, from the metrics of its parts: calls a second, server errors
and latency of each part and of its busiest operations, orders that are open by their state,
and what waits to be told. It is painted anew every --every; Ctrl-C ends it.

  souk top
  souk top --once    # one look, for a script

`

// Command is `souk top`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("top", usage, stderr)
	shop := cli.Data(flags)
	every := flags.Duration("every", 2*time.Second, "how long each look is")
	operations := flags.Int("operations", 12, "how many operations are listed")
	once := flags.Bool("once", false, "print one look, and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || *every < 100*time.Millisecond || *operations < 0 {
		flags.Usage()
		return errors.New("top takes no arguments; --every is 100ms or more, and --operations not negative")
	}
	before, err := read(ctx, shop.Dir())
	if err != nil {
		return err
	}
	show := func(page string) { _, _ = io.WriteString(stdout, page+"\n") }
	if isTerminal(stdout) && !*once {
		_, _ = io.WriteString(stdout, "\x1b[2J")
		show = func(page string) { paint(stdout, page) }
	}
	for retry.Sleep(ctx, *every) == nil {
		now, err := read(ctx, shop.Dir())
		if err != nil {
			if *once || errors.Is(err, state.ErrNotRunning) {
				return err
			}
			if ctx.Err() == nil {
				show(fmt.Sprintf("%v; looking again", err))
			}
			continue
		}
		var page strings.Builder
		if err := compare(before, now).print(&page, *operations); err != nil {
			return err
		}
		show(page.String())
		if *once {
			return nil
		}
		before = now
	}
	return nil
}

// paint shows a page in the place of the one before, without a moment in which the terminal is
// empty: each line is cleared behind its end, and what is below the page.
func paint(w io.Writer, page string) {
	_, _ = io.WriteString(w, "\x1b[H"+strings.ReplaceAll(page, "\n", "\x1b[K\n")+"\x1b[J")
}

// reading is what all parts said at a time.
type reading struct {
	url   string
	at    time.Time
	parts map[string]families // without the parts that did not answer
	away  []string
}

// families are the metrics of a part by name.
type families map[string]*dto.MetricFamily

// read asks all parts of the shop on a data folder at the same time.
func read(ctx context.Context, dir string) (*reading, error) {
	st, err := state.Read(dir)
	if err != nil {
		return nil, err
	}
	r := &reading{url: st.URL, at: time.Now(), parts: map[string]families{}}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, address := range st.Admin {
		wg.Go(func() {
			f, err := scrape(ctx, address)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.away = append(r.away, name)
				return
			}
			r.parts[name] = f
		})
	}
	wg.Wait()
	slices.Sort(r.away)
	if len(r.parts) == 0 {
		return nil, fmt.Errorf("no part of the shop at %s shows its metrics", st.URL)
	}
	return r, nil
}

func scrape(ctx context.Context, address string) (families, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(res.Body)
}

// sum adds up the values of gauges or counters by a label; "" adds all of them.
func (f families) sum(name, label string) map[string]float64 {
	out := map[string]float64{}
	for _, m := range f[name].GetMetric() {
		out[labelOf(m, label)] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return out
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// names are the keys of a map in order.
func names[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// isTerminal reports whether w shows what is painted.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
