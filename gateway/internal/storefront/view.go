package storefront

import (
	"fmt"

	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
)

// card is a product in a listing.
type card struct {
	Name    string
	URL     string
	Picture string
	Price   string // "£2.95" or "from £2.95"
	Stock   stock
	Eager   bool // on the first screen
}

// stock is how many there are, in words.
type stock struct {
	Level string // "out", "low" or "in"; also a CSS class
	Text  string
}

// lowStock is the number of units from which down a page shows it.
const lowStock = 10

// noLongerSold is said of what is archived, however many units of it there are.
var noLongerSold = stock{"out", "No longer sold"}

func stockOf(available, held int64) stock {
	switch {
	case available <= 0 && held > 0:
		return stock{"low", "Others are paying for the last ones"}
	case available <= 0:
		return stock{"out", "Sold out"}
	case available <= lowStock:
		return stock{"low", fmt.Sprintf("Only %d left", available)}
	default:
		return stock{"in", "In stock"}
	}
}

func newCard(p *catalog.Product) card {
	return card{
		Name: p.Name, URL: p.URL, Picture: picture.URL(p.Code, p.Name),
		Price: priceOf(p), Stock: stockOf(p.Available, p.Held),
	}
}

// firstRow is how many cards the first screen may show.
const firstRow = 4

// newCards makes cards; the pictures of the first few are fetched at once.
func newCards(products []*catalog.Product, eager int) []card {
	cards := make([]card, len(products))
	for i, p := range products {
		cards[i] = newCard(p)
		cards[i].Eager = i < eager
	}
	return cards
}

// priceOf is a product's price: "from" the cheapest variant when they differ.
func priceOf(p *catalog.Product) string {
	if n := len(p.Variants); n > 1 && p.Variants[n-1].Price != p.Price {
		return "from " + p.Price.Format()
	}
	return p.Price.Format()
}

// categoryLink is a category to walk to.
type categoryLink struct {
	Name    string
	URL     string
	Picture string
	Count   int64
	Current bool
}

func categoryURL(slug string) string { return "/categories/" + slug }

func newCategoryLinks(list []catalog.Category) []categoryLink {
	links := make([]categoryLink, 0, len(list))
	for _, c := range list {
		if c.Products > 0 {
			links = append(links, categoryLink{
				Name: c.Name, URL: categoryURL(c.Slug), Count: c.Products,
				Picture: "/pictures/categories/" + c.Slug + ".svg?v=" + picture.Version(c.Slug, c.Name),
			})
		}
	}
	return links
}
