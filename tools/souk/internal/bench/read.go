package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// pagesAKind is how many different pages a reader goes round: more than any
// one page's luck, as many as a busy minute has.
const pagesAKind = 64

// target is one way of reading the shop.
type target struct {
	name  string
	paths []string
}

// readTargets picks pages of the most popular products.
func readTargets(ctx context.Context, shop *shopclient.Client) ([]target, error) {
	list, err := shop.Products(ctx, shopclient.ProductQuery{Limit: pagesAKind})
	if err != nil {
		return nil, err
	}
	product, html := target{name: "REST product"}, target{name: "HTML product page"}
	categories := map[string]bool{}
	lists := target{name: "REST list", paths: []string{"/v1/products"}}
	for _, p := range list.Products {
		sku := url.PathEscape(p.Variants[0].SKU)
		product.paths = append(product.paths, "/v1/products/"+sku)
		html.paths = append(html.paths, "/products/"+sku)
		if !categories[p.Category] {
			categories[p.Category] = true
			lists.paths = append(lists.paths,
				"/v1/products?category="+url.QueryEscape(p.Category),
				"/v1/products?category="+url.QueryEscape(p.Category)+"&sort=price")
		}
	}
	return []target{product, lists, html}, nil
}

// fetch gets each page once, so that the baseline has the bytes.
func fetch(ctx context.Context, base string, targets []target) ([]page, error) {
	client := &http.Client{Timeout: 10 * time.Second}
	var pages []page
	for _, t := range targets {
		for _, path := range t.paths {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
			if err != nil {
				return nil, err
			}
			req.Header.Set("Accept-Encoding", "identity")
			res, err := client.Do(req)
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil {
				return nil, err
			}
			if res.StatusCode != http.StatusOK {
				return nil, fmt.Errorf("GET %s answered %s", path, res.Status)
			}
			pages = append(pages, page{path, res.Header.Get("Content-Type"), body})
		}
	}
	return pages, nil
}

// reading measures each target against the baseline, turn and turn about, so
// that a noisy minute meets both.
func (b *bench) reading(ctx context.Context, shop *child, st *state.State) error {
	base := st.URL
	targets, err := readTargets(ctx, shopclient.New(base))
	if err != nil {
		return err
	}
	pages, err := fetch(ctx, base, targets)
	if err != nil {
		return err
	}
	limit, err := startBaseline(ctx, pages)
	if err != nil {
		return err
	}
	defer limit.stop()
	addr := strings.TrimPrefix(base, "http://")
	for _, t := range targets {
		ours, theirs := newSide("souk"), newSide("bare chi handler")
		ours.pids = map[string]int{"souk": shop.cmd.Process.Pid, "postgres": st.PIDs["postgres"]}
		theirs.pids = map[string]int{"baseline": limit.cmd.Process.Pid}
		for range b.rounds {
			if err := ours.measure(func() (sample, error) { return readLoop(ctx, addr, t.paths, b.concurrency, b.time) }); err != nil {
				return err
			}
			if err := theirs.measure(func() (sample, error) { return readLoop(ctx, limit.line, t.paths, b.concurrency, b.time) }); err != nil {
				return err
			}
		}
		b.add(t.name, ours, theirs)
	}
	return nil
}
