package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
)

// CreateCart answers POST /v1/carts.
func (a *API) CreateCart(ctx context.Context, req CreateCartRequestObject) (CreateCartResponseObject, error) {
	who, fresh, err := a.session.Ensure(ctx)
	if err != nil {
		return nil, err
	}
	var lines []cart.LineInput
	if req.Body != nil {
		lines = lineInputs(req.Body.Lines)
	}
	cart, err := a.carts.NewCart(ctx, who.ID, lines)
	if err != nil {
		return nil, err
	}
	token := ""
	if fresh {
		token = a.session.Token(auth.Shopper{ID: who.ID, Cart: cart.ID})
	}
	doc, err := cartDocument(cart, token)
	if err != nil {
		return nil, err
	}
	doc.status, doc.location = http.StatusCreated, cartPath(cart.ID)
	return doc, nil
}

// GetCart answers GET /v1/carts/{cart_id}.
func (a *API) GetCart(ctx context.Context, req GetCartRequestObject) (GetCartResponseObject, error) {
	doc, err := answerCart(a.carts.Cart(ctx, shopperID(ctx), req.CartID))
	if err == nil && doc.body.matches(req.Params.IfNoneMatch) {
		doc.status = http.StatusNotModified
	}
	return doc, err
}

// ReplaceLines answers PUT /v1/carts/{cart_id}/lines.
func (a *API) ReplaceLines(ctx context.Context, req ReplaceLinesRequestObject) (ReplaceLinesResponseObject, error) {
	return a.setLines(ctx, req.CartID, req.Params.IfMatch, true, lineInputs(req.Body.Lines)...)
}

// AddLine answers POST /v1/carts/{cart_id}/lines.
func (a *API) AddLine(ctx context.Context, req AddLineRequestObject) (AddLineResponseObject, error) {
	return answerCart(a.carts.AddLine(ctx, shopperID(ctx), req.CartID, req.Body.SKU, req.Body.Quantity))
}

// SetLine answers PUT /v1/carts/{cart_id}/lines/{sku}.
func (a *API) SetLine(ctx context.Context, req SetLineRequestObject) (SetLineResponseObject, error) {
	return a.setLine(ctx, req.CartID, req.Params.IfMatch, cart.LineInput{SKU: req.SKU, Quantity: req.Body.Quantity})
}

// RemoveLine answers DELETE /v1/carts/{cart_id}/lines/{sku}.
func (a *API) RemoveLine(ctx context.Context, req RemoveLineRequestObject) (RemoveLineResponseObject, error) {
	return a.setLine(ctx, req.CartID, req.Params.IfMatch, cart.LineInput{SKU: req.SKU})
}

func (a *API) setLine(ctx context.Context, cart uuid.UUID, ifMatch *string, line cart.LineInput) (*document, error) {
	var c checks
	c.sku("sku", line.SKU)
	if !cleanParam(line.SKU) {
		c.add("sku", "must be UTF-8 text without control characters")
	}
	if len(c) > 0 {
		return nil, invalid(c...)
	}
	return a.setLines(ctx, cart, ifMatch, false, line)
}

func (a *API) setLines(ctx context.Context, id uuid.UUID, ifMatch *string, replace bool, lines ...cart.LineInput) (*document, error) {
	version, err := matchVersion(ifMatch)
	if err != nil {
		return nil, err
	}
	return answerCart(a.carts.SetLines(ctx, cart.SetLines{
		Owner: shopperID(ctx), Cart: id, Version: version, Lines: lines, Replace: replace,
	}))
}

// matchVersion returns the cart's version in an If-Match header; 0 for none or
// "*", which any cart that exists matches. A tag that no cart ever had fails.
func matchVersion(header *string) (int64, error) {
	if header == nil || strings.TrimSpace(*header) == "*" {
		return 0, nil
	}
	tag, ok := strings.CutPrefix(strings.TrimSpace(*header), `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	version, _, _ := strings.Cut(tag, "-")
	n, err := strconv.ParseInt(version, 10, 64)
	if !ok || !closed || err != nil || n < 1 {
		return 0, problem.Newf(problem.PreconditionFailed, "If-Match names no state that the cart was in: send the ETag as it came.")
	}
	return n, nil
}

// answerCart answers with a cart, or passes its error on.
func answerCart(cart *cart.Cart, err error) (*document, error) {
	if err != nil {
		return nil, err
	}
	return cartDocument(cart, "")
}

func cartDocument(cart *cart.Cart, token string) (*document, error) {
	body, err := encode(newCartDoc(cart, token), strconv.FormatInt(cart.Version, 10))
	if err != nil {
		return nil, err
	}
	return &document{status: http.StatusOK, body: body, tagged: true}, nil
}

// shopperID is the caller's; admit has seen to it that there is one.
func shopperID(ctx context.Context) uuid.UUID { return auth.FromContext(ctx).Shopper.ID }
