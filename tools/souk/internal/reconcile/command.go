// Package reconcile is `souk reconcile`: payment's own comparison of its ledger
// with the payment provider's list.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"

	"github.com/souk-shop/souk/tools/internal/cli"
)

// Command is `souk reconcile`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("reconcile", `usage: souk reconcile [flags]

Asks a running shop to compare its ledger with the payment provider's list of
balance transactions, as it does by itself once a day, and prints the report. What is in
flight is no difference. Exits with 1 on any difference.

After a restore of the databases, --settle TIME first voids, or refunds in full, each
payment that the provider made since the moment that they were restored to, and that the
shop no longer knows. See docs/recovery.md.

`, stderr)
	shop := cli.Operator(flags)
	since := flags.Duration("since", 0, "how far to look back; 0 for everything there ever was")
	settle := flags.String("settle", "", "the `time` that the databases were restored to, as 2026-11-30T11:30:00Z")
	wait := flags.Duration("wait", 10*time.Minute, "how long the comparison may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return errors.New("reconcile takes no arguments")
	}
	client, err := shop.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	if *settle != "" {
		if err := settleSince(ctx, client, *settle); err != nil {
			return err
		}
	}
	to := time.Now().Add(time.Second).UTC()
	from := time.Unix(0, 0).UTC()
	if *since > 0 {
		from = to.Add(-*since)
	}
	return Check(ctx, client, from, to, stdout)
}

// settleSince ends the payments since a time that the shop does not know. The shop ends as many as it
// can within a call, and goes on at the next.
func settleSince(ctx context.Context, client *shopclient.Client, text string) error {
	from, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("--settle %q: want a time with its zone, as 2026-11-30T11:30:00Z", text)
	}
	return retry.Do(ctx, retry.Policy{
		Backoff: retry.Backoff{Initial: time.Second, Max: 10 * time.Second},
		If: func(err error) bool {
			problem, ok := errors.AsType[*shopclient.Problem](err)
			return ok && problem.Status >= http.StatusInternalServerError
		},
	}, func(ctx context.Context) error {
		_, err := client.Settle(ctx, from, time.Now().Add(time.Second))
		return err
	})
}

// Check compares a window of time, prints the report and returns an error if
// ledger and provider differ.
func Check(ctx context.Context, client *shopclient.Client, from, to time.Time, w io.Writer) error {
	r, err := client.Reconcile(ctx, from, to)
	for err == nil && !r.Done { // the shop goes on by itself
		if err := retry.Sleep(ctx, time.Second); err != nil {
			return fmt.Errorf("reconciliation %s is not done: %w", r.ID, err)
		}
		r, err = client.Reconciliation(ctx, r.ID)
	}
	if err != nil {
		return err
	}
	if err := Print(w, r); err != nil {
		return err
	}
	if r.DifferenceCount > 0 {
		return fmt.Errorf("ledger and provider differ in %d places", r.DifferenceCount)
	}
	return nil
}

// Print writes a report as tables.
func Print(w io.Writer, r *shopclient.Reconciliation) error {
	fmt.Fprintf(w, "Reconciliation %s, from %s to %s\n\n", r.ID, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "ledger\tcurrency\ttransactions\tcaptured\trefunded\tnet\t")
	for _, t := range r.Totals {
		row := func(ledger string, transactions, captured, refunded int64) {
			amount := func(units int64) string { return money.Money{Units: units, Currency: t.Currency}.Format() }
			fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t\n", ledger, t.Currency, transactions, amount(captured), amount(refunded), amount(captured-refunded))
		}
		row("payment", t.MovementsHere, t.CapturedHere, t.RefundedHere)
		row("provider", t.MovementsThere, t.CapturedThere, t.RefundedThere)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if r.InFlight > 0 {
		fmt.Fprintf(w, "In flight: %d.\n", r.InFlight)
	}
	fmt.Fprintln(w)
	if r.DifferenceCount == 0 {
		_, err := fmt.Fprintln(w, "No difference.")
		return err
	}
	fmt.Fprintf(w, "%d DIFFERENCES\n", r.DifferenceCount)
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range r.Differences {
		fmt.Fprintf(tw, "  %s\t%s %s\torder %s\there %s\tthere %s\t\n", d.Kind, d.What, d.Subject, orNone(d.OrderID), side(d.Here), side(d.There))
	}
	if more := r.DifferenceCount - int64(len(r.Differences)); more > 0 {
		fmt.Fprintf(tw, "  and %d more\n", more)
	}
	return tw.Flush()
}

func side(m *shopclient.Money) string {
	if m == nil {
		return "-"
	}
	return money.Money{Units: m.Amount, Currency: m.Currency}.String()
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
