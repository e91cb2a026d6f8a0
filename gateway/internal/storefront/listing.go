package storefront

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/proto/money"
)

// listingPage is the view of listing.html: a category, a search, or all there
// is, narrowed by facets.
type listingPage struct {
	frame
	Heading    string
	Corrected  *correction // nil when the words are searched for as written
	Total      int64
	Plus       string // "+" behind counts that are at least so many
	Categories []categoryLink
	Prices     []facetLink
	InStock    facetLink
	InStockOn  bool
	Min, Max   string // of the price form, in decimals, or as typed when that was wrong
	PriceError string // what is wrong with them
	Symbol     string // of the currency
	Action     string // of the forms
	Hidden     []field
	PriceHides []field // what the price form keeps
	Sorts      []sortOption
	Applied    []facetLink // filters to take away
	Cards      []card
	Next       string // address of the next page; empty on the last
	Later      bool   // not the first page
	First      string // address of the first page
	Popular    []card // when nothing was found
}

// correction says that other words are searched for than were written.
type correction struct {
	Words, Written string
	Instead        string // address of the search for the words as written
}

// facetLink is a choice that narrows, or undoes it.
type facetLink struct {
	Label   string
	URL     string
	Count   int64
	Current bool
}

// field is a hidden form field.
type field struct{ Name, Value string }

// sortOption is an item of the sort list.
type sortOption struct {
	Value, Label string
	Selected     bool
}

// listing is what the address of a listing asks for.
type listing struct {
	query, category string
	min, max        *int64
	inStock         bool
	exact           bool // the words as written
	sort            string
	cursor          string

	// What was typed as a price, and what is wrong with it. min and max are nil
	// then: the list is shown without a price filter.
	typedMin, typedMax string
	priceError         string
}

// sorts are the orders offered; "" is relevance for a search.
var sorts = []struct {
	value, label string
	sort         catalog.Sort
}{
	{"", "Best match", catalog.SortDefault},
	{"popularity", "Most popular", catalog.SortPopularity},
	{"price", "Price, low to high", catalog.SortPriceAsc},
	{"-price", "Price, high to low", catalog.SortPriceDesc},
	{"name", "Name", catalog.SortName},
	{"newest", "Newest", catalog.SortNewest},
}

const (
	maxQuery    = 200 // characters
	maxCategory = 100 // bytes of a slug
)

var errNoCategory = &pageError{http.StatusNotFound, "There is no such category", "It may have been renamed. All categories are on the first page of the shop."}

func (s *Storefront) serveListing(w http.ResponseWriter, r *http.Request) error {
	l, err := s.readListing(r)
	if err != nil {
		return err
	}
	if slug := r.PathValue("slug"); slug != "" {
		if l.category = slug; len(slug) > maxCategory || !cleanText(slug) {
			return errNoCategory
		}
	} else if l.category != "" {
		http.Redirect(w, r, l.urlIn(s.currency), http.StatusMovedPermanently) //nolint:gosec // below /categories/, escaped
		return nil
	}
	products, err := s.catalog.ListProducts(r.Context(), l.productQuery())
	if err != nil {
		return err
	}
	if l.priceError != "" {
		// What was typed belongs to one shopper, so the page is not kept.
		v, err := s.wholeListing(r.Context(), l, products)
		if err != nil {
			return err
		}
		return s.show(w, r, http.StatusBadRequest, "listing", v)
	}
	made := products.Memo.Recent(catalog.SlotPage, pageAge, func() any {
		return s.keepOrErr("listing", func() (view, error) { return s.wholeListing(detached(r), l, products) })
	})
	return s.sendKept(w, r, made)
}

// wholeListing makes the view with the names of categories and, when nothing was
// found, what is popular.
func (s *Storefront) wholeListing(ctx context.Context, l listing, products *catalog.ProductPage) (view, error) {
	categories, err := s.catalog.Categories(ctx)
	if err != nil {
		return nil, err
	}
	if l.category != "" && !hasCategory(categories, l.category) {
		return nil, errNoCategory
	}
	v := s.newListingPage(l, products, categories)
	if len(products.Products) == 0 && l.cursor == "" {
		popular, err := s.catalog.ListProducts(ctx, catalog.ProductQuery{Sort: catalog.SortPopularity, InStock: true, Limit: 8})
		if err != nil {
			return nil, err
		}
		v.Popular, v.about = newCards(popular.Products, 0), append(v.about, popular.Keys()...)
	}
	return v, nil
}

// redirectSearch sends the address people guess to the listing.
func (s *Storefront) redirectSearch(w http.ResponseWriter, r *http.Request) error {
	to := url.URL{Path: "/products", RawQuery: r.URL.RawQuery}
	http.Redirect(w, r, to.String(), http.StatusMovedPermanently)
	return nil
}

