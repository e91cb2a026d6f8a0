package replay

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/tools/internal/history"
	"github.com/souk-shop/souk/tools/internal/seed"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// stock imports every product of the plan, each variant with what the shop has
// already sold of it plus the units of the plan: they will sell to the last one.
func (r *runner) stock(ctx context.Context, plan *Plan) error {
	before, err := r.taken(ctx, plan)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	if err := w.Write([]string{"code", "sku", "name", "variant", "category", "category_name", "price", "currency", "stock"}); err != nil {
		return err
	}
	for _, p := range plan.Products {
		// As in the embedded catalog, to which most of them are not new.
		name := seed.Name(p.Name)
		category := seed.CategoryOf(name)
		for _, v := range p.Variants {
			err := w.Write([]string{
				p.Code, v.SKU, name, v.Price.Format(), category.Slug, category.Name,
				v.Price.Decimal(), v.Price.Currency, strconv.FormatInt(before[v.SKU]+v.Units, 10),
			})
			if err != nil {
				return err
			}
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	err = r.insist(ctx, func(ctx context.Context) error {
		_, err := r.Shop.ImportProducts(ctx, bytes.NewReader(buf.Bytes()))
		return err
	})
	if err != nil {
		return err
	}
	return r.Log.Append(history.Record{Kind: history.KindStock})
}

// taken returns the units that are held or sold of each SKU of the plan: none
// on a new shop, some after another replay.
func (r *runner) taken(ctx context.Context, plan *Plan) (map[string]int64, error) {
	var mu sync.Mutex
	out := map[string]int64{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Concurrency)
	for _, p := range plan.Products {
		g.Go(func() error {
			var product *shopclient.Product
			err := r.insist(ctx, func(ctx context.Context) (err error) {
				product, err = r.Shop.Product(ctx, p.Code)
				return err
			})
			var problem *shopclient.Problem
			if errors.As(err, &problem) && problem.Status == 404 {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, v := range product.Variants {
				if v.Stock != nil {
					out[v.SKU] = v.Stock.Held + v.Stock.Committed
				}
			}
			return nil
		})
	}
	return out, g.Wait()
}
