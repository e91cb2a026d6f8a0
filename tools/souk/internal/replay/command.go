package replay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/tools/internal/history"
	"github.com/souk-shop/souk/tools/internal/retail"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/souk/internal/verify"

	"github.com/souk-shop/souk/tools/internal/cli"
)

// Command is `souk replay`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := cli.Flags("replay", `usage: souk replay [flags] FILE.csv[.gz]

Drives the invoices of a real shop through the REST API of a running one, as its
customers would: a cart, an order, a payment for each sale; a refund for each
cancellation. Ends with an audit of five ledgers and the stock. Run it again after
an interruption and it goes on where it was.

The file has the columns of the data set
`+retail.Source+`

`, stderr)
	running := cli.Data(flags)
	concurrency := flags.Int("concurrency", 16, "how many customers act at once")
	retryFor := flags.Duration("retry-for", 2*time.Minute, "how long a call is repeated while the shop does not answer")
	withChaos := flags.Bool("chaos", false, "start a shop for the replay alone, and inject one random fault after the other until the last invoice is in")
	seed := flags.Uint64("seed", 0, "with --chaos, repeats an earlier choice of faults; 0 draws a new seed")
	faults := flags.String("fault", "", "with --chaos, the `NAMES` of faults, with commas between; * stands for anything: nats-*")
	limit := flags.Int("limit", 0, "replay only the first `N` orders and what cancels them; 0 replays all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *concurrency < 1 || *limit < 0 {
		flags.Usage()
		return errors.New("replay takes one file, a concurrency of 1 or more and a limit of 0 or more")
	}
	d := &drive{out: stdout, data: running.Dir(), concurrency: *concurrency, retryFor: *retryFor}
	if *withChaos {
		dataGiven := false
		flags.Visit(func(f *flag.Flag) { dataGiven = dataGiven || f.Name == "data" })
		if dataGiven {
			return errors.New("with --chaos the replay has a shop of its own; leave out --data")
		}
	} else if *faults != "" {
		return errors.New("--fault goes with --chaos")
	} else if d.shop, err = running.Find(); err != nil {
		return err
	}
	if d.plan, d.digest, err = load(flags.Arg(0), *limit); err != nil {
		return err
	}
	d.introduce()
	if *withChaos {
		return d.withFaults(ctx, *faults, *seed)
	}
	return d.run(ctx)
}

// drive is a replay under way.
type drive struct {
	out         io.Writer
	data        string
	shop        *state.State
	plan        *Plan
	digest      string
	concurrency int
	retryFor    time.Duration
	// finish is called between the last invoice and the audit; may be nil.
	finish func() error
}

func (d *drive) introduce() {
	fmt.Fprintf(d.out, "%d orders with %d lines (%d in carts) and %d units, %s\n",
		d.plan.Sales, d.plan.InvoiceLines, d.plan.Lines, d.plan.Units, d.plan.Gross.Format())
	fmt.Fprintf(d.out, "%d cancellations: %d refunds of %d units, %s; %d lines with %d units match no earlier sale and are left out\n",
		d.plan.Cancellations, d.plan.Refunds, d.plan.RefundedUnits, d.plan.Refunded.Format(), d.plan.UnmatchedLines, d.plan.UnmatchedUnits)
}

// history is the file of what the shop answered.
func (d *drive) history() string {
	return filepath.Join(history.Dir(d.data), "replay-"+d.digest[:16]+".jsonl")
}

func (d *drive) run(ctx context.Context) (err error) {
	path := d.history()
	log, done, err := history.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if len(done) == 0 {
		if err := log.Append(history.Record{Kind: history.KindPlan, Key: d.digest}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(d.out, "going on from %s\n", path)
	}

	show := newDisplay(d.out, d.plan.Gross.Currency)
	res, err := Run(ctx, d.plan, Options{
		Shop: shopclient.New(d.shop.URL).WithToken(d.shop.OperatorToken), Log: log, Done: done,
		Concurrency: d.concurrency, RetryFor: d.retryFor, Progress: show.update,
	})
	show.end()
	if res != nil {
		fmt.Fprintf(d.out, "%d orders in %s: %.1f a second; %d calls were repeated; %d events were settled before\n",
			res.Orders, res.Elapsed.Round(time.Millisecond), float64(res.Orders)/res.Elapsed.Seconds(), res.Retries, res.Resumed)
	}
	if err != nil {
		return fmt.Errorf("stopped (run the same command again to go on): %w", err)
	}
	for i, p := range res.Problems {
		if i == 20 {
			fmt.Fprintf(d.out, "and %d more problems\n", len(res.Problems)-i)
			break
		}
		fmt.Fprintln(d.out, "PROBLEM", p)
	}
	fmt.Fprintln(d.out)
	var faults error
	if d.finish != nil {
		faults = d.finish()
	}
	if err := errors.Join(faults, verify.Check(ctx, d.shop, []string{path}, 90*time.Second, d.out)); err != nil {
		return err
	}
	if len(res.Problems) > 0 {
		return fmt.Errorf("%d invoices did not end as they did for the real shop", len(res.Problems))
	}
	return nil
}

// load reads the file and plans it. The digest tells one plan from another.
func load(path string, limit int) (*Plan, string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	invoices, err := retail.Read(bytes.NewReader(b))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	if limit > 0 {
		cut(invoices, limit)
	}
	plan, err := NewPlan(invoices)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	if plan.Sales == 0 {
		return nil, "", fmt.Errorf("%s holds no order", path)
	}
	h := sha256.New()
	h.Write(b)
	fmt.Fprintf(h, "limit %d", limit)
	return plan, hex.EncodeToString(h.Sum(nil)), nil
}

// cut keeps what there is until the limit's order.
func cut(invoices *retail.Invoices, limit int) {
	for i, inv := range invoices.All {
		if inv.Kind == retail.Sale {
			if limit--; limit < 0 {
				invoices.All = invoices.All[:i]
				return
			}
		}
	}
}

// display shows the progress: a line that is written over on a terminal, a line
// every few seconds elsewhere.
type display struct {
	updates  chan Progress
	finished chan struct{}
}

func newDisplay(w io.Writer, currency string) *display {
	d := &display{updates: make(chan Progress, 1), finished: make(chan struct{})}
	every, end := 5*time.Second, "\n"
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		every, end = 200*time.Millisecond, "\r"
	}
	go func() {
		defer close(d.finished)
		start, shown := time.Now(), time.Time{}
		var last Progress
		print := func() {
			const width = 30
			full := width * last.Done / max(last.Total, 1)
			bar := bytes.Repeat([]byte("█"), full)
			bar = append(bar, bytes.Repeat([]byte("░"), width-full)...)
			sum := money.Money{Units: last.Money, Currency: currency}
			fmt.Fprintf(w, "%s %d/%d  %.1f orders/s  %s  %d repeated%s", bar, last.Done, last.Total,
				float64(last.Orders)/time.Since(start).Seconds(), sum.Format(), last.Retries, end)
		}
		for p := range d.updates {
			last = p
			if time.Since(shown) >= every {
				shown = time.Now()
				print()
			}
		}
		if last.Total > 0 {
			end = "\n"
			print()
		}
	}()
	return d
}

// update never waits: a display that is busy misses one.
func (d *display) update(p Progress) {
	select {
	case d.updates <- p:
	default:
	}
}

func (d *display) end() {
	close(d.updates)
	<-d.finished
}
