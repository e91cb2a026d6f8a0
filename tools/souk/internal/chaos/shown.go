package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	// repriceEvery is the time between two changes of a price that is looked at, glanceEvery that between
	// two looks at one place.
	repriceEvery, glanceEvery = 500 * time.Millisecond, 50 * time.Millisecond
	// lists is how many lists are looked at, in turn: each is an entry of caches by itself.
	lists = 10
	// shownSKUs is how many products have their price changed by the run.
	shownSKUs = 3
)

// Shown is how old the prices were that were shown, in a run that looks at them.
type Shown struct {
	// Changes of prices, and Looks at lists and products.
	Changes int `json:"changes"`
	Looks   int `json:"looks"`
	// Oldest is the longest time for which a price had been replaced when it was asked for and shown.
	Oldest time.Duration `json:"oldest_ns"`
	// Within is how old it may have been; 0 in a run that does not look.
	Within time.Duration `json:"within_ns"`
}

// showcase are products whose prices change, and shoppers who look at them. What is shown is
// compared with the answers that the operator got who changed them: the age of a price is counted
// from when the change to the next one was acknowledged to when the shopper asked.
type showcase struct {
	workload *Workload
	looks    []*shopclient.Client
	stop     func()

	mu     sync.Mutex
	prices map[string][]price
	shown  Shown
	wrong  []string
}

// price is one that a SKU had from when it was asked for until the next was acknowledged.
type price struct {
	amount      int64
	from, until time.Time // until is zero for that of now
}

func newShowcase(w *Workload, fronts []string, within time.Duration) *showcase {
	s := &showcase{workload: w, prices: map[string][]price{}, shown: Shown{Within: within}, stop: func() {}}
	for _, url := range fronts {
		s.looks = append(s.looks, shopclient.New(url)) // guests, who have written nothing
	}
	for _, sku := range w.goods.shown {
		s.prices[sku] = []price{{amount: firstPrice}}
	}
	return s
}

// firstPrice is what a product of a showcase costs at first, in minor units.
const firstPrice = 10_000

// run changes prices and looks at them until stop is called.
func (s *showcase) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	as := func(n int) *shopper {
		return &shopper{Workload: s.workload, n: shoppers + 1 + n, rng: rand.New(rand.NewPCG(s.workload.seed, uint64(3*shoppers+n)))} // chance that can be repeated
	}
	all.Go(func() { s.reprice(ctx, as(0)) })
	for i, shop := range s.looks {
		all.Go(func() { s.look(ctx, as(1+i), shop) })
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
		for _, shop := range s.looks {
			shop.Close()
		}
	})
}

// reprice gives one product after another a price that none had before.
func (s *showcase) reprice(ctx context.Context, v *shopper) {
	for amount := int64(firstPrice + 1); retry.Sleep(ctx, repriceEvery) == nil; amount++ {
		sku := s.workload.goods.shown[int(amount)%shownSKUs]
		s.asked(sku, amount, time.Now())
		err := v.retry(ctx, "change a price that is shown", func(ctx context.Context) error {
			return v.owner.SetPrices(ctx, []shopclient.PriceChange{{SKU: sku, Price: shopclient.Money{Amount: amount, Currency: "GBP"}}})
		})
		if problem, refused := refusal(err); refused {
			v.rec.contradiction(ShownInTime, "a price was not changed: %v", problem)
		}
		if err != nil {
			return // the next one's age would be counted from a change that may not be
		}
		s.acknowledged(sku, time.Now())
	}
}

// asked notes a price that may be shown from a time on.
func (s *showcase) asked(sku string, amount int64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prices[sku] = append(s.prices[sku], price{amount: amount, from: at})
}

// acknowledged notes that the newest price of a SKU has replaced the one before.
func (s *showcase) acknowledged(sku string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prices[sku][len(s.prices[sku])-2].until = at
	s.shown.Changes++
}

// look reads lists and products in turn.
func (s *showcase) look(ctx context.Context, v *shopper, shop *shopclient.Client) {
	for n := 0; retry.Sleep(ctx, glanceEvery) == nil; n++ {
		var products []shopclient.Product
		sent := time.Now()
		err := v.once(ctx, "look at prices", func(ctx context.Context) error {
			if n%4 == 3 {
				p, err := shop.Product(ctx, s.workload.goods.shown[n/4%shownSKUs])
				if err == nil {
					products = []shopclient.Product{*p}
				}
				return err
			}
			page, err := shop.Products(ctx, shopclient.ProductQuery{Limit: 90 + n%lists, Facets: true})
			if err == nil {
				products = page.Products
			}
			return err
		})
		if err != nil {
			continue
		}
		answered := time.Now()
		seen := 0
		for _, p := range products {
			for _, of := range p.Variants {
				if s.saw(of.SKU, of.Price.Amount, sent, answered) {
					seen++
				}
			}
		}
		if seen == 0 {
			v.rec.contradiction(ShownInTime, "of %d products that were shown none is one whose price changes", len(products))
		}
	}
}

// saw compares a price that was shown with those that the SKU had. It reports whether it is one of
// those that are looked at.
func (s *showcase) saw(sku string, amount int64, sent, answered time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	had, watched := s.prices[sku]
	if !watched {
		return false
	}
	s.shown.Looks++
	for _, p := range had {
		if p.amount != amount || p.from.After(answered) {
			continue
		}
		if !p.until.IsZero() {
			age := sent.Sub(p.until)
			s.shown.Oldest = max(s.shown.Oldest, age)
			if age > s.shown.Within {
				s.wrong = append(s.wrong, fmt.Sprintf("%s was shown at %d, which had been replaced for %s; %s is the most", sku, amount, round(age), s.shown.Within))
			}
		}
		return true
	}
	s.wrong = append(s.wrong, fmt.Sprintf("%s was shown at %d, which it did not cost", sku, amount))
	return true
}

// end stops it, and returns what was seen.
func (s *showcase) end() (shown Shown, wrong []string) {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown, s.wrong
}
