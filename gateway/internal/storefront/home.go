package storefront

import (
	"context"
	"net/http"
	"time"

	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

// homePage is the view of home.html.
type homePage struct {
	frame
	Hero       []card // a few pictures beside the greeting
	Popular    []card
	Categories []categoryLink
	Products   int64 // in all categories
}

const homeProducts = 12

func (s *Storefront) serveHome(w http.ResponseWriter, r *http.Request) error {
	popular, err := s.catalog.ListProducts(r.Context(), catalog.ProductQuery{Sort: catalog.SortPopularity, InStock: true, Limit: homeProducts + 3})
	if err != nil {
		return err
	}
	made := popular.Memo.Recent(catalog.SlotPage, pageAge, func() any {
		return s.keepOrErr("home", func() (view, error) {
			categories, err := s.catalog.Categories(detached(r))
			if err != nil {
				return nil, err
			}
			return newHomePage(popular, categories), nil
		})
	})
	return s.sendKept(w, r, made)
}

func newHomePage(popular *catalog.ProductPage, categories *catalog.CategoryList) *homePage {
	v := &homePage{
		frame:      frame{Title: "Gifts with a bit of charm", Section: "home", Path: "/", Description: "Souk is a small giftware shop: bags, lanterns, tins, bunting and a thousand little things for the home."},
		Categories: newCategoryLinks(categories.Categories),
	}
	v.about = append(popular.Keys(), categories.Keys()...)
	cards := newCards(popular.Products, 0)
	// The bestsellers stand in the window, the next ones on the shelf.
	hero := min(3, len(cards))
	v.Hero, v.Popular = cards[:hero], cards[hero:]
	if hero > 0 {
		v.Picture = cards[0].Picture
	}
	for _, c := range categories.Categories {
		v.Products += c.Products
	}
	return v
}

// pageAge is how long a page is kept: it shows more (related products, names of
// categories) than what is known of the value whose Memo has it.
const pageAge = time.Second

// kept is a rendered page, or why there is none, as a Memo keeps it.
type kept struct {
	page *rendered
	err  error
}

// keepOrErr makes a page to be kept. An error is kept as well: for as long as
// a page may be kept it is not tried again.
func (s *Storefront) keepOrErr(name string, build func() (view, error)) *kept {
	v, err := build()
	if err != nil {
		return &kept{err: err}
	}
	page, err := s.pages.keep(name, v)
	return &kept{page, err}
}

// detached is the request's context for what outlives it: a page that is kept
// must not fail because the one who asked first went away. The shop's own
// timeouts bound it.
func detached(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }

// sendKept sends what keepOrErr made.
func (s *Storefront) sendKept(w http.ResponseWriter, r *http.Request, made any) error {
	k := made.(*kept)
	if k.err != nil {
		return k.err
	}
	s.sendShared(w, r, k.page)
	return nil
}
