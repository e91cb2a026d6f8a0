package chaos

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// shownViolations is how many of an invariant are printed.
const shownViolations = 5

// printer shows runs: a line that is written over while one is under way, a
// line for each that is over, a table at the end.
type printer struct {
	w    io.Writer
	json bool
	live bool
	// control means that runs have to lose something.
	control bool

	mu      sync.Mutex
	total   int
	results []*Result
	watched int // runs with a monitor that are over
}

func newPrinter(w io.Writer, json bool) *printer {
	f, ok := w.(*os.File)
	return &printer{w: w, json: json, live: ok && !json && term.IsTerminal(int(f.Fd()))}
}

func (p *printer) began(total int, seed uint64) {
	p.total = total
	if !p.json {
		fmt.Fprintf(p.w, "%d faults, seed %d\n", total, seed)
	}
}

// status shows how a run goes, on a terminal.
func (p *printer) status(s Status) {
	if !p.live {
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K[%d/%d] %s  %s  %s  %d orders accepted  injected %d times  %d calls failed  worst %s",
		len(p.results)+1, p.total, s.Fault, s.Phase, s.Elapsed.Round(100*time.Millisecond), s.Accepted, s.Injected, s.Failed, round(s.Worst))
}

// result shows a run that is over.
func (p *printer) result(res *Result) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results = append(p.results, res)
	if p.json {
		return encode(p.w, res)
	}
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	fmt.Fprintf(p.w, "[%d/%d] %-28s %s  %d orders, injected %d times, recovered in %s, took %s\n",
		len(p.results), p.total, res.Fault, verdict(res), res.Accepted, res.Injected, round(res.Recovery), res.Took.Round(time.Second))
	if m := res.Messages; m != (Messages{}) {
		fmt.Fprintf(p.w, "      told others by %d mails, %d of them again, and %d webhooks, %d of them again\n", m.Mails, m.MailsAgain, m.Webhooks, m.WebhooksAgain)
	}
	if g := res.Gaps; g.Within > 0 {
		fmt.Fprintf(p.w, "      %s\n      longest time without a write %s, of %s; without a read %s\n", res.How, round(g.Writes), g.Within, round(g.Reads))
	}
	if s := res.Shown; s.Within > 0 {
		fmt.Fprintf(p.w, "      %s\n      %d prices were looked at while %d changed; the oldest had been replaced for %s, and %s is the most\n", res.How, s.Looks, s.Changes, round(s.Oldest), s.Within)
	}
	for _, r := range res.Rebuilds {
		fmt.Fprintf(p.w, "      %s\n", &r)
	}
	if res.Void != "" {
		fmt.Fprintf(p.w, "      does not count: %s\n", res.Void)
	}
	if len(res.Unreached) > 0 {
		fmt.Fprintf(p.w, "      not reached: %s\n", strings.Join(res.Unreached, ", "))
	}
	if p.control {
		fmt.Fprintf(p.w, "      a control, which has to lose: %d times an order, %d times a cart line\n", len(res.Violations[SettledOnce]), len(res.Violations[NoLostLine]))
		return nil
	}
	if !res.Kept() {
		fmt.Fprintf(p.w, "      data and logs: %s\n", res.Data)
	}
	printViolations(p.w, res.Violations)
	return nil
}

func printViolations(w io.Writer, v violations) {
	for _, i := range Invariants {
		list := v[i.Name]
		for n, what := range list {
			if n == shownViolations {
				fmt.Fprintf(w, "      %s and %d more\n", i.Name, len(list)-n)
				break
			}
			fmt.Fprintf(w, "      %s %s\n", i.Name, what)
		}
	}
}

func verdict(res *Result) string {
	switch {
	case len(res.Violations) > 0:
		return "BROKEN " + strings.Join(violations(res.Violations).names(), " ")
	case res.Void != "":
		return "VOID"
	}
	return "kept"
}

