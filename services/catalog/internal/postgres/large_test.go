package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// The contract takes more text of a product than a tsvector does.
func TestALargeProduct(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	p := simple("LARGE", "lantern", 100, 5)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 700 {
		name := make([]rune, 200)
		for j := range name {
			name[j] = 0x4e00 + random.Int32N(20_000)
		}
		p.Variants = append(p.Variants, domain.VariantInput{SKU: fmt.Sprintf("LARGE-%d", i), Name: string(name), Price: gbp(5)})
	}
	p.Variants[0].Name = "crimson"
	if _, err := s.Upsert(ctx, "", []domain.ProductInput{p}); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"lantern", "crimson", "LARGE-699"} {
		page, err := s.List(ctx, domain.Listing{Filter: domain.Filter{Query: query}, Sort: domain.SortRelevance, Size: 5})
		if err != nil || !slices.Equal(codes(page.Products), []string{"LARGE"}) {
			t.Errorf("%q found %v, %v", query, codes(page.Products), err)
		}
	}
}
