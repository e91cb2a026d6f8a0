// Package verify is the audit as a command.
package verify

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/history"
	"github.com/souk-shop/souk/tools/internal/state"

	"github.com/souk-shop/souk/tools/internal/cli"
)

// Command is `souk verify`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("verify", `usage: souk verify [flags]

Compares the ledgers of a running shop: the client's (if there was a replay), the
orders', payment's, the payment provider's and the read model's; the stock with what was sold;
and the mails and webhooks with the events that they tell of. Exits with 1 on any difference.

`, stderr)
	running := cli.Data(flags)
	wait := flags.Duration("wait", time.Minute, "how long orders may take to settle before the ledgers are compared")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return errors.New("verify takes no arguments")
	}
	shop, err := running.Find()
	if err != nil {
		return err
	}
	histories, err := filepath.Glob(filepath.Join(history.Dir(running.Dir()), "*.jsonl"))
	if err != nil {
		return err
	}
	return Check(ctx, shop, histories, *wait, stdout)
}

// Check runs the audit of a running shop with the given clients' histories,
// prints the report and returns an error if the ledgers differ.
func Check(ctx context.Context, shop *state.State, histories []string, wait time.Duration, w io.Writer) error {
	return audit.Check(ctx, audit.Sources{
		Databases: shop.Postgres, Broker: shop.EventsURL != "", ProviderJournal: shop.ProviderJournal(), Histories: histories,
	}, wait, w)
}
