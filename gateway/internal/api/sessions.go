package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge/compress"
)

// endSession answers DELETE /v1/session.
func (a *API) endSession(ctx context.Context, _ *EndSessionRequest) (answer, error) {
	doc, err := a.endSessions(ctx, auth.FromContext(ctx).Shopper.ID)
	if err == nil {
		a.session.Forget(ctx)
	}
	return doc, err
}

// endCustomerSessions answers DELETE /v1/customers/{customer_id}/sessions.
func (a *API) endCustomerSessions(ctx context.Context, in *EndCustomerSessionsRequest) (answer, error) {
	return a.endSessions(ctx, in.CustomerID)
}

func (a *API) endSessions(ctx context.Context, customer uuid.UUID) (answer, error) {
	if _, err := a.shop.Orders.EndSessions(ctx, viewer(ctx), customer); err != nil {
		return nil, err
	}
	return &document{status: http.StatusNoContent, body: compress.NewBody(nil, "")}, nil
}
