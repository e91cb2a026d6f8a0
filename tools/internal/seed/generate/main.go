// Command generate draws the embedded catalog from the data set Online Retail.
// The same file gives the same bytes.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/tools/internal/retail"
	"github.com/souk-shop/souk/tools/internal/seed"
)

const (
	// minOrders leaves out what hardly sold: mistakes and single lots.
	minOrders = 4
	// minStock is the least number of units of a product on sale.
	minStock = 24
)

// soldOut is the day before which a product's last sale means that it is gone.
var soldOut = time.Date(2011, time.March, 1, 0, 0, 0, 0, time.UTC)

// notGoods have a product's code and are none.
var notGoods = map[string]bool{"23444": true} // "Next Day Carriage"

func main() {
	path := flag.String("csv", "", "the data set, plain or compressed by gzip")
	out := flag.String("out", "catalog.csv.gz", "where to write the catalog")
	flag.Parse()
	if err := generate(*path, *out); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(path, out string) error {
	if path == "" {
		return errors.New("-csv names no file; see seed/ATTRIBUTION.md")
	}
	invoices, err := retail.ReadFile(path)
	if err != nil {
		return err
	}
	data, err := encode(products(invoices))
	if err != nil {
		return err
	}
	return os.WriteFile(out, data, 0o644)
}

// product is what the invoices say about one code.
type product struct {
	code   string
	names  map[string]int // lines by description
	prices map[int64]int  // lines by price in pence
	units  int64
	orders int
	last   time.Time
}

// products returns those worth selling, by code.
func products(invoices *retail.Invoices) []*product {
	byCode := map[string]*product{}
	for _, inv := range invoices.All {
		if inv.Kind == retail.Cancellation {
			// A slip of the pen, 74,215 jars, was taken back within minutes: what
			// came back was never popular.
			for _, l := range inv.Lines {
				if p := byCode[l.Code]; p != nil {
					p.units = max(0, p.units-l.Units())
				}
			}
		}
		if inv.Kind != retail.Sale {
			continue
		}
		seen := map[string]bool{}
		for _, l := range inv.Lines {
			p := byCode[l.Code]
			if p == nil {
				p = &product{code: l.Code, names: map[string]int{}, prices: map[int64]int{}}
				byCode[l.Code] = p
			}
			p.names[l.Description]++
			p.prices[l.Price]++
			p.units += l.Units()
			p.last = inv.At
			if !seen[l.Code] {
				p.orders++
				seen[l.Code] = true
			}
		}
	}
	var out []*product
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		if p := byCode[code]; p.orders >= minOrders && !notGoods[code] {
			out = append(out, p)
		}
	}
	return out
}

// most returns the key with the highest count; of several the least, so that
// the result does not depend on the order of a map.
func most[K cmp.Ordered](counts map[K]int) (best K) {
	high := 0
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		if counts[k] > high {
			best, high = k, counts[k]
		}
	}
	return best
}

func (p *product) stock() int64 {
	if p.last.Before(soldOut) {
		return 0
	}
	return max(p.units, minStock)
}

func encode(products []*product) ([]byte, error) {
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := csv.NewWriter(zw)
	if err := w.Write(strings.Split("code,sku,name,variant,description,category,category_name,price,currency,stock,popularity", ",")); err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, p := range products {
		name := seed.Name(most(p.names))
		category := seed.CategoryOf(name)
		count[category.Name]++
		price, err := money.New(most(p.prices), retail.Currency)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.code, err)
		}
		err = w.Write([]string{
			p.code, p.code, name, "", "", category.Slug, category.Name, price.Decimal(), price.Currency,
			strconv.FormatInt(p.stock(), 10), strconv.FormatInt(p.units, 10),
		})
		if err != nil {
			return nil, err
		}
	}
	w.Flush()
	if err := errors.Join(w.Error(), zw.Close()); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		fmt.Printf("%5d %s\n", count[name], name)
	}
	fmt.Printf("%5d products, %d bytes compressed\n", len(products), buf.Len())
	return buf.Bytes(), nil
}
