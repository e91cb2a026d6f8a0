package audit

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/souk-shop/souk/proto/money"
)

// shown is how many differences are printed one by one.
const shown = 20

// totals sums a ledger. Amounts of different currencies are never added up: the
// shop has one, and the ledgers are compared order by order with theirs.
func (b Ledger) totals() (orders, captured, refunds, refunded int64, currency string) {
	currency = "GBP"
	for _, e := range b.Entries {
		orders++
		captured += e.Captured
		refunds += e.Refunds
		refunded += e.Refunded
		currency = e.Currency
	}
	return orders, captured, refunds, refunded, currency
}

// Print writes the report as tables.
func (r *Report) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "ledger\torders\tcaptured\trefunds\trefunded\tnet\t")
	for _, b := range r.Ledgers {
		orders, captured, refunds, refunded, currency := b.totals()
		format := func(units int64) string {
			m := money.Money{Units: units, Currency: currency}
			return m.Format()
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\t%d\t%s\t%s\t\n", b.Name, orders, format(captured), refunds, format(refunded), format(captured-refunded))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if r.Client && r.Others > 0 {
		fmt.Fprintf(w, "Placed by other clients: %d.\n", r.Others)
	}
	fmt.Fprintf(w, "Cancelled, with nothing charged: %d.\n\n", r.Cancelled)

	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "stock\tSKUs\tunits\tavailable\theld\tsold\t")
	fmt.Fprintf(tw, "catalog\t%d\t%d\t%d\t%d\t%d\t\n", r.Stock.SKUs, r.Stock.Total, r.Stock.Available, r.Stock.Held, r.Stock.Committed)
	fmt.Fprintf(tw, "orders\t\t\t\t\t%d - %d returned = %d\t\n", r.Stock.Sold, r.Stock.Returned, r.Stock.Sold-r.Stock.Returned)
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if len(r.Messages) > 0 {
		tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(tw, "told (last 50 minutes)\tdue\tmade\tof which\t")
		for _, m := range r.Messages {
			fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t\n", m.To, m.Due, m.Made, m.states())
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if r.Clean() {
		_, err := fmt.Fprintln(w, "No difference: every penny and every unit is accounted for.")
		return err
	}
	fmt.Fprintf(w, "%d DIFFERENCES\n", len(r.Differences))
	for i, d := range r.Differences {
		if i == shown {
			fmt.Fprintf(w, "  and %d more\n", len(r.Differences)-shown)
			break
		}
		fmt.Fprintf(w, "  %s: %s\n", d.Subject, d.What)
	}
	return nil
}

// states says how many messages are in each state.
func (m Messages) states() string {
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(m.States)) {
		parts = append(parts, fmt.Sprintf("%d %s", m.States[state], state))
	}
	return strings.Join(parts, ", ")
}
