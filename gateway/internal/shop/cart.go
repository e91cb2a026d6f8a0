package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/proto/money"
)

// Cart is what somebody means to buy, at today's prices. The prices of an order
// are taken by the order service when it is placed.
type Cart struct {
	ID        uuid.UUID
	Version   int64
	Lines     []CartLine // in the order they were first added
	Units     int64      // over all lines
	Total     money.Money
	UpdatedAt time.Time
	// Orderable says that there is something in it and every line can be bought
	// as far as the price goes. Stock is judged at checkout.
	Orderable bool
}

// CartLine is a number of units of a variant.
type CartLine struct {
	SKU        string
	Name       string // product, and variant where there are several
	ProductURL string
	Picture    string
	Quantity   int64
	UnitPrice  money.Money // zero value when Gone
	Total      money.Money
	Available  int64 // units that could be reserved now
	// Gone says that the SKU is no longer sold.
	Gone bool
}

// Short reports that there are fewer units than wanted.
func (l *CartLine) Short() bool { return l.Available < l.Quantity }

// LineInput is a wanted quantity of a SKU.
type LineInput struct {
	SKU      string
	Quantity int64 // absolute; 0 removes the line
}

// SetLines changes a cart; see Shop.SetLines.
type SetLines struct {
	Owner uuid.UUID
	Cart  uuid.UUID
	// Version is the version the caller saw; 0 writes over any.
	Version int64
	Lines   []LineInput // distinct SKUs
	// Replace removes the lines not named.
	Replace bool
}

// NewCart makes a cart with the lines, which may be none.
// Reasons: SKU_NOT_FOUND, OVERLOADED.
func (s *Shop) NewCart(ctx context.Context, owner uuid.UUID, lines []LineInput) (*Cart, error) {
	if err := s.door.enter(); err != nil {
		return nil, err
	}
	defer s.door.entered()
	known := variants{}
	if err := s.known(ctx, known, lines); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, AsError(err)
	}
	res, err := call(ctx, s, s.timeout, s.createCart, &cartv1.CreateCartRequest{CartId: id.String(), OwnerId: owner.String()})
	if err != nil {
		return nil, err
	}
	cart := res.GetCart()
	if len(lines) > 0 {
		set, err := call(ctx, s, s.timeout, s.setLines, setRequest(SetLines{Owner: owner, Cart: id, Lines: lines, Replace: true}))
		if err != nil {
			return nil, err
		}
		cart = set.GetCart()
	}
	return s.cart(ctx, cart, known)
}

