// Package seed is the catalog that a new shop starts with: about 3,000 products
// of a real giftware shop, drawn from a public data set (see ATTRIBUTION.md).
package seed

import (
	"bufio"
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

// Attribution names the source of the catalog, as its license asks.
const Attribution = "D. Chen, Online Retail, UCI Machine Learning Repository (2015), doi 10.24432/C5BW33, CC BY 4.0"

// Products is the number of products in the catalog.
const Products = 2_978

//go:embed catalog.csv.gz
var catalog []byte

// Open returns the catalog as a CSV of the shop's import format.
func Open() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(catalog)) }

// batch is how many products one call imports.
const batch = 500

// Import brings the catalog into a running shop with the operator's client, in
// a few calls that are all or nothing each. Where the shop asks it to wait, it does. It may be repeated: products that
// are there get the catalog's name, price and stock again. A stock below what
// is already held and sold is refused. progress, if there is one, is called with how
// many products are in.
func Import(ctx context.Context, operator *shopclient.Client, progress func(done, total int)) (*shopclient.Imported, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	r, err := Open()
	if err != nil {
		return nil, fmt.Errorf("embedded catalog: %w", err)
	}
	var (
		lines  = bufio.NewScanner(r) // no field has a line feed in it
		header []byte
		part   bytes.Buffer
		sum    shopclient.Imported
		rows   int
	)
	send := func() error {
		got, err := operator.ImportPatiently(ctx, part.Bytes())
		if err != nil {
			return err
		}
		sum.Created += got.Created
		sum.Updated += got.Updated
		sum.Variants += got.Variants
		if progress != nil {
			progress(rows, Products)
		}
		part.Reset()
		return nil
	}
	for lines.Scan() {
		if header == nil {
			header = bytes.Clone(lines.Bytes())
			continue
		}
		if part.Len() == 0 {
			part.Write(header)
			part.WriteByte('\n')
		}
		part.Write(lines.Bytes())
		part.WriteByte('\n')
		if rows++; rows%batch == 0 {
			if err := send(); err != nil {
				return nil, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("embedded catalog: %w", err)
	}
	if part.Len() > 0 {
		if err := send(); err != nil {
			return nil, err
		}
	}
	return &sum, nil
}
