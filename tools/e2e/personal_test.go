package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// columns are all columns of a service's database, as "table.column".
func columns(t *testing.T, dsn string) []string {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	rows, err := db.Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
			AND NOT (quote_ident(table_schema) || '.' || quote_ident(table_name))::regclass IN (SELECT oid FROM pg_class WHERE relispartition)
		ORDER BY table_name, ordinal_position`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(all) == 0 {
		t.Fatalf("%d columns, %v", len(all), err)
	}
	return all
}

var (
	inventoryRow  = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([^|]*)\\| ([^|]*)\\| ([^|]+)\\|$")
	inventoryName = regexp.MustCompile("`([a-z0-9_]+)`")
)

// TestEveryColumnIsInTheInventory: docs/personal-data.md says of each column of each
// database whether it is personal, once, and of each table why it is kept and how it goes;
// and names no column that there is not.
func TestEveryColumnIsInTheInventory(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/personal-data.md")
	if err != nil {
		t.Fatal(err)
	}
	for service, dsn := range shop.ledgers.Databases {
		_, section, found := strings.Cut(string(page), "\n### Database of "+service+"\n")
		if !found {
			t.Errorf("there is no section on the database of %s", service)
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		section, _, _ = strings.Cut(section, "\n## ")
		listed := map[string]bool{}
		for _, row := range inventoryRow.FindAllStringSubmatch(section, -1) {
			for _, cell := range row[2:4] {
				for _, name := range inventoryName.FindAllStringSubmatch(cell, -1) {
					column := row[1] + "." + name[1]
					if listed[column] {
						t.Errorf("%s of %s stands there twice", column, service)
					}
					listed[column] = true
				}
			}
			if strings.TrimSpace(row[4]) == "" {
				t.Errorf("%s of %s: why, and how does it go?", row[1], service)
			}
		}
		for _, column := range columns(t, dsn) {
			if !listed[column] {
				t.Errorf("%s of %s is not in the inventory: is it personal?", column, service)
			}
			delete(listed, column)
		}
		for column := range listed {
			t.Errorf("%s of %s is in the inventory, and there is no such column", column, service)
		}
	}
}

// holds are the tables of a database that have one of the texts in any row and column, as
// text or as bytes.
func holds(t *testing.T, service, dsn string, texts []string) (found []string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	var tables []string
	for _, column := range columns(t, dsn) {
		table, _, _ := strings.Cut(column, ".")
		if !slices.Contains(tables, table) {
			tables = append(tables, table)
		}
	}
	for _, table := range tables {
		for _, text := range texts {
			var n int
			query := fmt.Sprintf("SELECT count(*) FROM %s r WHERE position(lower($1) IN lower(r::text)) > 0 OR position($2 IN r::text) > 0", pgx.Identifier{table}.Sanitize())
			if err := db.QueryRow(t.Context(), query, text, hex.EncodeToString([]byte(text))).Scan(&n); err != nil {
				t.Fatalf("%s: %v", table, err)
			}
			if n > 0 {
				found = append(found, fmt.Sprintf("%s in %d rows of %s of %s", text, n, table, service))
			}
		}
	}
	return found
}

// files are those of the shop's folder, but PostgreSQL's, that have one of the texts: logs,
// the provider's journal, what Redis has written.
func files(t *testing.T, dir string, texts []string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // it went meanwhile
		case entry.IsDir() && strings.Contains(entry.Name(), "postgres"):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		for _, text := range texts {
			if strings.Contains(string(data), text) {
				found = append(found, text+" in "+path)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

// refusedAs reports that a refusal is of a type of problem.
func refusedAs(err error, slug string) bool {
	p, ok := errors.AsType[*shopclient.Problem](err)
	return ok && p.Slug() == slug
}

// What identifies a buyer is exported, erased, and then nowhere: in no table of any
// database, in no file of the shop, in no export. The books stay equal, which the end of
// all tests shows.
func TestErasedIsGoneEverywhere(t *testing.T) {
	t.Parallel()
	mark := strings.ReplaceAll(uuid.NewString(), "-", "")
	mine := []string{"erase." + mark + "@example.com", "Grace " + mark, mark + " Navy Yard", "key-" + mark, "because of Ms " + mark, "pm_card_visa"}
	own := mine[:5]
	sku := product(t, 20)
	client, cart := guest(t, line(sku, 2))
	checkout := checkoutOf(cart.ID, mine[5])
	checkout.Email = mine[0]
	checkout.ShippingAddress.Name, checkout.ShippingAddress.Line1 = mine[1], mine[2]
	order, err := client.PlaceOrder(t.Context(), mine[3], 10*time.Second, checkout)
	if err != nil || order.State != "PAID" {
		t.Fatalf("%+v, %v", order, err)
	}
	if _, err := operator().Refund(t.Context(), order.ID, uuid.NewString(), 10*time.Second, shopclient.RefundRequest{Lines: []shopclient.Line{line(sku, 1)}, Reason: mine[4]}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.NewCart(t.Context(), []shopclient.Line{line(sku, 1)}); err != nil {
		t.Fatal(err)
	}
	before, err := client.ExportCustomer(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range mine {
		if !strings.Contains(string(before), text) {
			t.Errorf("the export lacks %s: %s", text, before)
		}
	}
	var held []string
	for service, dsn := range shop.ledgers.Databases {
		held = append(held, holds(t, service, dsn, own)...)
	}
	if len(held) < len(own) { // the control: each is found where it is
		t.Errorf("before the erasure only %q was found", held)
	}
	found, err := operator().FindCustomers(t.Context(), strings.ToUpper(mine[0]))
	if err != nil || len(found) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	for open := true; open; { // what follows a payment is still under way for a moment
		erasure, err := operator().EraseCustomer(t.Context(), found[0].CustomerID)
		if open = refusedAs(err, "customer-has-open-orders"); open {
			continue
		}
		if err != nil || erasure.FinishedAt.IsZero() {
			t.Fatalf("%+v, %v", erasure, err)
		}
	}
	var left []string
	for service, dsn := range shop.ledgers.Databases {
		left = append(left, holds(t, service, dsn, own)...)
	}
	if shop.folder != "" {
		left = append(left, files(t, shop.folder, own)...)
	}
	after, err := operator().ExportCustomer(t.Context(), found[0].CustomerID)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range mine {
		if strings.Contains(string(after), text) {
			left = append(left, text+" in the export")
		}
	}
	if len(left) > 0 {
		t.Errorf("what was erased is still there:\n%s", strings.Join(left, "\n"))
	}
	if !strings.Contains(string(after), order.Number) || !strings.Contains(string(after), `"country":"GB"`) {
		t.Errorf("more than the buyer is gone: %s", after)
	}
	if found, err := operator().FindCustomers(t.Context(), mine[0]); err != nil || len(found) > 0 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := client.ExportCustomer(t.Context(), ""); !refusedAs(err, "session-ended") {
		t.Errorf("the session goes on: %v", err)
	}
}