// readListing reads and checks the address.
func (s *Storefront) readListing(r *http.Request) (listing, error) {
	var l listing
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return l, badRequest("The address of this list is garbled.")
	}
	for _, values := range form {
		for _, v := range values {
			if !cleanText(v) {
				return l, badRequest("There are characters in the search that are no text.")
			}
		}
	}
	l.query = strings.Join(strings.Fields(form.Get("q")), " ")
	if utf8.RuneCountInString(l.query) > maxQuery {
		return l, badRequest("Please search with fewer words: 200 characters at most.")
	}
	if l.category = form.Get("category"); len(l.category) > maxCategory {
		return l, errNoPage
	}
	l.readPrices(form.Get("min"), form.Get("max"), s.currency)
	l.inStock = form.Get("in_stock") == "1"
	l.exact = l.query != "" && form.Get("exact") == "1"
	for _, o := range sorts {
		if o.value == form.Get("sort") {
			l.sort = o.value
		}
	}
	if l.query == "" && l.sort == "popularity" {
		l.sort = "" // that is the order without words anyway
	}
	if l.cursor = form.Get("cursor"); len(l.cursor) > 1000 {
		return l, problem.New(problem.InvalidCursor)
	}
	return l, nil
}

// cleanText reports whether a person can have typed it: UTF-8 without control
// characters.
func cleanText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r'
	})
}

func (l listing) productQuery() catalog.ProductQuery {
	q := catalog.ProductQuery{
		Query: l.query, Category: l.category, MinPrice: l.min, MaxPrice: l.max,
		InStock: l.inStock, Exact: l.exact, Cursor: l.cursor, Facets: true,
	}
	for _, o := range sorts {
		if o.value == l.sort {
			q.Sort = o.sort
		}
	}
	return q
}

// fields are the parameters of the listing's address in a fixed order, but for
// the category, which is in the path.
func (l listing) fields(currency string) []field {
	var out []field
	add := func(name, value string) {
		if value != "" {
			out = append(out, field{name, value})
		}
	}
	add("q", l.query)
	if l.exact {
		add("exact", "1")
	}
	add("min", decimal(l.min, currency))
	add("max", decimal(l.max, currency))
	if l.inStock {
		add("in_stock", "1")
	}
	add("sort", l.sort)
	add("cursor", l.cursor)
	return out
}

func decimal(units *int64, currency string) string {
	if units == nil {
		return ""
	}
	return money.Money{Units: *units, Currency: currency}.Decimal()
}

// path is the address without parameters.
func (l listing) path() string {
	if l.category != "" {
		return categoryURL(url.PathEscape(l.category))
	}
	return "/products"
}

func (l listing) urlIn(currency string) string {
	v := url.Values{}
	for _, f := range l.fields(currency) {
		v.Set(f.Name, f.Value)
	}
	if len(v) == 0 {
		return l.path()
	}
	return l.path() + "?" + v.Encode()
}

// with is the first page of a changed listing.
func (l listing) with(change func(*listing)) listing {
	l.cursor = ""
	change(&l)
	return l
}

func hasCategory(list *catalog.CategoryList, slug string) bool {
	return slices.ContainsFunc(list.Categories, func(c catalog.Category) bool { return c.Slug == slug })
}

// categoryName is what people call a category; its slug when it is unknown.
func categoryName(list *catalog.CategoryList, slug string) string {
	for _, c := range list.Categories {
		if c.Slug == slug {
			return c.Name
		}
	}
	return slug
}

