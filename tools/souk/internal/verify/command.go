// Package verify is the audit as a command.
package verify

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/history"
	"github.com/souk-shop/souk/tools/internal/state"
)

// Command is `souk verify`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", state.DefaultDir, "the data `folder` of the running shop")
	wait := flags.Duration("wait", time.Minute, "how long orders may take to settle before the books are compared")
	flags.Usage = func() {
		fmt.Fprint(stderr, `usage: souk verify [flags]

Compares the books of a running shop: what clients were told (if there was a
replay), the orders in SQL, the ledger in SQL and the payment provider's
journal; and the stock with what was sold. Exits with 1 on any difference.

`)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return errors.New("verify takes no arguments")
	}
	shop, err := state.Read(*data)
	if err != nil {
		return err
	}
	histories, err := filepath.Glob(filepath.Join(history.Dir(*data), "*.jsonl"))
	if err != nil {
		return err
	}
	return Check(ctx, shop, histories, *wait, stdout)
}

// Check runs the audit of a running shop with the given clients' histories,
// prints the report and returns an error if the books differ.
func Check(ctx context.Context, shop *state.State, histories []string, wait time.Duration, w io.Writer) error {
	return audit.Check(ctx, audit.Sources{
		Databases: shop.Postgres, ProviderJournal: shop.ProviderJournal(), Histories: histories,
	}, wait, w)
}
