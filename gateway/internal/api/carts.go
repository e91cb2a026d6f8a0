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

// createCart answers POST /v1/carts.
func (a *API) createCart(ctx context.Context, in *CreateCartRequest) (answer, error) {
	who, fresh, err := a.session.Ensure(ctx)
	if err != nil {
		return nil, err
	}
	lines, err := lineInputs(in.Body.Lines)
	if err != nil {
		return nil, err
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

// getCart answers GET /v1/carts/{cart_id}.
func (a *API) getCart(ctx context.Context, in *GetCartRequest) (answer, error) {
	doc, err := answerCart(a.carts.Cart(ctx, shopperID(ctx), in.CartID))
	if err == nil && doc.body.matches(in.IfNoneMatch) {
		doc.status = http.StatusNotModified
	}
	return doc, err
}

// replaceLines answers PUT /v1/carts/{cart_id}/lines.
func (a *API) replaceLines(ctx context.Context, in *ReplaceLinesRequest) (answer, error) {
	lines, err := lineInputs(in.Body.Lines)
	if err != nil {
		return nil, err
	}
	return a.setLines(ctx, in.CartID, in.IfMatch, true, lines...)
}

// addLine answers POST /v1/carts/{cart_id}/lines.
func (a *API) addLine(ctx context.Context, in *AddLineRequest) (answer, error) {
	return answerCart(a.carts.AddLine(ctx, shopperID(ctx), in.CartID, in.Body.SKU, in.Body.Quantity))
}

// setLine answers PUT /v1/carts/{cart_id}/lines/{sku}.
func (a *API) setLine(ctx context.Context, in *SetLineRequest) (answer, error) {
	return a.setLines(ctx, in.CartID, in.IfMatch, false, cart.LineInput{SKU: in.SKU, Quantity: in.Body.Quantity})
}

// removeLine answers DELETE /v1/carts/{cart_id}/lines/{sku}.
func (a *API) removeLine(ctx context.Context, in *RemoveLineRequest) (answer, error) {
	return a.setLines(ctx, in.CartID, in.IfMatch, false, cart.LineInput{SKU: in.SKU})
}

func (a *API) setLines(ctx context.Context, id uuid.UUID, ifMatch string, replace bool, lines ...cart.LineInput) (answer, error) {
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
func matchVersion(header string) (int64, error) {
	if header = strings.TrimSpace(header); header == "" || header == "*" {
		return 0, nil
	}
	tag, ok := strings.CutPrefix(header, `"`)
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
