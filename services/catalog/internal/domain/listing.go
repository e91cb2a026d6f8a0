package domain

import "slices"

// Sort is an order of products; each ends with the product's id, so that it is total.
type Sort int

const (
	// SortRelevance is best match first; only with a query.
	SortRelevance Sort = iota + 1
	// SortPopularity is most sold first.
	SortPopularity
	// SortPriceAsc is cheapest first, by the cheapest variant.
	SortPriceAsc
	// SortPriceDesc is dearest first, by the cheapest variant.
	SortPriceDesc
	// SortName is alphabetical, in the order of words.SortKey.
	SortName
	// SortNewest is latest first.
	SortNewest
)

// DefaultPageSize is how many products a page has when the caller does not say.
const DefaultPageSize = 24

// Filter narrows a listing.
type Filter struct {
	// Query is words to find; empty for all.
	Query string
	// Exact is whether the words are taken as they are written, not corrected.
	Exact bool
	// Category is a slug; empty for all.
	Category string
	// MinPrice and MaxPrice are inclusive, in minor units; nil for no limit.
	MinPrice, MaxPrice *int64
	// InStock is whether at least one unit must be available.
	InStock bool
	// State asks for the products in a state instead of those that are listed; "" for
	// these. Query is then the beginning of a code, or a part of a name.
	State State `json:",omitempty"`
}

// Listing asks for a page.
type Listing struct {
	Filter Filter
	Sort   Sort
	// Size is the number of products wanted, at least 1.
	Size int
	// After is where the page starts; nil for the first.
	After *Position
	// Facets is whether to count.
	Facets bool
}

// Match is how the words of a query are compared. It is decided on the first
// page and kept by the cursor, so that an insert between two pages can't turn
// one kind of list into another.
type Match string

const (
	// MatchAll is a listing without a query.
	MatchAll Match = "all"
	// MatchWords finds the words themselves, in any grammatical form.
	MatchWords Match = "words"
	// MatchClose finds the words that those of the query were taken for, because no
	// product has them.
	MatchClose Match = "close"
)

// Shelves are how many of the most popular products stand on each shelf and those
// before it. A search for a word that very many products have ranks them shelf by
// shelf, so that its cost does not grow with the catalog. The last shelf, which
// has no size, is for all others.
var Shelves = []int64{2_000, 8_000, 32_000, 128_000, 512_000}

// LastShelf is the shelf of the products that no other has.
const LastShelf = 5

// ShelfOf is the shelf of the product before which so many are more popular.
func ShelfOf(rank int64) int {
	for shelf, size := range Shelves {
		if rank < size {
			return shelf
		}
	}
	return LastShelf
}

const (
	// MaxRanked is how many products a search ranks at once, but for twice as many where
	// the next smaller window has too few.
	MaxRanked = 2_000
	// allRanked is how many products a word may have for a search to rank them all instead
	// of the most popular of them: each is a read at a random place.
	allRanked = 500
)

// Window is the shelves that a search ranks at once, both inclusive.
type Window struct{ From, To int }

// AllShelves is the window of a search that few products match.
var AllShelves = Window{0, LastShelf}

// Next is the window after w.
func (w Window) Next() (Window, bool) { return Window{w.To + 1, w.To + 1}, w.To < LastShelf }

// Expected is how many products a search may find in a catalog.
type Expected struct {
	// Catalog is the number of all products.
	Catalog int64
	// Most is how many have the rarest of the words, Likely how many have all of them
	// if one word says nothing about another.
	Most, Likely int64
}

// FirstWindow is where a search begins that wants to rank some products: as many
// shelves as likely have them, if they do not have more than can be ranked at once; all
// where the shelves would have most of the catalog.
func (e Expected) FirstWindow(wanted int64) Window {
	if e.Most <= max(allRanked, wanted) {
		return AllShelves
	}
	for shelf, size := range Shelves {
		if 2*size >= e.Catalog {
			break
		}
		next := Shelves[min(shelf+1, len(Shelves)-1)]
		if e.Likely*size/e.Catalog >= wanted || e.Most*next/e.Catalog > 2*max(MaxRanked, wanted) {
			return Window{0, shelf}
		}
	}
	return AllShelves
}

// Position is the place of a product in a listing.
type Position struct {
	Match Match
	// Key is the sort key where it is a number, Text where it is a name's.
	Key  int64
	Text string
	// ID is the product's.
	ID string
	// Query is what was searched for, with MatchClose.
	Query string
	// Window is where the product was found.
	Window Window
}

// Page is a part of a listing.
type Page struct {
	Products []Product
	// Next is the position of the last product; nil when there are no more.
	Next *Position
	// Facets are nil unless asked for.
	Facets *Facets
	// SearchedFor is the query that found the products where nothing has the words
	// of the one that was written; else "".
	SearchedFor string
}

// To count a product costs a read of its row, at a random place of a table that may be
// larger than the memory.
const (
	// MaxFound is how far the products are counted that a search finds.
	MaxFound = 2_500
	// MaxPriced is how far those of a range of prices are, where it is not one of PriceSteps.
	MaxPriced = 5_000
)

// Facets count what matches; each group leaves out its own part of the filter.
type Facets struct {
	Total int64
	// AtLeast says that more products match than are counted: Total is as many, and
	// every other count may be greater.
	AtLeast    bool
	Categories []Category
	Prices     []PriceBucket
	InStock    int64
}

// PriceBucket counts products whose cheapest variant costs From to To, both
// inclusive, in minor units; To is 0 for no limit.
type PriceBucket struct {
	From, To, Count int64
}

// PriceSteps are the lower bounds of the price buckets, in minor units. They
// fit a giftware shop: half of its products cost less than 2.50.
var PriceSteps = []int64{0, 100, 250, 500, 1000, 2500, 5000, 10000}

// PriceStep is the index of the bucket that a price belongs to.
func PriceStep(price int64) int {
	i, exact := slices.BinarySearch(PriceSteps, price)
	if !exact {
		i--
	}
	return i
}

// PriceBucketAt returns the empty bucket whose lower bound is PriceSteps[i].
func PriceBucketAt(i int) PriceBucket {
	b := PriceBucket{From: PriceSteps[i]}
	if i+1 < len(PriceSteps) {
		b.To = PriceSteps[i+1] - 1
	}
	return b
}
