// Package seed is the catalog that a new shop starts with: about 3,000 products
// of a real giftware shop, drawn from a public data set (see ATTRIBUTION.md).
package seed

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed" // for the catalog
	"fmt"
	"io"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// The data set's path is the first argument of the generator:
// SOUK_ONLINE_RETAIL=path/to/online_retail.csv.gz go generate ./internal/seed
//
//go:generate go run ./generate -csv $SOUK_ONLINE_RETAIL -out catalog.csv.gz

// Attribution names the source of the catalog, as its licence asks.
const Attribution = "D. Chen, Online Retail, UCI Machine Learning Repository (2015), doi 10.24432/C5BW33, CC BY 4.0"

// Products is the number of products in the catalog.
const Products = 2_978

//go:embed catalog.csv.gz
var catalog []byte

// Open returns the catalog as a CSV of the shop's import format.
func Open() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(catalog)) }

// Import brings the catalog into a running shop with the operator's client. It
// may be repeated: products that are there get the catalog's name, price and
// stock again. A stock below what is already held and sold is refused, and then
// nothing is changed. What it reads is reported to progress, if there is one,
// in bytes of total.
func Import(ctx context.Context, operator *shopclient.Client, progress func(read, total int)) (*shopclient.Imported, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	csv, err := Open()
	if err != nil {
		return nil, fmt.Errorf("embedded catalog: %w", err)
	}
	if progress != nil {
		csv = &counter{r: csv, total: size(), report: progress}
	}
	return operator.ImportProducts(ctx, csv)
}

// size is the catalog's length in bytes, which gzip keeps in its last four.
func size() int {
	n := catalog[len(catalog)-4:]
	return int(n[0]) | int(n[1])<<8 | int(n[2])<<16 | int(n[3])<<24
}

type counter struct {
	r           io.Reader
	read, total int
	report      func(read, total int)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += n
	c.report(c.read, c.total)
	return n, err
}
