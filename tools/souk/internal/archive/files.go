package archive

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	manifestFile = "manifest.json"
	// indexFile is beside the files of a service's tables: a line for each order.
	indexFile = "index.csv.gz"
	// format of the folder.
	format = 1
)

// manifest says what the files of an archive are.
type manifest struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	// Cell is the one whose orders these are; empty in a shop without cells.
	Cell string `json:"cell,omitempty"`
	// From and Before bound the times in the orders' ids.
	From      time.Time          `json:"from"`
	Before    time.Time          `json:"before"`
	MadeAt    time.Time          `json:"made_at"`
	Databases []manifestDatabase `json:"databases"`
	Totals    []total            `json:"totals"`
}

type manifestDatabase struct {
	Service string `json:"service"`
	// System identifies the PostgreSQL database system, and Database the database in it.
	System   string         `json:"system"`
	Database string         `json:"database"`
	Files    []manifestRows `json:"files"`
}

// manifestRows is a file with the rows of a table, or the index.
type manifestRows struct {
	Table   string   `json:"table"` // empty for the index
	File    string   `json:"file"`  // below the archive's folder
	Columns []string `json:"columns,omitempty"`
	Rows    int64    `json:"rows"`
	Bytes   int64    `json:"bytes"`
	SHA256  string   `json:"sha256"`
}

// total is what a book has of a currency, in its minor units.
type total struct {
	Book     string `json:"book"` // orders or ledger
	Currency string `json:"currency"`
	Captures int64  `json:"captures"`
	Captured int64  `json:"captured"`
	Refunds  int64  `json:"refunds"`
	Refunded int64  `json:"refunded"`
}

// The books of which an archive has totals.
const (
	ordersBook = "orders"
	ledgerBook = "ledger"
)

func (m *manifest) rows(service, table string) int64 {
	for _, d := range m.Databases {
		for _, f := range d.Files {
			if d.Service == service && f.Table == table {
				return f.Rows
			}
		}
	}
	return 0
}

// export writes the files of a month, the folder whole or not at all. One that an earlier run of
// this shop has written, and not begun to delete by, is written anew.
func (a *archiver) export(ctx context.Context, m month, name, folder string) error {
	if err := a.step("export"); err != nil {
		return err
	}
	begin, err := time.Parse(monthFormat, m.name)
	if err != nil {
		return err
	}
	man := &manifest{Format: format, Name: name, Cell: a.cell, From: begin, Before: begin.AddDate(0, 1, 0), MadeAt: time.Now().UTC()}
	for _, p := range a.parts() {
		d := manifestDatabase{Service: p.service}
		if err := p.conn.QueryRow(ctx, "SELECT system_identifier::text, current_database()::text FROM pg_control_system()").Scan(&d.System, &d.Database); err != nil {
			return fmt.Errorf("%s database: %w", p.service, err)
		}
		man.Databases = append(man.Databases, d)
	}
	switch old, _, err := readManifest(folder); {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(folder); err == nil {
			return errors.New("the folder is there, and is not an archive's")
		}
	case err != nil:
		return err
	default:
		for i, d := range old.Databases {
			if i >= len(man.Databases) || d.System != man.Databases[i].System || d.Database != man.Databases[i].Database {
				return errors.New("the folder has the archive of another shop")
			}
		}
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	partial := folder + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	for i, p := range a.parts() {
		if err := os.MkdirAll(filepath.Join(partial, p.service), 0o700); err != nil {
			return err
		}
		if man.Databases[i].Files, err = p.export(ctx, m, partial); err != nil {
			return fmt.Errorf("%s: %w", p.service, err)
		}
	}
	if man.Totals, err = totals(partial); err != nil {
		return err
	}
	if err := balanced(partial); err != nil {
		return err
	}
	b, err := json.MarshalIndent(man, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(partial, manifestFile), append(b, '\n')); err != nil {
		return err
	}
	if err := a.step("exported"); err != nil {
		return err
	}
	for _, p := range a.parts() {
		if err := syncFolder(filepath.Join(partial, p.service)); err != nil {
			return err
		}
	}
	if err := errors.Join(syncFolder(partial), os.Rename(partial, folder)); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(folder))
}

