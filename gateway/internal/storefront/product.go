package storefront

import (
	"net/http"
	"strings"
	"sync"

	"github.com/souk-shop/souk/gateway/internal/edgecache"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
)

// productPage is the view of product.html.
type productPage struct {
	frame
	Name        string
	Code        string
	Picture     string
	Price       string
	Paragraphs  []string // of the description
	Category    categoryLink
	Stock       stock
	Gone        bool // no longer sold: the page stays for the orders that link to it
	Variants    []variantOption
	Choose      bool // there are variants to choose from
	Selected    string
	MaxQuantity int64
	Related     []card

	// What was typed, and what is wrong with it.
	Quantity      string
	QuantityError string
}

// variantOption is one of a product's variants.
type variantOption struct {
	SKU      string
	Name     string
	Price    string
	Stock    stock
	Max      int64  // units that can be ordered now
	Picture  string // with the variant's own words
	Selected bool
}

const relatedProducts = 6

func (s *Storefront) serveProduct(w http.ResponseWriter, r *http.Request) error {
	sku := r.PathValue("sku")
	if !plausibleSKU(sku) {
		return problem.New(problem.ProductNotFound)
	}
	p, err := s.catalog.Product(r.Context(), sku)
	if upper := strings.ToUpper(sku); upper != sku && problem.Is(err, problem.ProductNotFound) {
		// Typed by hand: 85123a is 85123A.
		if p, upperErr := s.catalog.Product(r.Context(), upper); upperErr == nil {
			http.Redirect(w, r, p.URL, http.StatusMovedPermanently) //nolint:gosec // the page of a product that is there
			return nil
		}
	}
	if err != nil {
		return err
	}
	if len(p.Variants) > 1 && isVariant(p, sku) {
		// The address of a variant: its own choice is made, so it is another page.
		made := p.Memo.Recent(catalog.SlotVariants, pageAge, func() any { return &variantPages{} })
		return s.sendKept(w, r, made.(*variantPages).of(sku, func() *kept { return s.keepProduct(r, p, sku) }))
	}
	return s.sendKept(w, r, p.Memo.Recent(catalog.SlotPage, pageAge, func() any { return s.keepProduct(r, p, "") }))
}

func (s *Storefront) keepProduct(r *http.Request, p *catalog.Product, selected string) *kept {
	return s.keepOrErr("product", func() (view, error) { return s.newProductPage(r, p, selected), nil })
}

// variantPages are the pages of a product's variants, kept together: as many as there are
// variants.
type variantPages struct{ pages sync.Map }

// of returns the page of a variant; those who ask at the same time wait for one of them.
func (v *variantPages) of(sku string, build func() *kept) *kept {
	once, _ := v.pages.LoadOrStore(sku, &oncePage{})
	page := once.(*oncePage)
	page.Do(func() { page.kept = build() })
	return page.kept
}

type oncePage struct {
	sync.Once
	kept *kept
}

// isVariant reports that the SKU names a variant other than by the product's
// own code.
func isVariant(p *catalog.Product, sku string) bool {
	return sku != p.Code && sku != p.Variants[0].SKU
}

// orderable is how many units a page offers: what is available, or what others hold and
// may not buy.
func orderable(s catalog.Stock) int64 {
	if s.Available > 0 {
		return s.Available
	}
	return s.Held
}

// newProductPage makes the view. Related products and the category's name are
// trimmings: without them there is still a page.
func (s *Storefront) newProductPage(r *http.Request, p *catalog.Product, selected string) *productPage {
	ctx := detached(r)
	v := &productPage{
		frame:    frame{Title: p.Name, Description: firstOf(p.Description, p.Name+" at Souk, "+priceOf(p)+"."), Section: "products", Path: p.URL, Kind: "product"},
		Name:     p.Name,
		Code:     p.Code,
		Picture:  picture.URL(p.Code, p.Name),
		Price:    priceOf(p),
		Stock:    stockOf(p.Available, p.Held),
		Choose:   len(p.Variants) > 1,
		Quantity: "1",
	}
	v.about = append(p.Keys(), edgecache.Categories)
	if p.State == catalog.Archived {
		v.Gone = true
		v.Title, v.frame.Description = p.Name+" (no longer sold)", p.Name+" is no longer sold at Souk."
		v.Stock = noLongerSold
	}
	for line := range strings.SplitSeq(p.Description, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			v.Paragraphs = append(v.Paragraphs, line)
		}
	}
	for i := range p.Variants {
		variant := &p.Variants[i]
		option := variantOption{
			SKU: variant.SKU, Name: firstOf(variant.Name, variant.SKU),
			Price: variant.Price.Format(), Stock: stockOf(variant.Stock.Available, variant.Stock.Held),
			Max:     min(orderable(variant.Stock), cart.MaxQuantity),
			Picture: catalog.PictureURL(variant.SKU) + "?v=" + picture.Version(p.Code, pictureWords(p, variant.SKU)),
		}
		if !p.Sells(variant) {
			option.Stock, option.Max = noLongerSold, 0
		}
		option.Selected = variant.SKU == selected || selected == "" && v.Selected == "" && option.Max > 0
		if option.Selected {
			v.Selected = variant.SKU
		}
		v.MaxQuantity = max(v.MaxQuantity, option.Max)
		if option.Selected && selected != "" {
			// The address, or the form, names the variant: the page is about it.
			v.Price, v.Stock = option.Price, option.Stock
		}
		if option.Selected && v.Choose {
			v.Picture = option.Picture
		}
		v.Variants = append(v.Variants, option)
	}
	if v.Selected == "" && len(v.Variants) > 0 {
		v.Selected, v.Variants[0].Selected = v.Variants[0].SKU, true
	}
	if p.Category != "" {
		v.Category = categoryLink{Name: p.Category, URL: categoryURL(p.Category)}
		if list, err := s.catalog.Categories(ctx); err == nil {
			v.Category.Name = categoryName(list, p.Category)
		} else {
			s.log.WarnContext(ctx, "product page without its category's name", "error", err)
		}
	}
	if related, err := s.catalog.Related(ctx, p.Code, relatedProducts); err == nil {
		v.Related, v.about = newCards(related.Products, 0), append(v.about, related.Shown()...)
	} else {
		s.log.WarnContext(ctx, "product page without related products", "error", err)
	}
	v.frame.Picture, v.Facts = v.Picture, s.productFacts(p, v)
	return v
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