// end prints the table, and returns an error unless all invariants were kept.
func (p *printer) end() error {
	bad := len(slices.DeleteFunc(slices.Clone(p.results), (*Result).Kept))
	if !p.json {
		if err := p.table(); err != nil {
			return err
		}
	}
	if p.control {
		for _, r := range p.results {
			if r.Void != "" {
				return fmt.Errorf("%s does not count: %s", r.Fault, r.Void)
			}
			if len(r.Violations[SettledOnce])+len(r.Violations[NoLostLine]) == 0 {
				return fmt.Errorf("%s lost no order and no cart line with asynchronous replication: the run does not see what a failover loses", r.Fault)
			}
		}
		return nil
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d runs broke an invariant or do not count", bad, len(p.results))
	}
	return nil
}

func (p *printer) table() error {
	fmt.Fprintln(p.w)
	tw := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "fault\tinvariants\torders\tinjected\tcalls failed\trecovery\tworst answer\tconsumers complete\t")
	for _, r := range p.results {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d of %d\t%s\t%s\t%s\t\n", r.Fault, verdict(r), r.Accepted, r.Injected, r.Failed, r.Calls, round(r.Recovery), round(r.Worst), r.consumersComplete())
	}
	return tw.Flush()
}

// consumersComplete is how long after the broker had last lost its data consumers had all of before; ""
// where it did not.
func (r *Result) consumersComplete() string {
	last := ""
	for _, one := range r.Rebuilds {
		last = after(one.Taken)
	}
	return last
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

func printList(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FAULT\tWHAT HAPPENS")
	for _, f := range Faults() {
		fmt.Fprintf(tw, "%s\t%s\n", f.Name, f.Doc)
	}
	fmt.Fprintln(tw, "\nINVARIANT\tWHAT HOLDS")
	for _, i := range Invariants {
		fmt.Fprintf(tw, "%s\t%s\n", i.Name, i.Doc)
	}
	return tw.Flush()
}

// notice says what takes long before the first run.
func (p *printer) notice(text string) {
	if !p.json {
		fmt.Fprintln(p.w, text)
	}
}

// alerts shows a run with a monitor that is over.
func (p *printer) alerts(res *AlertResult) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched++
	if p.json {
		return encode(p.w, res)
	}
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	verdict := "as expected"
	switch {
	case res.Void != "":
		verdict = "VOID"
	case len(res.Wrong) > 0:
		verdict = "WRONG"
	}
	fmt.Fprintf(p.w, "[%d/%d] %-28s %s  lasted %s, injected %d times, %d of %d calls of the checkout and %d of %d of browsing failed, took %s\n",
		p.watched, p.total, res.Fault, verdict, round(res.Held), res.Injected, res.CheckoutBad, res.Checkout, res.BrowseBad, res.Browse, res.Took.Round(time.Second))
	for _, f := range res.Fired {
		ended := "did not end"
		if f.Ended != 0 {
			ended = "ended " + round(f.Ended).String() + " after it"
		}
		fmt.Fprintf(p.w, "      %s: %s after its begin, %s: %s\n", f.Receiver, round(f.After), ended, f.Alert)
	}
	if res.Void != "" {
		fmt.Fprintf(p.w, "      does not count: %s\n", res.Void)
	}
	for _, what := range res.Wrong {
		fmt.Fprintf(p.w, "      WRONG %s\n", what)
	}
	if !res.Kept() {
		fmt.Fprintf(p.w, "      data and logs: %s\n", res.Data)
	}
	return nil
}

// alertsEnd prints the table, and returns an error unless operators were told what they had to be.
func (p *printer) alertsEnd(all []*AlertResult) error {
	bad := len(slices.DeleteFunc(slices.Clone(all), (*AlertResult).Kept))
	if !p.json {
		fmt.Fprintf(p.w, "\n%s", alertTable(all))
	}
	if bad > 0 {
		return fmt.Errorf("in %d of %d runs operators were not told what they had to be, or it does not count", bad, len(all))
	}
	return nil
}
