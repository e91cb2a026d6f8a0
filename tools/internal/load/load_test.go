package load

import (
	"math/rand/v2"
	"testing"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

func TestParseMix(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{
		"browse=60,search=20,cart=15,checkout=5": true,
		"checkout=1":                             true,
		"":                                       false,
		"browse":                                 false,
		"browse=-1":                              false,
		"browse=0":                               false,
		"steal=1":                                false,
		"browse=99999999999999999999":            false,
	} {
		if _, err := ParseMix(in); (err == nil) != ok {
			t.Errorf("ParseMix(%q) = %v, want ok %v", in, err, ok)
		}
	}
}

func TestPickFollowsTheShares(t *testing.T) {
	t.Parallel()
	l := &Load{opts: Options{Mix: Mix{Browse: 3, Checkout: 1}}}
	rng := rand.New(rand.NewPCG(1, 1))
	got := map[Action]int{}
	const n = 10_000
	for range n {
		got[l.pick(rng)]++
	}
	if got[Search]+got[Cart] != 0 {
		t.Errorf("actions without a share were picked: %v", got)
	}
	if share := float64(got[Browse]) / n; share < 0.72 || share > 0.78 {
		t.Errorf("browse was picked %.2f of the time, want 0.75", share)
	}
}

// A shopper who cannot pay so little would be an error of the load's own.
func TestEveryOrderCanBePaid(t *testing.T) {
	t.Parallel()
	for _, price := range []int64{1, 4, 29, 30, 31, 295} {
		v := shopclient.Variant{SKU: "1"}
		v.Price.Amount = price
		l := &Load{products: []shopclient.Product{{Variants: []shopclient.Variant{v}}}}
		for seed := range uint64(20) {
			for _, line := range l.lines(rand.New(rand.NewPCG(seed, 1))) {
				if total := line.Quantity * price; total < leastPayment {
					t.Errorf("%d units at %d cost %d, less than can be paid", line.Quantity, price, total)
				}
			}
		}
	}
}
