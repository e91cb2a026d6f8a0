package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/services/chassis/cell"
)

// createCart answers POST /v1/carts.
func (a *API) createCart(ctx context.Context, in *CreateCartRequest) (answer, error) {
	who, fresh, err := a.session.Ensure(ctx)
	if err != nil {
		return nil, err
	}
	if id, kept := idempotency.ID(ctx); fresh && kept {
		// A repeat makes the same one, in the bucket in which the answer is kept.
		who.ID = cell.In(uuid.NewSHA1(id, []byte("guest")), cell.Of(id))
	}
	cart, err := a.shop.Carts.NewCart(ctx, who.Viewer(), lineInputs(in.Body.Lines))
	if err != nil {
		return nil, err
	}
	token := ""
	if fresh {
		who.Cart = cart.ID
		token = a.session.Token(who)
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
	doc, err := answerCart(a.shop.Carts.Cart(ctx, viewer(ctx), in.CartID))
	if err == nil && doc.body.Matches(in.IfNoneMatch) {
		doc.status = http.StatusNotModified
	}
	return doc, err
}

// replaceLines answers PUT /v1/carts/{cart_id}/lines.
func (a *API) replaceLines(ctx context.Context, in *ReplaceLinesRequest) (answer, error) {
	return a.setLines(ctx, in.CartID, in.IfMatch, true, lineInputs(in.Body.Lines)...)
}

func (in *CreateCartRequest) check() error { return distinct("lines", in.Body.Lines, (*Line).sku) }

func (in *ReplaceLinesRequest) check() error { return distinct("lines", in.Body.Lines, (*Line).sku) }

// addLine answers POST /v1/carts/{cart_id}/lines.
func (a *API) addLine(ctx context.Context, in *AddLineRequest) (answer, error) {
	version, err := a.matchVersion(ctx, in.CartID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	return answerCart(a.shop.Carts.AddLine(ctx, cart.AddLine{
		Owner: viewer(ctx), Cart: in.CartID, Version: version, SKU: in.Body.SKU, Quantity: in.Body.Quantity,
	}))
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
	version, err := a.matchVersion(ctx, id, ifMatch)
	if err != nil {
		return nil, err
	}
	return answerCart(a.shop.Carts.SetLines(ctx, cart.SetLines{
		Owner: viewer(ctx), Cart: id, Version: version, Lines: lines, Replace: replace,
	}))
}

// matchVersion returns the cart's version that If-Match asks for; 0 for none or "*",
// which any cart that exists matches. Of several, the one that the cart is at.
func (a *API) matchVersion(ctx context.Context, id uuid.UUID, header string) (int64, error) {
	versions, err := matchVersions(header)
	if err != nil || len(versions) < 2 {
		return first(versions), err
	}
	cart, err := a.shop.Carts.Cart(ctx, viewer(ctx), id)
	if err != nil {
		return 0, err
	}
	if slices.Contains(versions, cart.Version) {
		return cart.Version, nil
	}
	return 0, problem.New(problem.PreconditionFailed)
}

func first(versions []int64) int64 {
	if len(versions) == 0 {
		return 0
	}
	return versions[0]
}

// matchVersions returns the versions of the tags in an If-Match header; none for an
// empty one or "*". A tag of another form is that of no state: the comparison is
// strong, as RFC 9110 asks, so a weak tag matches nothing either.
func matchVersions(header string) (versions []int64, err error) {
	if header = strings.TrimSpace(header); header == "" {
		return nil, nil
	}
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" {
			return nil, nil
		}
		tag, ok := strings.CutPrefix(tag, `"`)
		tag, closed := strings.CutSuffix(tag, `"`)
		version, _, _ := strings.Cut(tag, "-")
		n, err := strconv.ParseInt(version, 10, 64)
		if ok && closed && err == nil && n > 0 {
			versions = append(versions, n)
		}
	}
	if len(versions) == 0 {
		return nil, problem.Newf(problem.PreconditionFailed, "If-Match names no state that the resource was in: send the ETag as it came.")
	}
	return versions, nil
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