// Cart returns a cart of the owner. Reasons: CART_NOT_FOUND.
func (s *Shop) Cart(ctx context.Context, owner, id uuid.UUID) (*Cart, error) {
	cart, err := s.rawCart(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	return s.cart(ctx, cart, variants{})
}

// SetLines sets the absolute quantity of lines, all or none.
// Reasons: CART_NOT_FOUND, SKU_NOT_FOUND, CART_FULL, VERSION_CONFLICT (with
// KindPrecondition) when the cart is no longer at the version given.
func (s *Shop) SetLines(ctx context.Context, in SetLines) (*Cart, error) {
	known := variants{}
	if err := s.known(ctx, known, in.Lines); err != nil {
		// Whether the cart is the caller's is told first: a wrong SKU in a
		// stranger's cart is a wrong cart.
		if _, cartErr := s.rawCart(ctx, in.Owner, in.Cart); cartErr != nil {
			return nil, cartErr
		}
		return nil, err
	}
	if len(in.Lines) == 0 {
		return s.empty(ctx, in)
	}
	res, err := call(ctx, s, s.timeout, s.setLines, setRequest(in))
	if err != nil {
		return nil, stale(err, in.Version)
	}
	return s.cart(ctx, res.GetCart(), known)
}

// empty takes all lines out of a cart: the contract wants a line in each call,
// so the lines that are there are set to 0, at the version that was read.
func (s *Shop) empty(ctx context.Context, in SetLines) (*Cart, error) {
	unlock, err := s.carts.lock(ctx, in.Cart)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.optimistically(ctx, func() (*Cart, error) {
		cart, err := s.rawCart(ctx, in.Owner, in.Cart)
		if err != nil {
			return nil, err
		}
		if in.Version != 0 && in.Version != cart.GetVersion() {
			return nil, stale(NewError(ReasonStale), in.Version)
		}
		if len(cart.GetLines()) == 0 || !in.Replace {
			return s.cart(ctx, cart, variants{})
		}
		set := SetLines{Owner: in.Owner, Cart: in.Cart, Version: cart.GetVersion(), Replace: true}
		for _, l := range cart.GetLines() {
			set.Lines = append(set.Lines, LineInput{SKU: l.GetSku()})
		}
		res, err := call(ctx, s, s.timeout, s.setLines, setRequest(set))
		if err != nil {
			return nil, err
		}
		return s.cart(ctx, res.GetCart(), variants{})
	})
}

// AddLine adds units of a SKU to what the cart has. Concurrent adds are never
// lost: the cart's version is checked and a conflict tried again.
// Reasons: CART_NOT_FOUND, SKU_NOT_FOUND, CART_FULL, QUANTITY_TOO_LARGE, and
// VERSION_CONFLICT only when the cart would not stand still for seconds.
func (s *Shop) AddLine(ctx context.Context, owner, id uuid.UUID, sku string, quantity int64) (*Cart, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout+s.retryBudget)
	defer cancel()
	unlock, err := s.carts.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	known := variants{}
	return s.optimistically(ctx, func() (*Cart, error) {
		cart, err := s.rawCart(ctx, owner, id)
		if err != nil {
			return nil, err
		}
		want := LineInput{SKU: sku, Quantity: quantity}
		skus := []string{sku}
		for _, l := range cart.GetLines() {
			skus = append(skus, l.GetSku())
			if l.GetSku() == sku {
				want.Quantity += l.GetQuantity()
			}
		}
		if err := s.resolve(ctx, known, skus); err != nil {
			return nil, err
		}
		if known[sku] == nil {
			return nil, unknownSKU("sku", sku)
		}
		if want.Quantity > MaxQuantity {
			e := NewError(ReasonQuantityTooLarge)
			e.Fields = []FieldError{{"quantity", fmt.Sprintf("the line would have %d units", want.Quantity)}}
			return nil, e
		}
		res, err := call(ctx, s, s.timeout, s.setLines, setRequest(SetLines{
			Owner: owner, Cart: id, Version: cart.GetVersion(), Lines: []LineInput{want},
		}))
		if err != nil {
			return nil, err
		}
		return s.cart(ctx, res.GetCart(), known)
	})
}

// optimistically repeats a read and a version-checked write until nobody came
// between, or the context ends.
func (s *Shop) optimistically(ctx context.Context, attempt func() (*Cart, error)) (*Cart, error) {
	for n := 1; ; n++ {
		cart, err := attempt()
		var e *Error
		if err == nil || !errors.As(err, &e) || e.Reason != ReasonStale || e.Kind != KindConflict {
			return cart, err
		}
		if !pause(ctx, min(n, 3)) {
			return nil, err
		}
	}
}

func (s *Shop) rawCart(ctx context.Context, owner, id uuid.UUID) (*cartv1.Cart, error) {
	res, err := call(ctx, s, s.timeout, s.getCart, &cartv1.GetCartRequest{CartId: id.String(), OwnerId: owner.String()})
	if err != nil {
		return nil, err
	}
	return res.GetCart(), nil
}

// stale makes a version conflict of a caller who named a version a failed
// precondition.
func stale(err error, version int64) error {
	var e *Error
	if version == 0 || !errors.As(err, &e) || e.Reason != ReasonStale {
		return err
	}
	c := *e
	c.Kind = KindPrecondition
	c.Detail = "The cart has changed since you saw it. Read it and try again."
	return &c
}

func setRequest(in SetLines) *cartv1.SetLinesRequest {
	req := &cartv1.SetLinesRequest{
		CartId: in.Cart.String(), OwnerId: in.Owner.String(), Replace: in.Replace,
		ChangeId: uuid.NewString(), // call may repeat the request
		Lines:    make([]*cartv1.LineChange, len(in.Lines)),
	}
	if in.Version != 0 {
		req.ExpectedVersion = &in.Version
	}
	for i, l := range in.Lines {
		req.Lines[i] = &cartv1.LineChange{Sku: l.SKU, Quantity: l.Quantity}
	}
	return req
}

