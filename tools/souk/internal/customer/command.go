// Package customer is `souk customer`: what a shop holds about a person is found, exported
// and erased, and their sessions are ended.
package customer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const usage = `usage: souk customer find   --email ADDRESS
       souk customer export --email ADDRESS | --customer ID
       souk customer erase  --email ADDRESS | --customer ID
       souk customer end-sessions --email ADDRESS | --customer ID

Works on what a running shop holds about a person, with an operator's token that has the
scope "customers". Each browser is a customer of its own, so a person may be several:
--email means all who ordered with the address.

export prints one JSON document: {"customers": [...]}, each as the API has it at
GET /v1/customers/{customer_id}/personal-data. erase cannot be undone; numbers, lines, amounts
and the country of orders stay. See docs/personal-data.md.

`

// mostFound is how many customers of one e-mail address the shop finds at once: those who
// ordered last.
const mostFound = 100

// exported is the document of an export.
type exported struct {
	Customers []json.RawMessage `json:"customers"`
}

// Command is `souk customer`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("customer", usage, stderr)
	shop := cli.Operator(flags)
	id := flags.String("customer", "", "the customer's `id`")
	email := flags.String("email", "", "the e-mail `address` of an order")
	wait := flags.Duration("wait", time.Minute, "how long it may take")
	action := ""
	if len(args) > 0 {
		action, args = args[0], args[1:]
	}
	do := map[string]func(context.Context, *shopclient.Client, []string, io.Writer) error{
		"export": export, "erase": erase, "end-sessions": endSessions,
	}[action]
	if do == nil && action != "find" {
		flags.Usage()
		if action == "-h" || action == "--help" {
			return nil
		}
		return errors.New("say find, export, erase or end-sessions")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || (*id == "") == (*email == "") || action == "find" && *email == "" {
		flags.Usage()
		return errors.New("say whom it is about: --email or --customer, not both; find needs --email")
	}
	client, err := shop.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	ids := []string{*id}
	if *email != "" {
		found, err := client.FindCustomers(ctx, *email)
		if err != nil {
			return err
		}
		if action == "find" {
			return list(stdout, found)
		}
		if len(found) == 0 {
			return errors.New("nobody ordered with this e-mail address, or it was erased")
		}
		ids = nil
		for _, c := range found {
			ids = append(ids, c.CustomerID)
		}
	}
	err = do(ctx, client, ids, stdout)
	if len(ids) >= mostFound {
		err = errors.Join(err, fmt.Errorf("%d customers ordered with this e-mail address, and there may be more, which are left: after an erasure the same command finds them; "+
			"others are reached by --customer", len(ids)))
	}
	return err
}

func list(w io.Writer, found []shopclient.FoundCustomer) error {
	for _, c := range found {
		if _, err := fmt.Fprintf(w, "%s  %d orders, the last %s\n", c.CustomerID, c.Orders, c.LastPlacedAt.UTC().Format(time.DateTime)); err != nil {
			return err
		}
	}
	return nil
}

func export(ctx context.Context, client *shopclient.Client, ids []string, w io.Writer) error {
	var all exported
	for _, id := range ids {
		doc, err := client.ExportCustomer(ctx, id)
		if err != nil {
			return fmt.Errorf("customer %s: %w", id, err)
		}
		all.Customers = append(all.Customers, doc)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(all)
}

// erase goes on after a customer that cannot be erased now.
func erase(ctx context.Context, client *shopclient.Client, ids []string, w io.Writer) error {
	var failed error
	for _, id := range ids {
		done, err := client.EraseCustomer(ctx, id)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("customer %s: %w", id, err))
			continue
		}
		state := "erased"
		if done.FinishedAt.IsZero() {
			state = "accepted; the shop goes on by itself"
		}
		if _, err := fmt.Fprintf(w, "customer %s: %s\n", id, state); err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}

func endSessions(ctx context.Context, client *shopclient.Client, ids []string, w io.Writer) error {
	for _, id := range ids {
		if err := client.EndSessions(ctx, id); err != nil {
			return fmt.Errorf("customer %s: %w", id, err)
		}
		if _, err := fmt.Fprintf(w, "customer %s: the sessions have ended\n", id); err != nil {
			return err
		}
	}
	return nil
}
