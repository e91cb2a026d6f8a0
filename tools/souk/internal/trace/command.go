// Package trace is `souk trace`, which prints the trace of an order as a tree.
package trace

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/traces"
	"github.com/souk-shop/souk/tools/internal/cli"
)

const usage = `usage: souk trace [flags] ORDER | TRACE

Prints the trace of an order, by its number or id, or a trace by its own id: what each service did,
when it began after the request, and how long it took. The shop is one that souk up runs; it
keeps recent traces in memory, those of orders longer than others. Pages at /admin/traces show
the same.

`

// Command is `souk trace`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("trace", usage, stderr)
	shop := cli.Data(flags)
	asJSON := flags.Bool("json", false, "print the trace as JSON, with all attributes")
	attributes := flags.Bool("attributes", false, "print the attributes of each span, too")
	wait := flags.Duration("wait", 10*time.Second, "how long it may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || flags.Arg(0) == "" {
		flags.Usage()
		return errors.New("name one order, or one trace")
	}
	running, err := shop.Find()
	if err != nil {
		return err
	}
	if running.TracesURL == "" {
		return errors.New("this shop keeps no traces: it was started with --traces=false, or with --processes while the environment names a collector (OTEL_EXPORTER_OTLP_ENDPOINT)")
	}
	client, err := traces.NewClient(running.TracesURL, running.TracesToken)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	t, others, err := find(ctx, client, flags.Arg(0))
	if err != nil {
		return err
	}
	if *asJSON {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		return out.Encode(t)
	}
	out := bufio.NewWriter(stdout)
	write(out, t, *attributes)
	for i := range others {
		o := &others[i]
		fmt.Fprintf(out, "\nalso of this order: %s, %s, %s: souk trace %s\n", o.Start.Format(time.DateTime), o.Name, traces.FormatDuration(o.Duration), o.ID)
	}
	return out.Flush()
}

// find returns the trace in which an order was placed, or that has a given id, and the
// summaries of the order's others.
func find(ctx context.Context, client *traces.Client, what string) (*traces.Trace, []traces.Summary, error) {
	if traces.IsID(what) {
		t, err := client.Trace(ctx, what)
		if errors.Is(err, traces.ErrNotFound) {
			return nil, nil, fmt.Errorf("there is no trace %s, or no longer: the oldest make room for new ones", what)
		}
		return t, nil, err
	}
	list, err := client.List(ctx, traces.Query{Order: what, Limit: traces.MaxLimit})
	if err != nil {
		return nil, nil, err
	}
	if len(list.Traces) == 0 {
		why := "no traces are kept yet"
		if !list.Stats.Oldest.IsZero() {
			why = "the oldest that is kept began " + list.Stats.Oldest.Format(time.DateTime) + " UTC"
		}
		return nil, nil, fmt.Errorf("there is no trace of an order %q: name an order of this shop by its number or id; %s", what, why)
	}
	at := slices.IndexFunc(list.Traces, func(t traces.Summary) bool { return t.Placed })
	at = max(at, 0)
	t, err := client.Trace(ctx, list.Traces[at].ID)
	return t, slices.Delete(list.Traces, at, at+1), err
}

// timeWidth is the width of a time in a row, as in "+12.3 ms".
const timeWidth = 9

func write(w io.Writer, t *traces.Trace, attributes bool) {
	fmt.Fprintf(w, "trace %s", t.ID)
	if t.OrderID != "" {
		fmt.Fprintf(w, " of order %s", clean(cmp.Or(t.OrderNumber, t.OrderID)))
	}
	fmt.Fprintf(w, "\n%s UTC, %s, until all was done %s; %d spans of %s",
		t.Start.Format("2006-01-02 15:04:05.000"), traces.FormatDuration(t.Duration), traces.FormatDuration(t.Extent), t.Count, strings.Join(t.Services, ", "))
	if t.Errors > 0 {
		fmt.Fprintf(w, "; %d failed", t.Errors)
	}
	if t.LeftOut > 0 {
		fmt.Fprintf(w, "; %d more were not kept", t.LeftOut)
	}
	rows := t.Tree()
	widest := len("service")
	for i := range rows {
		widest = max(widest, utf8.RuneCountInString(clean(rows[i].Service)))
	}
	fmt.Fprintf(w, "\n\n%*s  %*s  %-*s  operation\n", timeWidth, "at", timeWidth, "took", widest, "service")
	for i := range rows {
		r := &rows[i]
		name := clean(r.Name)
		if r.Kind != "internal" {
			name += " (" + r.Kind + ")"
		}
		if r.Orphan {
			name += "  [its parent has not ended, or was lost]"
		}
		if r.Failed {
			name += "  FAILED"
			if r.Error != "" {
				name += ": " + clean(r.Error)
			}
		}
		fmt.Fprintf(w, "%*s  %*s  %-*s  %s%s\n", timeWidth, "+"+traces.FormatDuration(r.Offset), timeWidth, traces.FormatDuration(r.Duration), widest, clean(r.Service), branch(r.Last), name)
		below := below(r, i+1 < len(rows) && rows[i+1].Depth > r.Depth)
		if attributes {
			for _, a := range r.Attributes {
				fmt.Fprintf(w, "%*s  %s%s = %s\n", 2*timeWidth+widest+4, "", below, clean(a.Key), clean(a.Value))
			}
		}
		for _, e := range r.Events {
			fmt.Fprintf(w, "%*s  %*s  %*s  %s· %s\n", timeWidth, "+"+traces.FormatDuration(e.At.Sub(t.Start)), timeWidth, "", widest, "", below, said(e))
		}
	}
}

// branch draws the lines that lead to a row.
func branch(last []bool) string {
	var b strings.Builder
	for i, ends := range last {
		switch {
		case i == len(last)-1 && ends:
			b.WriteString("└─ ")
		case i == len(last)-1:
			b.WriteString("├─ ")
		case ends:
			b.WriteString("   ")
		default:
			b.WriteString("│  ")
		}
	}
	return b.String()
}

// below draws the lines beside what is said of a row.
func below(r *traces.Row, children bool) string {
	var b strings.Builder
	for _, ends := range r.Last {
		if ends {
			b.WriteString("   ")
		} else {
			b.WriteString("│  ")
		}
	}
	if children {
		return b.String() + "│  "
	}
	return b.String() + "   "
}

// said is an event with its attributes, on one line.
func said(e traces.Event) string {
	var b strings.Builder
	b.WriteString(clean(e.Name))
	for _, a := range e.Attributes {
		fmt.Fprintf(&b, " %s=%s", clean(a.Key), clean(a.Value))
	}
	return b.String()
}

// clean makes one line of a text, without what a terminal would take for commands.
func clean(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text)), " ")
}
