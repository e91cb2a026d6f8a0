package gateway

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The services, as simple as their contract allows, in memory.

// refusedSKU is refused about a SKU.
func refusedSKU(code codes.Code, reason, sku string) error {
	st, err := status.New(code, "secret internals").WithDetails(&errdetails.ErrorInfo{Reason: reason, Metadata: map[string]string{"skus": sku}})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// refusedCode is refused about a product's code.
func refusedCode(code codes.Code, reason, about string) error {
	st, err := status.New(code, "secret internals").WithDetails(&errdetails.ErrorInfo{Reason: reason, Metadata: map[string]string{"codes": about}})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func refused(code codes.Code, reason string, details ...proto.Message) error {
	all := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: "set by inDomain"}}
	for _, d := range details {
		all = append(all, protoadapt.MessageV1Of(d))
	}
	st, err := status.New(code, "secret internals of "+reason).WithDetails(all...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// refusedPrice refuses what cannot be paid, as the catalog does: here 51.25.
func refusedPrice(price *moneyv1.Money, field string) error {
	if price.GetMinorUnits() != 5125 {
		return nil
	}
	return refused(codes.InvalidArgument, "INVALID", &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: field, Description: "cannot be paid exactly"},
	}})
}

type fakeCatalog struct {
	catalogv1.UnimplementedCatalogServiceServer
	mu       sync.Mutex
	products []*catalogv1.Product
	upserts  int
	last     *catalogv1.ProductInput // of the last upsert
	reads    atomic.Int64
	broken   atomic.Pointer[error] // answers GetProduct, if set
}

func gbp(units int64) *moneyv1.Money { return &moneyv1.Money{MinorUnits: units, Currency: "GBP"} }

func newFakeCatalog() *fakeCatalog {
	c := &fakeCatalog{}
	for i := range 30 {
		sku := fmt.Sprintf("SKU%02d", i)
		c.products = append(c.products, &catalogv1.Product{
			Id: uuid.NewString(), Code: sku, Name: fmt.Sprintf("White <Hanging> Heart & Co %02d", i), Category: "lighting",
			Popularity: int64(100 - i), UpdatedAt: timestamppb.Now(), Version: 1, Revision: 1,
			Variants: []*catalogv1.Variant{{
				Sku: sku, Price: gbp(int64(100 + i)), Stock: &catalogv1.Stock{Total: 10, Available: 10}, ProductName: fmt.Sprintf("Heart %02d", i),
			}},
		})
	}
	return c
}

func (c *fakeCatalog) find(sku string) *catalogv1.Product {
	for _, p := range c.products {
		if p.Code == sku {
			return p
		}
	}
	return nil
}

// seenBy is a product as the viewer of a request sees it; nil for one that they don't.
func seenBy(r interface{ GetViewer() *accessv1.Viewer }, p *catalogv1.Product) *catalogv1.Product {
	if p == nil {
		return nil
	}
	p = proto.Clone(p).(*catalogv1.Product)
	if r.GetViewer().GetOperator() != nil {
		return p
	}
	was := func(s catalogv1.ProductState) bool { return s != catalogv1.ProductState_PRODUCT_STATE_DRAFT }
	is := func(s catalogv1.ProductState) bool {
		return was(s) && s != catalogv1.ProductState_PRODUCT_STATE_ARCHIVED
	}
	var sold, retired []*catalogv1.Variant
	for _, v := range p.Variants {
		if is(p.State) && is(v.State) {
			sold = append(sold, v)
		}
		if was(p.State) && was(v.State) {
			retired = append(retired, v)
		}
	}
	if p.Variants = sold; sold == nil {
		if p.Variants = retired; retired == nil {
			return nil
		}
		p.State = catalogv1.ProductState_PRODUCT_STATE_ARCHIVED
		for _, v := range retired {
			v.Stock = &catalogv1.Stock{}
		}
	}
	return p
}

