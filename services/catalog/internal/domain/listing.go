package domain

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
	// SortName is alphabetical, without regard to case.
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
	// Category is a slug; empty for all.
	Category string
	// MinPrice and MaxPrice are inclusive, in minor units; nil for no limit.
	MinPrice, MaxPrice *int64
	// InStock is whether at least one unit must be available.
	InStock bool
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
	// MatchClose finds words that look alike; used when no product has the words.
	MatchClose Match = "close"
)

// Position is the place of a product in a listing.
type Position struct {
	Match Match
	// Key is the sort key where it is a number, Text where it is a name.
	Key  int64
	Text string
	// ID is the product's.
	ID string
}

// Page is a part of a listing.
type Page struct {
	Products []Product
	// Next is the position of the last product; nil when there are no more.
	Next *Position
	// Facets are nil unless asked for.
	Facets *Facets
}

// Facets count what matches; each group leaves out its own part of the filter.
type Facets struct {
	Total      int64
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

// PriceBucketAt returns the empty bucket whose lower bound is PriceSteps[i].
func PriceBucketAt(i int) PriceBucket {
	b := PriceBucket{From: PriceSteps[i]}
	if i+1 < len(PriceSteps) {
		b.To = PriceSteps[i+1] - 1
	}
	return b
}
