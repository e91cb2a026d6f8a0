package order

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// shopperToken is the subject of a shopper's token in the security log.
const shopperToken = "shopper token"

// noticed records the use of a session that has ended, and returns err.
func (o *Orders) noticed(ctx context.Context, v *accessv1.Viewer, err error) error {
	if o.cfg.Security != nil && problem.Is(err, problem.SessionEnded) {
		o.cfg.Security.Record(ctx, telemetry.TokenReused, shopperToken,
			slog.String("shopper", v.GetCustomer().GetId()), slog.Time("session_since", v.GetCustomer().GetIssuedAt().AsTime()))
	}
	return err
}

// EndSessions ends the sessions of a customer that began before now: the viewer's own, or
// for an operator any customer's. It returns since when a session must be to be good.
// Problems: SessionEnded.
func (o *Orders) EndSessions(ctx context.Context, v *accessv1.Viewer, customer uuid.UUID) (time.Time, error) {
	res, err := client.Call(ctx, o.cfg.Caller, 0, o.cfg.Client.EndSessions, &orderv1.EndSessionsRequest{CustomerId: customer.String(), Viewer: v})
	if err != nil {
		return time.Time{}, o.noticed(ctx, v, err)
	}
	if o.cfg.Security != nil {
		o.cfg.Security.Record(ctx, telemetry.TokenRevoked, shopperToken,
			slog.String("shopper", customer.String()), slog.String("by", access.Describe(v)))
	}
	return res.GetSince().AsTime(), nil
}
