package storefront

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	"github.com/souk-shop/souk/proto/money"
)

// customer is the shopper that a viewer is; the zero UUID for another.
func customer(v *accessv1.Viewer) uuid.UUID {
	id, _ := uuid.Parse(v.GetCustomer().GetId())
	return id
}

// fakeShop is a shop in memory, with the answers of the real one.
type fakeShop struct {
	mu       sync.Mutex
	products []*catalog.Product
	names    map[string]string // of categories
	carts    map[uuid.UUID]*fakeCart
	orders   map[uuid.UUID]*order.Order
	owners   map[uuid.UUID]uuid.UUID
	byKey    map[string]*order.Order
	listed   []uuid.UUID // orders, newest first
	changed  chan struct{}

	since map[uuid.UUID]time.Time // when customers' sessions are good
	begun map[uuid.UUID]time.Time // the sessions that began with orders

	quotes []*order.Quote
	fail   error                           // of every call, when set
	refuse error                           // of PlaceOrder, when set
	lose   error                           // instead of PlaceOrder's answer, when set
	agreed map[string]string               // the agreement that a key has ordered with
	place  func(o *order.Order)            // what becomes of a placed order; nil pays it
	calls  map[string]int                  // by method
	last   map[string]catalog.ProductQuery // the last query of a listing
}

type fakeCart struct {
	owner   uuid.UUID
	version int64
	lines   []cart.LineInput
	seen    map[string]money.Money // prices when the lines were added
	removed map[uuid.UUID]bool     // orders whose units have left it
}

func newFakeShop() *fakeShop {
	f := &fakeShop{
		names: map[string]string{}, carts: map[uuid.UUID]*fakeCart{}, orders: map[uuid.UUID]*order.Order{},
		since: map[uuid.UUID]time.Time{}, begun: map[uuid.UUID]time.Time{},
		owners: map[uuid.UUID]uuid.UUID{}, byKey: map[string]*order.Order{}, changed: make(chan struct{}),
		calls: map[string]int{}, last: map[string]catalog.ProductQuery{}, agreed: map[string]string{},
	}
	for i, p := range []struct {
		sku, name, category string
		price, available    int64
	}{
		{"85123A", "White Hanging Heart T-Light Holder", "Candles and lights", 295, 100},
		{"22423", "Regency Cakestand 3 Tier", "Kitchen", 1275, 40},
		{"85099B", "Jumbo Bag Red Retrospot", "Bags", 195, 3},
		{"47566", "Party Bunting", "Party", 495, 50},
		{"22727", "Alarm Clock Bakelike Red", "Home", 375, 0},
		{"22720", "Set of 3 Cake Tins Pantry Design", "Kitchen", 495, 12},
		{"82580", "Bathroom Metal Sign", "Home", 55, 200},
		{"21733", "Red Hanging Heart T-Light Holder", "Candles and lights", 295, 80},
	} {
		f.add(p.sku, p.name, p.category, p.price, p.available, int64(1000-i))
	}
	f.products = append(f.products, &catalog.Product{
		ID: uuid.NewString(), Code: "MUG", Name: "Polkadot Mug", Description: "Holds tea.\nAnd <b>coffee</b>.", Category: "kitchen",
		Price: gbp(250), Available: 7, URL: "/products/MUG", Picture: "/pictures/MUG.svg", Popularity: 10,
		Variants: []catalog.Variant{
			{SKU: "MUG-RED", Name: "Red", Price: gbp(250), Stock: catalog.Stock{Available: 5}},
			{SKU: "MUG-BLUE", Name: "Blue", Price: gbp(250), Stock: catalog.Stock{}},
			{SKU: "MUG-BIG", Name: "Big, green", Price: gbp(395), Stock: catalog.Stock{Available: 2}},
		},
	})
	return f
}