func (c *fakeCatalog) ListProducts(_ context.Context, r *catalogv1.ListProductsRequest) (*catalogv1.ListProductsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads.Add(1)
	from := 0
	if r.Cursor != "" {
		if n, _ := fmt.Sscanf(r.Cursor, "c%d", &from); n != 1 || from < 0 || from > len(c.products) {
			return nil, refused(codes.InvalidArgument, "INVALID_CURSOR")
		}
	}
	to := min(from+int(r.PageSize), len(c.products))
	res := &catalogv1.ListProductsResponse{}
	for _, p := range c.products[from:to] {
		if p := seenBy(r, p); p != nil {
			res.Products = append(res.Products, p)
		}
	}
	if to < len(c.products) {
		res.NextCursor = fmt.Sprintf("c%d", to)
	}
	if r.WithFacets {
		res.Facets = &catalogv1.Facets{
			Total: int64(len(c.products)), InStock: 30, Categories: []*catalogv1.Category{{Slug: "lighting", Name: "Lighting", ProductCount: 30}},
			Prices: []*catalogv1.PriceBucket{{From: 0, To: 100, Count: 1}, {From: 101, Count: 29}},
		}
	}
	return res, nil
}

func (c *fakeCatalog) GetProduct(_ context.Context, r *catalogv1.GetProductRequest) (*catalogv1.GetProductResponse, error) {
	c.reads.Add(1)
	if err := c.broken.Load(); err != nil {
		return nil, *err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := seenBy(r, c.find(r.GetSku()))
	if p == nil {
		return nil, refused(codes.NotFound, "PRODUCT_NOT_FOUND")
	}
	return &catalogv1.GetProductResponse{Product: p}, nil
}

func (c *fakeCatalog) GetVariants(_ context.Context, r *catalogv1.GetVariantsRequest) (*catalogv1.GetVariantsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	res := &catalogv1.GetVariantsResponse{}
	for _, sku := range r.Skus {
		if p := c.find(sku); p != nil && (p.State == catalogv1.ProductState_PRODUCT_STATE_ARCHIVED || p.Variants[0].State == catalogv1.ProductState_PRODUCT_STATE_ARCHIVED) {
			res.Missing, res.Retired = append(res.Missing, sku), append(res.Retired, proto.Clone(p.Variants[0]).(*catalogv1.Variant))
		} else if p != nil {
			res.Variants = append(res.Variants, proto.Clone(p.Variants[0]).(*catalogv1.Variant))
		} else {
			res.Missing = append(res.Missing, sku)
		}
	}
	return res, nil
}

func (c *fakeCatalog) ListCategories(context.Context, *catalogv1.ListCategoriesRequest) (*catalogv1.ListCategoriesResponse, error) {
	return &catalogv1.ListCategoriesResponse{Categories: []*catalogv1.Category{{Slug: "lighting", Name: "Lighting", ProductCount: 30}}}, nil
}

func (c *fakeCatalog) ListRelated(_ context.Context, r *catalogv1.ListRelatedRequest) (*catalogv1.ListRelatedResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	res := &catalogv1.ListRelatedResponse{}
	for _, p := range c.products[:r.Limit] {
		res.Products = append(res.Products, proto.Clone(p).(*catalogv1.Product))
	}
	return res, nil
}

func (c *fakeCatalog) PutProduct(_ context.Context, r *catalogv1.PutProductRequest) (*catalogv1.PutProductResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, v := range r.Product.Variants {
		if err := refusedPrice(v.Price, fmt.Sprintf("product.variants[%d].price", i)); err != nil {
			return nil, err
		}
	}
	p, must := c.find(r.Product.Code), r.Precondition
	if must.Absent && p != nil || must.Exists && p == nil || len(must.Revisions) > 0 && !slices.Contains(must.Revisions, p.GetRevision()) {
		return nil, refused(codes.FailedPrecondition, "PRECONDITION_FAILED")
	}
	if _, err := c.upsert(&catalogv1.UpsertProductsRequest{Products: []*catalogv1.ProductInput{r.Product}}); err != nil {
		return nil, err
	}
	written := c.find(r.Product.Code)
	return &catalogv1.PutProductResponse{Product: proto.Clone(written).(*catalogv1.Product), Created: p == nil}, nil
}

func (c *fakeCatalog) SetState(_ context.Context, r *catalogv1.SetStateRequest) (*catalogv1.SetStateResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, v, err := c.named(r.Code, r.Sku, r.Precondition)
	if err != nil {
		return nil, err
	}
	if r.State == catalogv1.ProductState_PRODUCT_STATE_DRAFT {
		return nil, refusedCode(codes.FailedPrecondition, "NOT_A_DRAFT_AGAIN", r.Code)
	}
	if v != nil {
		v.State = r.State
	} else {
		p.State = r.State
	}
	p.Revision++
	return &catalogv1.SetStateResponse{Product: proto.Clone(p).(*catalogv1.Product)}, nil
}

func (c *fakeCatalog) DeleteProduct(_ context.Context, r *catalogv1.DeleteProductRequest) (*catalogv1.DeleteProductResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, v, err := c.named(r.Code, r.Sku, r.Precondition)
	switch {
	case err != nil:
		return nil, err
	case v != nil && len(p.Variants) == 1:
		return nil, refusedSKU(codes.FailedPrecondition, "LAST_VARIANT", r.Sku)
	case v != nil:
		p.Variants = slices.DeleteFunc(p.Variants, func(w *catalogv1.Variant) bool { return w == v })
		return &catalogv1.DeleteProductResponse{}, nil
	case p.Variants[0].Stock.Committed > 0:
		return nil, refusedSKU(codes.FailedPrecondition, "WAS_ORDERED", p.Variants[0].Sku)
	}
	c.products = slices.DeleteFunc(c.products, func(q *catalogv1.Product) bool { return q == p })
	return &catalogv1.DeleteProductResponse{}, nil
}

// named is a product, and its variant of a SKU, if one is given.
func (c *fakeCatalog) named(code, sku string, must *catalogv1.Precondition) (*catalogv1.Product, *catalogv1.Variant, error) {
	p := c.find(code)
	if p == nil {
		return nil, nil, refused(codes.NotFound, "PRODUCT_NOT_FOUND")
	}
	if len(must.Revisions) > 0 && !slices.Contains(must.Revisions, p.Revision) {
		return nil, nil, refused(codes.FailedPrecondition, "PRECONDITION_FAILED")
	}
	if sku == "" {
		return p, nil, nil
	}
	for _, v := range p.Variants {
		if v.Sku == sku {
			return p, v, nil
		}
	}
	return nil, nil, refusedSKU(codes.NotFound, "SKU_NOT_FOUND", sku)
}

func (c *fakeCatalog) UpsertProducts(_ context.Context, r *catalogv1.UpsertProductsRequest) (*catalogv1.UpsertProductsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.upsert(r)
}

func (c *fakeCatalog) upsert(r *catalogv1.UpsertProductsRequest) (*catalogv1.UpsertProductsResponse, error) {
	c.upserts++
	res := &catalogv1.UpsertProductsResponse{}
	for i, in := range r.Products {
		c.last = in
		res.Variants += int64(len(in.Variants))
		for j, v := range in.Variants {
			if err := refusedPrice(v.Price, fmt.Sprintf("products[%d].variants[%d].price", i, j)); err != nil {
				return nil, err
			}
		}
		if in.Code == "TAKEN-CODE" {
			return nil, refusedCode(codes.AlreadyExists, "CODE_TAKEN", in.Code)
		}
		if sku, shown := strings.CutPrefix(in.Code, "SHOWN-"); shown {
			return nil, refusedCode(codes.FailedPrecondition, "NOT_A_DRAFT_AGAIN", sku)
		}
		if in.Code == "TAKEN" {
			return nil, refusedSKU(codes.AlreadyExists, "SKU_TAKEN", in.Variants[0].Sku)
		}
		if p := c.find(in.Code); p != nil {
			p.Name, p.Variants[0].Price = in.Name, in.Variants[0].Price
			p.Revision++
			res.Updated++
			continue
		}
		c.products = append(c.products, &catalogv1.Product{
			Id: uuid.NewString(), Code: in.Code, Name: in.Name, Category: in.Category, UpdatedAt: timestamppb.Now(), Revision: 1,
			Variants: []*catalogv1.Variant{{Sku: in.Variants[0].Sku, Price: in.Variants[0].Price, Stock: &catalogv1.Stock{}}},
		})
		res.Created++
	}
	return res, nil
}

func (c *fakeCatalog) AdjustStock(_ context.Context, r *catalogv1.AdjustStockRequest) (*catalogv1.AdjustStockResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	res := &catalogv1.AdjustStockResponse{}
	for _, ch := range r.Changes {
		p := c.find(ch.Sku)
		if p == nil {
			return nil, refusedSKU(codes.NotFound, "SKU_NOT_FOUND", ch.Sku)
		}
		s := p.Variants[0].Stock
		if s.Available+ch.Delta < 0 {
			return nil, refused(codes.FailedPrecondition, "INSUFFICIENT_STOCK",
				&catalogv1.Shortage{Sku: ch.Sku, Requested: -ch.Delta, Available: s.Available})
		}
		s.Total += ch.Delta
		s.Available += ch.Delta
		res.Variants = append(res.Variants, proto.Clone(p.Variants[0]).(*catalogv1.Variant))
	}
	return res, nil
}

func (c *fakeCatalog) SetPrices(_ context.Context, r *catalogv1.SetPricesRequest) (*catalogv1.SetPricesResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	res := &catalogv1.SetPricesResponse{}
	for i, ch := range r.Changes {
		if err := refusedPrice(ch.Price, fmt.Sprintf("changes[%d].price", i)); err != nil {
			return nil, err
		}
		p := c.find(ch.Sku)
		if p == nil {
			return nil, refusedSKU(codes.NotFound, "SKU_NOT_FOUND", ch.Sku)
		}
		p.Variants[0].Price = ch.Price
		res.Variants = append(res.Variants, proto.Clone(p.Variants[0]).(*catalogv1.Variant))
	}
	return res, nil
}

type fakeCart struct {
	cartv1.UnimplementedCartServiceServer
	mu    sync.Mutex
	carts map[string]*cartv1.Cart
	// lost makes that many writes that are made be answered as unavailable.
	lost int
	made map[string]bool // ids of changes
	// older is of a version that makes no cart with lines.
	older bool
	// removed has the orders whose units have left their cart.
	removed map[string]bool
}

func (c *fakeCart) CreateCart(_ context.Context, r *cartv1.CreateCartRequest) (*cartv1.CreateCartResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cart := &cartv1.Cart{Id: r.CartId, OwnerId: customer(r), Version: 1, UpdatedAt: timestamppb.Now()}
	c.carts[r.CartId] = cart
	return &cartv1.CreateCartResponse{Cart: proto.Clone(cart).(*cartv1.Cart)}, nil
}

// customer is the shopper for whom a request is; "" for an operator.
func customer(r interface{ GetViewer() *accessv1.Viewer }) string {
	return r.GetViewer().GetCustomer().GetId()
}

func (c *fakeCart) get(id, owner string) (*cartv1.Cart, error) {
	cart := c.carts[id]
	if cart == nil || cart.OwnerId != owner {
		return nil, refused(codes.NotFound, "CART_NOT_FOUND")
	}
	return cart, nil
}

func (c *fakeCart) GetCart(_ context.Context, r *cartv1.GetCartRequest) (*cartv1.GetCartResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cart, err := c.get(r.CartId, customer(r))
	if err != nil {
		return nil, err
	}
	return &cartv1.GetCartResponse{Cart: proto.Clone(cart).(*cartv1.Cart), OrderRemoved: c.removed[r.OrderId]}, nil
}

func (c *fakeCart) SetLines(_ context.Context, r *cartv1.SetLinesRequest) (*cartv1.SetLinesResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Create && !c.older && c.carts[r.CartId] == nil {
		c.carts[r.CartId] = &cartv1.Cart{Id: r.CartId, OwnerId: customer(r), Version: 1, UpdatedAt: timestamppb.Now()}
	}
	cart, err := c.get(r.CartId, customer(r))
	if err != nil {
		return nil, err
	}
	if c.made[r.ChangeId] {
		return &cartv1.SetLinesResponse{Cart: proto.Clone(cart).(*cartv1.Cart)}, nil
	}
	if r.ExpectedVersion != nil && *r.ExpectedVersion != cart.Version {
		return nil, refused(codes.Aborted, "VERSION_CONFLICT")
	}
	if r.Replace {
		cart.Lines = nil
	}
	for _, l := range r.Lines {
		at := -1
		for i := range cart.Lines {
			if cart.Lines[i].Sku == l.Sku {
				at = i
			}
		}
		switch {
		case l.Quantity == 0 && at >= 0:
			cart.Lines = append(cart.Lines[:at], cart.Lines[at+1:]...)
		case l.Quantity == 0:
		case at >= 0:
			cart.Lines[at].Quantity = l.Quantity
		default:
			cart.Lines = append(cart.Lines, &cartv1.CartLine{Sku: l.Sku, Quantity: l.Quantity, SeenUnitPrice: l.SeenUnitPrice})
		}
	}
	cart.Version++
	c.made[r.ChangeId] = true
	if c.lost > 0 {
		c.lost--
		return nil, refused(codes.Unavailable, "UNAVAILABLE")
	}
	return &cartv1.SetLinesResponse{Cart: proto.Clone(cart).(*cartv1.Cart)}, nil
}

func (c *fakeCart) AddLine(_ context.Context, r *cartv1.AddLineRequest) (*cartv1.AddLineResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cart, err := c.get(r.CartId, customer(r))
	if err != nil {
		return nil, err
	}
	if c.made[r.ChangeId] {
		return &cartv1.AddLineResponse{Cart: proto.Clone(cart).(*cartv1.Cart)}, nil
	}
	if r.ExpectedVersion != nil && *r.ExpectedVersion != cart.Version {
		return nil, refused(codes.Aborted, "VERSION_CONFLICT")
	}
	var line *cartv1.CartLine
	for _, l := range cart.Lines {
		if l.Sku == r.Sku {
			line = l
		}
	}
	if line == nil {
		line = &cartv1.CartLine{Sku: r.Sku, SeenUnitPrice: r.SeenUnitPrice}
		cart.Lines = append(cart.Lines, line)
	}
	if line.Quantity+r.Delta > 100_000 {
		return nil, refused(codes.FailedPrecondition, "QUANTITY_TOO_LARGE")
	}
	line.Quantity += r.Delta
	cart.Version++
	c.made[r.ChangeId] = true
	if c.lost > 0 {
		c.lost--
		return nil, refused(codes.Unavailable, "UNAVAILABLE")
	}
	return &cartv1.AddLineResponse{Cart: proto.Clone(cart).(*cartv1.Cart)}, nil
}

// ExportCustomer has pages of one cart.
func (c *fakeCart) ExportCustomer(_ context.Context, r *cartv1.ExportCustomerRequest) (*cartv1.ExportCustomerResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	res := &cartv1.ExportCustomerResponse{}
	for _, id := range slices.Sorted(maps.Keys(c.carts)) {
		if c.carts[id].GetOwnerId() != r.GetCustomerId() || id <= r.GetAfterCartId() {
			continue
		}
		if res.More = len(res.Carts) > 0; res.More {
			break
		}
		res.Carts = append(res.Carts, proto.CloneOf(c.carts[id]))
	}
	return res, nil
}

type fakeOrder struct {
	orderv1.UnimplementedOrderServiceServer
	mu     sync.Mutex
	carts  *fakeCart
	orders map[string]*orderv1.Order // by id
	keys   map[string]*orderv1.Order // by customer and key, as first answered
	hashes map[string][]byte
	filter *orderv1.OrderFilter       // of the last ListOrders
	lists  int                        // how many there were
	placed *orderv1.PlaceOrderRequest // the last that made an order
	ended  map[string]bool            // customers whose sessions have ended
	// refuse answers the next PlaceOrder, if set.
	refuse error
	// changes are sent to who watches, one for each that is received.
	changes  chan *orderv1.Order
	watching atomic.Int64
}

func (o *fakeOrder) PlaceOrder(_ context.Context, r *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.refuse; err != nil {
		o.refuse = nil
		return nil, err
	}
	key := customer(r) + "/" + r.IdempotencyKey
	if before := o.keys[key]; before != nil {
		if !bytes.Equal(o.hashes[key], r.RequestHash) {
			return nil, refused(codes.InvalidArgument, "IDEMPOTENCY_KEY_REUSED")
		}
		return &orderv1.PlaceOrderResponse{Order: proto.Clone(before).(*orderv1.Order), Replayed: true}, nil
	}
	o.carts.mu.Lock()
	defer o.carts.mu.Unlock()
	cart, err := o.carts.get(r.CartId, customer(r))
	if err != nil {
		return nil, err
	}
	if len(cart.Lines) == 0 {
		return nil, refused(codes.FailedPrecondition, "CART_EMPTY")
	}
	o.placed = r
	order := &orderv1.Order{
		Id: uuid.NewString(), Number: "S-7K3M-9QXV", CustomerId: customer(r), State: orderv1.OrderState_ORDER_STATE_PENDING,
		Email: r.Email, ShippingAddress: r.ShippingAddress, CartId: r.CartId, PlacedAt: timestamppb.Now(), Version: 1,
		Total: gbp(0), Refunded: gbp(0),
	}
	for _, l := range cart.Lines {
		order.Lines = append(order.Lines, &orderv1.OrderLine{Sku: l.Sku, Name: l.Sku, Quantity: l.Quantity, UnitPrice: gbp(100), Total: gbp(100 * l.Quantity)})
		order.Total.MinorUnits += 100 * l.Quantity
	}
	if r.Wait.AsDuration() > 0 {
		order.State, order.Version, order.SettledAt = orderv1.OrderState_ORDER_STATE_PAID, 5, timestamppb.Now()
	}
	o.orders[order.Id] = order
	o.keys[key] = proto.Clone(order).(*orderv1.Order)
	o.hashes[key] = r.RequestHash
	res := &orderv1.PlaceOrderResponse{Order: proto.Clone(order).(*orderv1.Order)}
	if r.GetRenewSession() {
		res.SessionSince = timestamppb.New(r.GetViewer().GetCustomer().GetIssuedAt().AsTime().Add(time.Second))
	}
	return res, nil
}

func (o *fakeOrder) QuoteOrder(_ context.Context, r *orderv1.QuoteOrderRequest) (*orderv1.QuoteOrderResponse, error) {
	o.carts.mu.Lock()
	defer o.carts.mu.Unlock()
	cart, err := o.carts.get(r.CartId, customer(r))
	if err != nil {
		return nil, err
	}
	if len(cart.Lines) == 0 {
		return nil, refused(codes.FailedPrecondition, "CART_EMPTY")
	}
	q := &orderv1.Quote{CartVersion: cart.Version, Total: gbp(0), Agreement: "v1.shown", Digest: []byte{0xca, 0xfe}}
	for _, l := range cart.Lines {
		q.Lines = append(q.Lines, &orderv1.OrderLine{Sku: l.Sku, Name: l.Sku, Quantity: l.Quantity, UnitPrice: gbp(100), Total: gbp(100 * l.Quantity)})
		q.Total.MinorUnits += 100 * l.Quantity
	}
	return &orderv1.QuoteOrderResponse{Quote: q}, nil
}

func (o *fakeOrder) get(id, customer string) (*orderv1.Order, error) {
	order := o.orders[id]
	if order == nil || customer != "" && order.CustomerId != customer {
		return nil, refused(codes.NotFound, "ORDER_NOT_FOUND")
	}
	return order, nil
}

func (o *fakeOrder) GetOrder(_ context.Context, r *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order, err := o.get(r.OrderId, customer(r))
	if err != nil {
		return nil, err
	}
	return &orderv1.GetOrderResponse{Order: proto.Clone(order).(*orderv1.Order)}, nil
}

func (o *fakeOrder) ListOrders(_ context.Context, r *orderv1.ListOrdersRequest) (*orderv1.ListOrdersResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.filter = r.GetFilter()
	if r.Cursor != "" && r.Cursor != "next" {
		return nil, refused(codes.InvalidArgument, "INVALID_CURSOR")
	}
	res := &orderv1.ListOrdersResponse{}
	o.lists++
	if ids := r.GetFilter().GetIds(); len(ids) > 0 {
		for _, id := range ids { // a page has one: the others follow
			if order := o.orders[id]; order != nil && (r.GetCursor() == "") == (id == ids[0]) {
				res.Orders = append(res.Orders, proto.CloneOf(order))
			}
		}
		if r.GetCursor() == "" && len(ids) > 1 {
			res.NextCursor = "next"
		}
		return res, nil
	}
	for _, order := range o.orders {
		if customer(r) == "" || order.CustomerId == customer(r) {
			res.Orders = append(res.Orders, proto.Clone(order).(*orderv1.Order))
			if r.Cursor == "" && len(o.orders) > 1 {
				res.NextCursor = "next"
			}
		}
	}
	return res, nil
}

func (o *fakeOrder) FindCustomers(_ context.Context, r *orderv1.FindCustomersRequest) (*orderv1.FindCustomersResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	res := &orderv1.FindCustomersResponse{}
	for _, order := range o.orders {
		if order.GetEmail() == r.GetEmail() {
			res.Customers = append(res.Customers, &orderv1.FoundCustomer{CustomerId: order.GetCustomerId(), Orders: 1, LastPlacedAt: order.GetPlacedAt()})
		}
	}
	return res, nil
}

// held are a customer's orders, in the order of their ids.
func (o *fakeOrder) held(id string) (held []*orderv1.Order) {
	for _, key := range slices.Sorted(maps.Keys(o.orders)) {
		if o.orders[key].GetCustomerId() == id {
			held = append(held, o.orders[key])
		}
	}
	return held
}

// ExportCustomer has pages of one order.
func (o *fakeOrder) ExportCustomer(_ context.Context, r *orderv1.ExportCustomerRequest) (*orderv1.ExportCustomerResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if customer(r) != "" && o.ended[r.GetCustomerId()] {
		return nil, refused(codes.Unauthenticated, "SESSION_ENDED")
	}
	res := &orderv1.ExportCustomerResponse{CustomerId: r.GetCustomerId()}
	held := o.held(r.GetCustomerId())
	if len(held) == 0 && !r.GetHeldElsewhere() {
		return nil, refused(codes.NotFound, "CUSTOMER_NOT_FOUND")
	}
	for i, order := range held {
		if r.GetCursor() == "" || order.GetId() == r.GetCursor() {
			res.Orders = append(res.Orders, &orderv1.CustomerOrder{Order: proto.CloneOf(order), PaymentMethod: "pm_card_visa", IdempotencyKey: "k"})
			if i+1 < len(held) {
				res.NextCursor = held[i+1].GetId()
			}
			break
		}
	}
	return res, nil
}

func (o *fakeOrder) EraseCustomer(_ context.Context, r *orderv1.EraseCustomerRequest) (*orderv1.EraseCustomerResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if customer(r) != "" && o.ended[r.GetCustomerId()] {
		return nil, refused(codes.Unauthenticated, "SESSION_ENDED")
	}
	held := o.held(r.GetCustomerId())
	if len(held) == 0 {
		return nil, refused(codes.NotFound, "CUSTOMER_NOT_FOUND")
	}
	for _, order := range held {
		if order.GetSettledAt() == nil {
			return nil, refused(codes.FailedPrecondition, "CUSTOMER_HAS_OPEN_ORDERS")
		}
	}
	for _, order := range held {
		order.Email, order.ShippingAddress = "", &orderv1.Address{Country: order.GetShippingAddress().GetCountry()}
		order.ErasedAt = timestamppb.Now()
	}
	if o.ended == nil {
		o.ended = map[string]bool{}
	}
	o.ended[r.GetCustomerId()] = true
	return &orderv1.EraseCustomerResponse{Erasure: &orderv1.Erasure{RequestedAt: timestamppb.Now(), FinishedAt: timestamppb.Now()}}, nil
}

func (o *fakeOrder) EndSessions(_ context.Context, r *orderv1.EndSessionsRequest) (*orderv1.EndSessionsResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if own := customer(r); own != "" && own != r.GetCustomerId() || r.GetCustomerId() == "" {
		return nil, refused(codes.InvalidArgument, "INVALID")
	}
	if o.ended == nil {
		o.ended = map[string]bool{}
	}
	if customer(r) != "" && o.ended[r.GetCustomerId()] {
		return nil, refused(codes.Unauthenticated, "SESSION_ENDED")
	}
	o.ended[r.GetCustomerId()] = true
	return &orderv1.EndSessionsResponse{Since: timestamppb.Now()}, nil
}

func (o *fakeOrder) CancelOrder(_ context.Context, r *orderv1.CancelOrderRequest) (*orderv1.CancelOrderResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order, err := o.get(r.OrderId, customer(r))
	if err != nil {
		return nil, err
	}
	if order.State == orderv1.OrderState_ORDER_STATE_PAID {
		return nil, refused(codes.FailedPrecondition, "ORDER_NOT_CANCELLABLE")
	}
	order.State, order.CancelReason = orderv1.OrderState_ORDER_STATE_CANCELLING, orderv1.CancelReason_CANCEL_REASON_CUSTOMER
	return &orderv1.CancelOrderResponse{Order: proto.Clone(order).(*orderv1.Order)}, nil
}

func (o *fakeOrder) RefundOrder(_ context.Context, r *orderv1.RefundOrderRequest) (*orderv1.RefundOrderResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order, err := o.get(r.OrderId, "")
	if err != nil {
		return nil, err
	}
	if order.State != orderv1.OrderState_ORDER_STATE_PAID {
		return nil, refused(codes.FailedPrecondition, "ORDER_NOT_PAID")
	}
	for _, l := range r.Lines {
		if l.Sku == "NOPE" {
			return nil, refusedSKU(codes.FailedPrecondition, "REFUND_EXCEEDS_ORDER", l.Sku)
		}
	}
	refund := &orderv1.OrderRefund{
		Id: uuid.NewString(), State: orderv1.OrderRefundState_ORDER_REFUND_STATE_PENDING, Amount: gbp(100), Lines: r.Lines,
		Restock: r.Restock, Reason: r.Reason, CreatedAt: timestamppb.Now(),
	}
	if r.Wait.AsDuration() > 0 {
		refund.State = orderv1.OrderRefundState_ORDER_REFUND_STATE_SUCCEEDED
	}
	return &orderv1.RefundOrderResponse{Refund: refund}, nil
}

func (o *fakeOrder) WatchOrder(r *orderv1.WatchOrderRequest, stream orderv1.OrderService_WatchOrderServer) error {
	o.watching.Add(1)
	defer o.watching.Add(-1)
	o.mu.Lock()
	order, err := o.get(r.OrderId, customer(r))
	if order != nil {
		order = proto.Clone(order).(*orderv1.Order)
	}
	o.mu.Unlock()
	for err == nil {
		order.Lines = nil
		if err = stream.Send(&orderv1.WatchOrderResponse{Order: order}); err != nil || order.State == orderv1.OrderState_ORDER_STATE_PAID {
			return err
		}
		select {
		case next := <-o.changes:
			next.Id, next.Number, next.Total = order.Id, order.Number, order.Total
			order = next
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
	return err
}

// fakeAnswers keeps answers in memory.
type fakeAnswers struct {
	answerv1.UnimplementedAnswerServiceServer
	mu   sync.Mutex
	kept map[string]*keptAnswer
	// lost makes that many answers not be kept.
	lost int
}

type keptAnswer struct {
	hash   []byte
	id     string
	busy   bool
	answer *answerv1.Answer
}

func (a *fakeAnswers) Begin(_ context.Context, r *answerv1.BeginRequest) (*answerv1.BeginResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.kept[r.GetKey().String()]
	switch {
	case kept == nil:
		kept = &keptAnswer{hash: r.GetRequestHash(), id: uuid.NewString()}
		a.kept[r.GetKey().String()] = kept
	case !bytes.Equal(kept.hash, r.GetRequestHash()):
		return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_ANOTHER_REQUEST}, nil
	case kept.answer != nil:
		return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_COMPLETED, Answer: kept.answer}, nil
	case kept.busy:
		return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_IN_FLIGHT}, nil
	}
	kept.busy = true
	return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_BEGUN, OperationId: kept.id}, nil
}

func (a *fakeAnswers) Complete(_ context.Context, r *answerv1.CompleteRequest) (*answerv1.CompleteResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.kept[r.GetKey().String()]
	if kept.busy = false; a.lost > 0 {
		a.lost--
		return nil, status.Error(codes.DeadlineExceeded, "")
	}
	kept.answer = r.GetAnswer()
	return &answerv1.CompleteResponse{Answer: kept.answer}, nil
}

func (a *fakeAnswers) Abandon(_ context.Context, r *answerv1.AbandonRequest) (*answerv1.AbandonResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kept := a.kept[r.GetKey().String()]; kept != nil {
		if kept.busy = false; r.GetNothingDone() {
			delete(a.kept, r.GetKey().String())
		}
	}
	return &answerv1.AbandonResponse{}, nil
}