// export writes the tables of a service, as of one moment.
func (p database) export(ctx context.Context, m month, folder string) (files []manifestRows, err error) {
	err = pgx.BeginTxFunc(ctx, p.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		literal := strings.NewReplacer("$1", "'"+m.from+"'", "$2", "'"+m.before+"'") // COPY takes no parameters
		for _, t := range p.tables {
			f := manifestRows{Table: t.name, File: filepath.Join(p.service, t.name+".csv.gz")}
			rows, err := tx.Query(ctx, "SELECT * FROM "+t.name+" LIMIT 0")
			if err != nil {
				return err
			}
			for _, column := range rows.FieldDescriptions() {
				f.Columns = append(f.Columns, column.Name)
			}
			rows.Close()
			if err := copyTo(ctx, tx, literal.Replace("SELECT r.* "+t.rows), folder, &f); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			files = append(files, f)
		}
		f := manifestRows{File: filepath.Join(p.service, indexFile)}
		if err := copyTo(ctx, tx, literal.Replace(p.index), folder, &f); err != nil {
			return fmt.Errorf("index: %w", err)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// copyTo writes what a query returns to a file, and notes how much that was.
func copyTo(ctx context.Context, tx pgx.Tx, sql, folder string, f *manifestRows) (err error) {
	file, err := os.OpenFile(filepath.Join(folder, f.File), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	digest, size := sha256.New(), &counter{}
	zipped := gzip.NewWriter(io.MultiWriter(file, digest, size))
	tag, err := tx.Conn().PgConn().CopyTo(ctx, zipped, "COPY ("+sql+") TO STDOUT (FORMAT csv, HEADER)")
	if err != nil {
		return err
	}
	if err := errors.Join(zipped.Close(), file.Sync()); err != nil {
		return err
	}
	f.Rows, f.Bytes, f.SHA256 = tag.RowsAffected(), size.n, hex.EncodeToString(digest.Sum(nil))
	return nil
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) { c.n += int64(len(b)); return len(b), nil }

func writeFile(path string, b []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder has the names in a folder outlast a loss of power.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readManifest reads an archive's manifest, and returns its digest, too.
func readManifest(folder string) (*manifest, []byte, error) {
	b, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err != nil {
		return nil, nil, err
	}
	m := &manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(folder, manifestFile), err)
	}
	if m.Format != format {
		return nil, nil, fmt.Errorf("%s: format %d is of another version of souk", filepath.Join(folder, manifestFile), m.Format)
	}
	sum := sha256.Sum256(b)
	return m, sum[:], nil
}

// check reads each file of an archive and compares it with the manifest: its digest, its rows, and
// the sums of both books.
func (m *manifest) check(folder string) error {
	for _, d := range m.Databases {
		for _, f := range d.Files {
			if !filepath.IsLocal(f.File) {
				return fmt.Errorf("%s: %q is not a file of the folder", folder, f.File)
			}
			path := filepath.Join(folder, f.File)
			file, err := os.Open(path)
			if err != nil {
				return err
			}
			digest := sha256.New()
			_, err = io.Copy(digest, file)
			if err = errors.Join(err, file.Close()); err != nil {
				return err
			}
			if got := hex.EncodeToString(digest.Sum(nil)); got != f.SHA256 {
				return fmt.Errorf("%s: its SHA-256 is %s, and the manifest has %s", path, got, f.SHA256)
			}
			rows := int64(0)
			if err := readCSV(path, func(map[string]string) error { rows++; return nil }); err != nil {
				return err
			}
			if rows != f.Rows {
				return fmt.Errorf("%s: it has %d rows, and the manifest has %d", path, rows, f.Rows)
			}
		}
	}
	found, err := totals(folder)
	if err != nil {
		return err
	}
	if !slices.Equal(found, m.Totals) {
		return fmt.Errorf("%s: the files sum up to %+v, and the manifest has %+v", folder, found, m.Totals)
	}
	return nil
}

// readLines calls fn for each line of a file after the header. The line is fn's until it returns.
func readLines(path string, fn func(header, line []string) error) error {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r := csv.NewReader(plain)
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	header = slices.Clone(header)
	for {
		line, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := fn(header, line); err != nil {
			return err
		}
	}
}

// readCSV calls fn for each row of a file, by column.
func readCSV(path string, fn func(map[string]string) error) error {
	row := map[string]string{}
	return readLines(path, func(header, line []string) error {
		for i, column := range header {
			row[column] = line[i]
		}
		return fn(row)
	})
}

// readIndex calls fn for each so many lines of an index.
func readIndex(path string, batch int, fn func([]indexRow) error) error {
	var rows []indexRow
	err := readLines(path, func(_, line []string) error {
		row := indexRow{id: line[0], mark: line[1]}
		for _, text := range line[2:] {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return fmt.Errorf("%s: order %s: %w", path, row.id, err)
			}
			row.counts = append(row.counts, n)
		}
		if rows = append(rows, row); len(rows) < batch {
			return nil
		}
		full := rows
		rows = nil
		return fn(full)
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	return fn(rows)
}

// totals sums up what the files of an archive have of money, in the order of books and currencies.
func totals(folder string) ([]total, error) {
	sums := map[[2]string]*total{}
	add := func(book, currency, amount string, refund bool) error {
		units, err := strconv.ParseInt(amount, 10, 64)
		if err != nil {
			return err
		}
		t := sums[[2]string{book, currency}]
		if t == nil {
			t = &total{Book: book, Currency: currency}
			sums[[2]string{book, currency}] = t
		}
		if refund {
			t.Refunds++
			t.Refunded += units
		} else {
			t.Captures++
			t.Captured += units
		}
		return nil
	}
	for file, row := range map[string]func(map[string]string) error{
		filepath.Join(orderPart.service, "orders.csv.gz"): func(r map[string]string) error {
			if r["state"] != "paid" {
				return nil
			}
			return add(ordersBook, r["currency"], r["total"], false)
		},
		filepath.Join(orderPart.service, "refunds.csv.gz"): func(r map[string]string) error {
			if r["state"] != "succeeded" {
				return nil
			}
			return add(ordersBook, r["currency"], r["amount"], true)
		},
		filepath.Join(paymentPart.service, "ledger_entries.csv.gz"): func(r map[string]string) error {
			if r["account"] != "provider_clearing" {
				return nil
			}
			refund := strings.HasSuffix(r["kind"], "refund")
			amount := r["amount"]
			if refund {
				amount = strings.TrimPrefix(amount, "-")
			}
			return add(ledgerBook, r["currency"], amount, refund)
		},
	} {
		if err := readCSV(filepath.Join(folder, file), row); err != nil {
			return nil, err
		}
	}
	out := make([]total, 0, len(sums))
	for _, t := range sums {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(x, y total) int { return strings.Compare(x.Book+" "+x.Currency, y.Book+" "+y.Currency) })
	return out, nil
}

// balanced refuses books that differ in what is left of a currency: of orders, and of their payments
// in the ledger. What was captured and refunded in full of an order that was given up is in the ledger
// alone, and a payment that an earlier archive has left behind is without its order.
func balanced(folder string) error {
	net := map[string]map[string]int64{ordersBook: {}, ledgerBook: {}}
	there := map[uuid.UUID]bool{}
	for _, file := range []struct {
		name string
		row  func(r map[string]string) (book string, sign int64)
	}{
		{filepath.Join(orderPart.service, "orders.csv.gz"), func(r map[string]string) (string, int64) {
			if id, err := uuid.Parse(r["id"]); err == nil {
				there[id] = true
			}
			r["amount"] = r["total"]
			if r["state"] != "paid" {
				return "", 0
			}
			return ordersBook, 1
		}},
		{filepath.Join(orderPart.service, "refunds.csv.gz"), func(r map[string]string) (string, int64) {
			if r["state"] != "succeeded" {
				return "", 0
			}
			return ordersBook, -1
		}},
		{filepath.Join(paymentPart.service, "ledger_entries.csv.gz"), func(r map[string]string) (string, int64) {
			if id, err := uuid.Parse(r["order_id"]); err != nil || !there[id] || r["account"] != "provider_clearing" {
				return "", 0
			}
			return ledgerBook, 1
		}},
	} {
		err := readCSV(filepath.Join(folder, file.name), func(r map[string]string) error {
			book, sign := file.row(r)
			if book == "" {
				return nil
			}
			units, err := strconv.ParseInt(r["amount"], 10, 64)
			net[book][r["currency"]] += sign * units
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, book := range net {
		for currency := range book {
			if orders, ledger := net[ordersBook][currency], net[ledgerBook][currency]; orders != ledger {
				return fmt.Errorf("the books of these orders differ: orders have %d %s, the ledger %d, in minor units; `souk verify` names the orders", orders, currency, ledger)
			}
		}
	}
	return nil
}