func gbp(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

func slug(name string) string { return strings.ToLower(strings.ReplaceAll(name, " ", "-")) }

func (f *fakeShop) add(sku, name, category string, price, available, popularity int64) {
	f.names[slug(category)] = category
	f.products = append(f.products, &catalog.Product{
		ID: uuid.NewString(), Code: sku, Name: name, Category: slug(category), Price: gbp(price), Available: available,
		Popularity: popularity, URL: catalog.ProductURL(sku), Picture: catalog.PictureURL(sku),
		Variants: []catalog.Variant{{SKU: sku, Price: gbp(price), Stock: catalog.Stock{Available: available, Total: available}}},
	})
}

func fail(t *problem.Type) error { return problem.Newf(t, "Detail of %s.", t.Slug) }

func (f *fakeShop) codes() []string {
	var codes []string
	for _, p := range f.products {
		codes = append(codes, p.Code)
	}
	slices.Sort(codes)
	return codes
}

func (f *fakeShop) Codes(_ context.Context, from string, limit int, yield func(string, time.Time) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("Codes"); err != nil {
		return err
	}
	for _, code := range f.codes() {
		if code < from {
			continue
		}
		if limit--; limit < 0 {
			return nil
		}
		if err := yield(code, time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeShop) CodePages(_ context.Context, size int) (first []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("CodePages"); err != nil {
		return nil, err
	}
	for i, code := range f.codes() {
		if i%size == 0 {
			first = append(first, code)
		}
	}
	return first, nil
}

func (f *fakeShop) enter(method string) error {
	f.calls[method]++
	return f.fail
}

// failing makes every call fail from now on; nil ends it.
func (f *fakeShop) failing(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

// refusing makes PlaceOrder fail from now on; nil ends it.
func (f *fakeShop) refusing(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

// losing has PlaceOrder do its work and lose its answer from now on; nil ends it.
func (f *fakeShop) losing(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose = err
}

// placing decides what becomes of orders placed from now on.
func (f *fakeShop) placing(place func(*order.Order)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.place = place
}

// placed is the number of orders.
func (f *fakeShop) placed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.orders)
}

// setStock changes how many there are of a product with one variant.
func (f *fakeShop) setStock(sku string, n int64) { f.setHeldStock(sku, n, 0) }

// setHeldStock is setStock, with units that others hold.
func (f *fakeShop) setHeldStock(sku string, n, held int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.products {
		if p.Code == sku {
			f.products[i] = &catalog.Product{
				ID: p.ID, Code: p.Code, Name: p.Name, Category: p.Category, Price: p.Price, Available: n, Held: held, URL: p.URL, Picture: p.Picture, Popularity: p.Popularity,
				Variants: []catalog.Variant{{SKU: sku, Price: p.Price, Stock: catalog.Stock{Available: n, Held: held}}},
			}
		}
	}
}

func (f *fakeShop) ListProducts(_ context.Context, q catalog.ProductQuery) (*catalog.ProductPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("ListProducts"); err != nil {
		return nil, err
	}
	f.last["ListProducts"] = q
	page := &catalog.ProductPage{Facets: &catalog.Facets{}}
	if q.Query == "lanturn" && !q.Exact {
		q.Query, page.SearchedFor, page.Facets.AtLeast = "lantern", "lantern", true
	}
	counts := map[string]int64{}
	for _, p := range f.products {
		if q.Query != "" && !strings.Contains(strings.ToLower(p.Name), strings.ToLower(q.Query)) ||
			q.MinPrice != nil && p.Price.Units < *q.MinPrice || q.MaxPrice != nil && p.Price.Units > *q.MaxPrice ||
			q.InStock && p.Available == 0 {
			continue
		}
		counts[p.Category]++
		if q.Category != "" && q.Category != p.Category {
			continue
		}
		page.Products = append(page.Products, p)
	}
	slices.SortStableFunc(page.Products, func(a, b *catalog.Product) int {
		switch q.Sort {
		case catalog.SortPriceAsc:
			return cmp.Compare(a.Price.Units, b.Price.Units)
		case catalog.SortPriceDesc:
			return cmp.Compare(b.Price.Units, a.Price.Units)
		case catalog.SortName:
			return cmp.Compare(a.Name, b.Name)
		default:
			return cmp.Compare(b.Popularity, a.Popularity)
		}
	})
	page.Facets.Total = int64(len(page.Products))
	for _, s := range slices.Sorted(func(yield func(string) bool) {
		for s := range counts {
			if !yield(s) {
				return
			}
		}
	}) {
		page.Facets.Categories = append(page.Facets.Categories, catalog.Category{Slug: s, Name: f.names[s], Products: counts[s]})
	}
	for _, p := range page.Products {
		if p.Available > 0 {
			page.Facets.InStock++
		}
	}
	page.Facets.Prices = []catalog.PriceBucket{{To: 199, Count: 2}, {From: 200, To: 499, Count: 5}, {From: 500, Count: 1}}
	from := 0
	if q.Cursor != "" {
		if _, err := fmt.Sscanf(q.Cursor, "after-%d", &from); err != nil || from > len(page.Products) {
			return nil, fail(problem.InvalidCursor)
		}
	}
	limit := cmp.Or(q.Limit, catalog.PageSize)
	to := min(from+limit, len(page.Products))
	if to < len(page.Products) {
		page.NextCursor = fmt.Sprintf("after-%d", to)
	}
	page.Products = page.Products[from:to]
	return page, nil
}

func (f *fakeShop) find(sku string) (*catalog.Product, *catalog.Variant) {
	for _, p := range f.products {
		for i := range p.Variants {
			if p.Variants[i].SKU == sku || p.Code == sku {
				return p, &p.Variants[i]
			}
		}
	}
	return nil, nil
}

func (f *fakeShop) Product(_ context.Context, sku string) (*catalog.Product, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("Product"); err != nil {
		return nil, err
	}
	if p, _ := f.find(sku); p != nil {
		return p, nil
	}
	return nil, fail(problem.ProductNotFound)
}

func (f *fakeShop) Related(_ context.Context, sku string, limit int) (*catalog.ProductPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("Related"); err != nil {
		return nil, err
	}
	page := &catalog.ProductPage{}
	for _, p := range f.products {
		if p.Code != sku && len(page.Products) < limit {
			page.Products = append(page.Products, p)
		}
	}
	return page, nil
}

func (f *fakeShop) Categories(context.Context) (*catalog.CategoryList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("Categories"); err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, p := range f.products {
		counts[p.Category]++
	}
	list := &catalog.CategoryList{}
	for s, n := range counts {
		list.Categories = append(list.Categories, catalog.Category{Slug: s, Name: f.names[s], Products: n})
	}
	slices.SortFunc(list.Categories, func(a, b catalog.Category) int { return cmp.Compare(a.Slug, b.Slug) })
	return list, nil
}

func (f *fakeShop) view(id uuid.UUID) *cart.Cart {
	c := f.carts[id]
	now := &cart.Cart{ID: id, Version: c.version, Orderable: len(c.lines) > 0, Total: gbp(0)}
	for _, l := range c.lines {
		line := cart.Line{SKU: l.SKU, Name: l.SKU, Quantity: l.Quantity}
		now.Units += l.Quantity
		p, v := f.find(l.SKU)
		if p == nil {
			line.Gone, now.Orderable = true, false
		} else {
			line.Name, line.ProductURL, line.Picture = lineName(p, l.SKU), catalog.ProductURL(l.SKU), catalog.PictureURL(l.SKU)
			line.UnitPrice, line.SeenPrice, line.Available, line.Held = v.Price, c.seen[l.SKU], v.Stock.Available, v.Stock.Held
			line.Total = gbp(v.Price.Units * l.Quantity)
			now.Total.Units += line.Total.Units
		}
		now.Lines = append(now.Lines, line)
	}
	return now
}

func (f *fakeShop) NewCart(_ context.Context, owner *accessv1.Viewer, lines []cart.LineInput) (*cart.Cart, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("NewCart"); err != nil {
		return nil, err
	}
	for _, l := range lines {
		if p, _ := f.find(l.SKU); p == nil {
			return nil, fail(problem.SKUNotFound)
		}
	}
	id := uuid.New()
	f.carts[id] = &fakeCart{owner: customer(owner), version: 2, lines: lines}
	return f.view(id), nil
}

func (f *fakeShop) Cart(_ context.Context, owner *accessv1.Viewer, id uuid.UUID) (*cart.Cart, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("Cart"); err != nil {
		return nil, err
	}
	if c := f.carts[id]; c == nil || c.owner != customer(owner) {
		return nil, fail(problem.CartNotFound)
	}
	return f.view(id), nil
}

func (f *fakeShop) UnitsAfter(_ context.Context, owner *accessv1.Viewer, id, order uuid.UUID, bought []cart.LineInput) (units int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("UnitsAfter"); err != nil {
		return 0, err
	}
	c := f.carts[id]
	if c == nil || c.owner != customer(owner) {
		return 0, nil
	}
	for _, l := range c.lines {
		for _, b := range bought {
			if b.SKU == l.SKU && !c.removed[order] {
				l.Quantity = max(0, l.Quantity-b.Quantity)
			}
		}
		units += l.Quantity
	}
	return units, nil
}

func (f *fakeShop) SetLines(_ context.Context, in cart.SetLines) (*cart.Cart, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("SetLines"); err != nil {
		return nil, err
	}
	c := f.carts[in.Cart]
	if c == nil || c.owner != customer(in.Owner) {
		return nil, fail(problem.CartNotFound)
	}
	if in.Version != 0 && in.Version != c.version {
		return nil, fail(problem.PreconditionFailed)
	}
	for _, l := range in.Lines {
		c.lines = slices.DeleteFunc(slices.Clone(c.lines), func(have cart.LineInput) bool { return have.SKU == l.SKU && l.Quantity == 0 })
		for i := range c.lines {
			if c.lines[i].SKU == l.SKU {
				c.lines[i].Quantity = l.Quantity
			}
		}
	}
	c.version++
	return f.view(in.Cart), nil
}

func (f *fakeShop) AddLine(_ context.Context, in cart.AddLine) (*cart.Cart, error) {
	owner, id, sku, quantity := in.Owner, in.Cart, in.SKU, in.Quantity
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("AddLine"); err != nil {
		return nil, err
	}
	c := f.carts[id]
	if c == nil || c.owner != customer(owner) {
		return nil, fail(problem.CartNotFound)
	}
	if p, _ := f.find(sku); p == nil {
		return nil, fail(problem.SKUNotFound)
	}
	c.version++
	for i := range c.lines {
		if c.lines[i].SKU == sku {
			if c.lines[i].Quantity+quantity > cart.MaxQuantity {
				return nil, fail(problem.QuantityTooLarge)
			}
			c.lines[i].Quantity += quantity
			return f.view(id), nil
		}
	}
	c.lines = append(c.lines, cart.LineInput{SKU: sku, Quantity: quantity})
	return f.view(id), nil
}

// quote is what a cart costs; an agreement is the index of the quote.
func (f *fakeShop) quote(id uuid.UUID, shown string) *order.Quote {
	now := f.view(id)
	q := &order.Quote{CartVersion: now.Version, Total: now.Total, Agreement: fmt.Sprintf("v1.%d", len(f.quotes))}
	for _, l := range now.Lines {
		q.Lines = append(q.Lines, order.Line{SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Total: l.Total})
	}
	var i int
	if _, err := fmt.Sscanf(shown, "v1.%d", &i); err == nil {
		before := f.quotes[i]
		q.Change = &problem.PriceChange{Before: before.Total, Now: q.Total}
		priced := func(l order.Line) *problem.PricedLine {
			return &problem.PricedLine{Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice}
		}
		for _, l := range q.Lines {
			change := problem.LineChange{SKU: l.SKU, Now: priced(l)}
			if at := slices.IndexFunc(before.Lines, func(b order.Line) bool { return b.SKU == l.SKU }); at >= 0 {
				change.Before = priced(before.Lines[at])
			}
			if change.Before == nil || *change.Before != *change.Now {
				q.Change.Lines = append(q.Change.Lines, change)
			}
		}
		if q.Change.Lines == nil {
			q.Change = nil
		}
	}
	f.quotes = append(f.quotes, q)
	return q
}

func (f *fakeShop) Quote(_ context.Context, v *accessv1.Viewer, id uuid.UUID, shown string) (*order.Quote, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("Quote"); err != nil {
		return nil, err
	}
	if err := f.ended(v); err != nil {
		return nil, err
	}
	c := f.carts[id]
	switch {
	case c == nil || c.owner != customer(v):
		return nil, fail(problem.CartNotFound)
	case len(c.lines) == 0:
		return nil, fail(problem.CartEmpty)
	case shown != "" && !strings.HasPrefix(shown, "v1."):
		return nil, fail(problem.InvalidAgreement)
	}
	return f.quote(id, shown), nil
}

// setPrice changes the price and the name of a product with one variant.
func (f *fakeShop) setPrice(sku, name string, units int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.products {
		if p.Code == sku {
			f.products[i] = &catalog.Product{
				ID: p.ID, Code: p.Code, Name: name, Description: p.Description, Category: p.Category, State: p.State,
				Price: gbp(units), Variants: []catalog.Variant{{SKU: sku, Price: gbp(units), Stock: p.Variants[0].Stock}},
				Available: p.Available, Popularity: p.Popularity, UpdatedAt: p.UpdatedAt, Version: p.Version, URL: p.URL, Picture: p.Picture,
			}
		}
	}
}

func (f *fakeShop) PlaceOrder(_ context.Context, in order.Checkout) (*order.Placed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("PlaceOrder"); err != nil {
		return nil, err
	}
	if f.refuse != nil {
		return nil, f.refuse
	}
	if o := f.byKey[in.IdempotencyKey]; o != nil {
		if o.Email != in.Email || o.Address != in.Address || f.agreed[in.IdempotencyKey] != in.Agreement {
			reused := problem.New(problem.IdempotencyKeyReused)
			reused.Keyed = &problem.Keyed{OrderID: o.ID.String(), SessionSince: f.begun[o.ID]}
			return nil, reused
		}
		return &order.Placed{Order: o, Replayed: true, SessionSince: f.begun[o.ID]}, nil
	}
	if err := f.ended(in.Viewer); err != nil {
		return nil, err
	}
	c := f.carts[in.Cart]
	switch {
	case c == nil || c.owner != customer(in.Viewer):
		return nil, fail(problem.CartNotFound)
	case len(c.lines) == 0:
		return nil, fail(problem.CartEmpty)
	case c.version != in.CartVersion:
		return nil, fail(problem.CartVersionConflict)
	}
	now := f.view(in.Cart)
	if q := f.quote(in.Cart, in.Agreement); q.Change != nil {
		changed := problem.New(problem.PriceChanged)
		changed.PriceChange = q.Change
		return nil, changed
	}
	o := &order.Order{
		ID: uuid.New(), Number: fmt.Sprintf("S-7K3M-%04d", len(f.orders)+1), State: order.StatePending, Total: now.Total, Refunded: gbp(0),
		Email: in.Email, Address: in.Address, CartID: in.Cart.String(), PlacedAt: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), Version: 1,
	}
	for _, l := range now.Lines {
		o.Lines = append(o.Lines, order.Line{SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Total: l.Total})
	}
	f.orders[o.ID], f.owners[o.ID], f.byKey[in.IdempotencyKey] = o, customer(in.Viewer), o
	f.agreed[in.IdempotencyKey] = in.Agreement
	if in.RenewSession {
		f.begun[o.ID] = f.endSessions(in.Viewer)
	}
	f.listed = append([]uuid.UUID{o.ID}, f.listed...)
	if f.place != nil {
		f.place(o)
	} else {
		o.State = order.StatePaid
		c.lines, c.version, c.removed = nil, c.version+1, map[uuid.UUID]bool{o.ID: true}
	}
	if f.lose != nil {
		return nil, f.lose
	}
	return &order.Placed{Order: o, SessionSince: f.begun[o.ID]}, nil
}

// ended is the error for a session that has ended.
func (f *fakeShop) ended(v *accessv1.Viewer) error {
	if v.GetCustomer().GetIssuedAt().AsTime().Before(f.since[customer(v)]) {
		return fail(problem.SessionEnded)
	}
	return nil
}

func (f *fakeShop) endSessions(v *accessv1.Viewer) time.Time {
	since, after := time.Now().UTC().Truncate(time.Microsecond), v.GetCustomer().GetIssuedAt().AsTime()
	if !since.After(after) {
		since = after.Add(time.Microsecond)
	}
	f.since[customer(v)] = since
	return since
}

func (f *fakeShop) EndSessions(_ context.Context, v *accessv1.Viewer, _ uuid.UUID) (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("EndSessions"); err != nil {
		return time.Time{}, err
	}
	if err := f.ended(v); err != nil {
		return time.Time{}, err
	}
	return f.endSessions(v), nil
}

// setOrder changes an order, as the order service would.
func (f *fakeShop) setOrder(id uuid.UUID, change func(*order.Order)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := *f.orders[id]
	change(&o)
	o.Version++
	f.orders[id] = &o
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeShop) Order(_ context.Context, v *accessv1.Viewer, id uuid.UUID) (*order.Order, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("Order"); err != nil {
		return nil, err
	}
	if err := f.ended(v); err != nil {
		return nil, err
	}
	if o := f.orders[id]; o != nil && f.owners[id] == customer(v) {
		return o, nil
	}
	return nil, fail(problem.OrderNotFound)
}

func (f *fakeShop) Orders(_ context.Context, v *accessv1.Viewer, _ int, cursor string) (*order.Page, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("Orders"); err != nil {
		return nil, err
	}
	if err := f.ended(v); err != nil {
		return nil, err
	}
	if cursor != "" {
		return nil, fail(problem.InvalidCursor)
	}
	page := &order.Page{}
	for _, id := range f.listed {
		if f.owners[id] == customer(v) {
			page.Orders = append(page.Orders, f.orders[id])
		}
	}
	return page, nil
}

func (f *fakeShop) CancelOrder(_ context.Context, v *accessv1.Viewer, id uuid.UUID) (*order.Order, error) {
	f.mu.Lock()
	o := f.orders[id]
	err := f.enter("CancelOrder")
	f.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case o == nil || f.owners[id] != customer(v):
		return nil, fail(problem.OrderNotFound)
	case o.State == order.StatePaid || o.State == order.StateCapturing:
		return nil, fail(problem.OrderNotCancellable)
	}
	f.setOrder(id, func(o *order.Order) { o.State, o.CancelReason = order.StateCancelled, "CUSTOMER" })
	return o, nil
}

func (f *fakeShop) WatchOrder(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) iter.Seq2[*order.Order, error] {
	return func(yield func(*order.Order, error) bool) {
		for {
			f.mu.Lock()
			o, changed := f.orders[id], f.changed
			f.mu.Unlock()
			if o == nil || f.owners[id] != customer(v) {
				yield(nil, fail(problem.OrderNotFound))
				return
			}
			short := *o
			short.Lines = nil
			if !yield(&short, nil) || o.State.Terminal() {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}