// variants are those looked up so far; nil for a SKU that is not sold.
type variants map[string]*catalogv1.Variant

// known looks the SKUs of lines up and refuses those that are not sold. Lines
// that are removed need not exist.
func (s *Shop) known(ctx context.Context, known variants, lines []LineInput) error {
	var skus []string
	for _, l := range lines {
		if l.Quantity > 0 {
			skus = append(skus, l.SKU)
		}
	}
	if err := s.resolve(ctx, known, skus); err != nil {
		return err
	}
	var missing *Error
	for i, l := range lines {
		if l.Quantity == 0 || known[l.SKU] != nil {
			continue
		}
		e := unknownSKU(fmt.Sprintf("lines[%d].sku", i), l.SKU)
		if missing == nil {
			missing = e
		} else if len(missing.Fields) < 20 {
			missing.Fields = append(missing.Fields, e.Fields...)
		}
	}
	if missing != nil {
		return missing
	}
	return nil
}

// resolve looks up those of the SKUs that are not known yet.
func (s *Shop) resolve(ctx context.Context, known variants, skus []string) error {
	var ask []string
	for _, sku := range skus {
		if _, ok := known[sku]; !ok {
			known[sku] = nil
			ask = append(ask, sku)
		}
	}
	for len(ask) > 0 {
		n := min(len(ask), 2000)
		res, err := call(ctx, s, s.timeout, s.getVariants, &catalogv1.GetVariantsRequest{Skus: ask[:n]})
		if err != nil {
			for _, sku := range ask {
				delete(known, sku)
			}
			return err
		}
		for _, v := range res.GetVariants() {
			known[v.GetSku()] = v
		}
		ask = ask[n:]
	}
	return nil
}

func unknownSKU(field, sku string) *Error {
	e := NewError(ReasonSKUNotFound)
	e.Fields = []FieldError{{field, fmt.Sprintf("there is no SKU %q", sku)}}
	return e
}

// cart makes a page-ready cart, looking up the variants that are not known.
func (s *Shop) cart(ctx context.Context, in *cartv1.Cart, known variants) (*Cart, error) {
	id, err := uuid.Parse(in.GetId())
	if err != nil {
		return nil, AsError(err)
	}
	skus := make([]string, len(in.GetLines()))
	for i, l := range in.GetLines() {
		skus[i] = l.GetSku()
	}
	if err := s.resolve(ctx, known, skus); err != nil {
		return nil, err
	}
	cart := &Cart{
		ID: id, Version: in.GetVersion(), UpdatedAt: in.GetUpdatedAt().AsTime(),
		Lines: make([]CartLine, len(in.GetLines())), Orderable: len(in.GetLines()) > 0,
	}
	for i, l := range in.GetLines() {
		line, ok := cartLine(l, known[l.GetSku()])
		cart.Lines[i] = line
		cart.Units += line.Quantity
		cart.Orderable = cart.Orderable && ok && cart.add(line.Total)
	}
	if cart.Total.Currency == "" {
		cart.Total = money.Zero(s.currency)
	}
	return cart, nil
}

// add adds a line's total. It reports false for another currency or an
// overflow, which leave the total as it was.
func (c *Cart) add(m money.Money) bool {
	if c.Total.Currency == "" {
		c.Total = m
		return true
	}
	sum, err := c.Total.Add(m)
	if err != nil {
		return false
	}
	c.Total = sum
	return true
}

// cartLine reports false when the line has no total.
func cartLine(l *cartv1.CartLine, v *catalogv1.Variant) (CartLine, bool) {
	line := CartLine{SKU: l.GetSku(), Name: l.GetSku(), Quantity: l.GetQuantity()}
	if v == nil {
		line.Gone = true
		return line, false
	}
	line.Name = v.GetProductName()
	if v.GetName() != "" {
		line.Name += ", " + v.GetName()
	}
	// A page is found by any SKU of its product.
	line.ProductURL, line.Picture = ProductURL(l.GetSku()), PictureURL(l.GetSku())
	line.Available = v.GetStock().GetAvailable()
	var err error
	if line.UnitPrice, err = money.FromProto(v.GetPrice()); err != nil {
		return line, false
	}
	if line.Total, err = line.UnitPrice.Mul(line.Quantity); err != nil {
		return line, false
	}
	return line, true
}
