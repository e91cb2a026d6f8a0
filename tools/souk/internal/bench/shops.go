package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
)

// rival is a shop of another make, in which guests buy by its public API.
type rival interface {
	// prepare finds products, and what a checkout needs to know of the shop.
	prepare(ctx context.Context) error
	// checkout buys one unit of each of some products, as the nth guest, and returns once the
	// order is paid.
	checkout(ctx context.Context, n int) error
}

// shopsCommand is `souk bench shops`.
func shopsCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench shops", `usage: souk bench shops [flags]

Compares checkouts with those of shops of another make that you have started: Vendure
(--vendure) and Medusa (--medusa), by their public APIs, a guest for each order. Souk
runs in a temporary folder. The shops are measured in turn, after a round that is not
counted; an order counts once it is paid. The last column is the throughput by the other shop's. Give it a shop that keeps
stock and a payment method that settles at once, and start both on one machine and on
PostgreSQL, with its defaults for durability.

  souk bench shops --vendure http://localhost:3000/shop-api
  souk bench shops --medusa http://localhost:9000 --medusa-key pk_...

What it needs of Vendure: products in stock, a shipping method for GB, and the
dummyPaymentHandler with automaticSettle, or another that takes no metadata. Of Medusa:
a region with GB, products with prices there, a shipping option, and the payment
provider pp_system_default.

`, stderr)
	b := &bench{progress: stderr, only: "checkout"}
	vendure := flags.String("vendure", "", "the `URL` of Vendure's Shop API")
	medusa := flags.String("medusa", "", "the `URL` of Medusa")
	key := flags.String("medusa-key", "", "Medusa's publishable API `key`")
	flags.IntVar(&b.rounds, "rounds", 3, "rounds of each side; the ratio is their median")
	flags.DurationVar(&b.time, "time", 10*time.Second, "length of a round")
	flags.IntVar(&b.concurrency, "concurrency", 16, "customers that order")
	flags.IntVar(&b.lines, "lines", 1, "lines of an order")
	flags.BoolVar(&b.json, "json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := b.check(flags); err != nil {
		return err
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: b.concurrency}}
	defer client.CloseIdleConnections()
	var rivals []contender
	if *vendure != "" {
		rivals = append(rivals, contender{name: "Vendure", rival: &vendureShop{url: *vendure, client: client, lines: b.lines}})
	}
	if *medusa != "" {
		if *key == "" {
			return errors.New("--medusa needs --medusa-key, which its API asks for")
		}
		rivals = append(rivals, contender{name: "Medusa", rival: &medusaShop{url: strings.TrimSuffix(*medusa, "/"), key: *key, client: client, lines: b.lines}})
	}
	if len(rivals) == 0 {
		flags.Usage()
		return errors.New("name a shop that runs, with --vendure or --medusa")
	}
	for _, r := range rivals {
		if err := r.rival.prepare(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := r.rival.checkout(ctx, 0); err != nil { // what is wrong with it shows before anything is measured
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	dir, err := os.MkdirTemp("", "souk-shops-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours := contender{name: "souk"}
	if ours.binary, err = os.Executable(); err != nil {
		return err
	}
	if ours.shop, ours.st, err = startShop(ctx, ours.binary, nil, filepath.Join(dir, "shop"), nil); err != nil {
		return err
	}
	defer ours.shop.stop()
	for i := range rivals {
		warm := *b // the first round of each is not counted: a server of JavaScript is slow at first
		warm.rounds, warm.progress = 1, io.Discard
		if err := warm.checkoutBeside(ctx, &ours, &rivals[i]); err != nil {
			return err
		}
		if err := b.checkoutBeside(ctx, &ours, &rivals[i]); err != nil {
			return err
		}
	}
	return b.report(stdout)
}

// call sends a value as JSON and decodes the answer, which must have the status 200.
func call(ctx context.Context, client *http.Client, method, url string, headers http.Header, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	for name, values := range headers {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, url, resp.Status, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %.300s", method, url, err, text)
	}
	return resp.Header, nil
}