func (s *Storefront) newListingPage(l listing, p *catalog.ProductPage, categories *catalog.CategoryList) *listingPage {
	address := func(change func(*listing)) string { return l.with(change).urlIn(s.currency) }
	v := &listingPage{
		frame:     frame{Query: l.query, Section: "products"},
		Cards:     newCards(p.Products, firstRow),
		Later:     l.cursor != "",
		First:     address(func(*listing) {}),
		Action:    l.path(),
		InStockOn: l.inStock,
		Min:       decimal(l.min, s.currency),
		Max:       decimal(l.max, s.currency),
		Symbol:    symbol(s.currency),
	}
	if l.priceError != "" {
		v.Failed, v.PriceError = true, l.priceError
		v.Min, v.Max = typed(l.typedMin), typed(l.typedMax)
	}
	v.about = append(p.Keys(), categories.Keys()...)
	sought := l.query
	if p.SearchedFor != "" {
		sought = p.SearchedFor
		v.Corrected = &correction{Words: sought, Written: l.query, Instead: address(func(l *listing) { l.exact = true })}
	}
	switch {
	case l.query != "" && l.category != "":
		v.Heading = "“" + sought + "” in " + categoryName(categories, l.category)
	case l.query != "":
		v.Heading = "“" + sought + "”"
	case l.category != "":
		v.Heading = categoryName(categories, l.category)
	default:
		v.Heading = "Everything in the shop"
		v.Description = "Everything that Souk sells: bags, lanterns, tins, bunting and a thousand little things for the home."
	}
	v.Title = v.Heading
	// Each list has one address: without what sorts and narrows it. A later page is
	// another one, unless it is of a narrowed list.
	v.NoIndex = l.query != ""
	v.Path = l.with(func(l *listing) { *l = listing{category: l.category} }).urlIn(s.currency)
	if same := (listing{category: l.category, cursor: l.cursor}); same == l {
		v.Path = same.urlIn(s.currency)
	}
	if p.NextCursor != "" {
		next := l
		next.cursor = p.NextCursor
		v.Next = next.urlIn(s.currency)
		v.frame.Next = v.Next
	}
	for _, o := range sorts {
		if o.value == "" && l.query == "" {
			o.label = "Most popular"
		} else if o.value == "popularity" && l.query == "" {
			continue
		}
		v.Sorts = append(v.Sorts, sortOption{o.value, o.label, o.value == l.sort})
	}
	v.Hidden = l.with(func(l *listing) { l.sort = "" }).fields(s.currency)
	v.PriceHides = l.with(func(l *listing) { l.min, l.max = nil, nil }).fields(s.currency)
	v.addFacets(l, p.Facets, address, s.currency)
	v.addApplied(l, categories, address, s.currency)
	return v
}

// addFacets makes the links that narrow.
func (v *listingPage) addFacets(l listing, f *catalog.Facets, address func(func(*listing)) string, currency string) {
	if f == nil {
		return
	}
	if v.Total = f.Total; f.AtLeast {
		v.Plus = "+"
	}
	for _, c := range f.Categories {
		v.Categories = append(v.Categories, categoryLink{
			Name: c.Name, Count: c.Products, Current: c.Slug == l.category,
			URL: address(func(l *listing) { l.category = c.Slug }),
		})
	}
	for _, b := range f.Prices {
		if b.Count == 0 {
			continue
		}
		low, high := b.From, b.To
		link := facetLink{Count: b.Count, Label: bucketLabel(b, currency)}
		link.Current = same(l.min, low, low != 0) && same(l.max, high, high != 0)
		link.URL = address(func(l *listing) {
			l.min, l.max = nil, nil
			if low != 0 {
				l.min = &low
			}
			if high != 0 {
				l.max = &high
			}
		})
		v.Prices = append(v.Prices, link)
	}
	v.InStock = facetLink{Label: "In stock", Count: f.InStock, Current: l.inStock, URL: address(func(l *listing) { l.inStock = !l.inStock })}
}

func same(have *int64, want int64, set bool) bool {
	if !set {
		return have == nil
	}
	return have != nil && *have == want
}

func bucketLabel(b catalog.PriceBucket, currency string) string {
	from, to := money.Money{Units: b.From, Currency: currency}, money.Money{Units: b.To, Currency: currency}
	switch {
	case b.To == 0:
		return from.Format() + " and more"
	case b.From == 0:
		return "up to " + to.Format()
	default:
		return from.Format() + " – " + to.Format()
	}
}

// addApplied lists what narrows now, with the way to take it away.
func (v *listingPage) addApplied(l listing, categories *catalog.CategoryList, address func(func(*listing)) string, currency string) {
	add := func(label string, change func(*listing)) {
		v.Applied = append(v.Applied, facetLink{Label: label, URL: address(change)})
	}
	if l.query != "" {
		add("“"+l.query+"”", func(l *listing) { l.query, l.exact = "", false })
	}
	if l.category != "" {
		add(categoryName(categories, l.category), func(l *listing) { l.category = "" })
	}
	if l.min != nil || l.max != nil {
		label := "price"
		if l.min != nil {
			label += " from " + money.Money{Units: *l.min, Currency: currency}.Format()
		}
		if l.max != nil {
			label += " up to " + money.Money{Units: *l.max, Currency: currency}.Format()
		}
		add(label, func(l *listing) { l.min, l.max = nil, nil })
	}
	if l.inStock {
		add("in stock", func(l *listing) { l.inStock = false })
	}
}

// symbol is what people write before an amount.
func symbol(currency string) string {
	return strings.TrimRight(money.Money{Currency: currency}.Format(), "0.,")
}
