package insight

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/audit/audittest"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/postgres"
	"github.com/souk-shop/souk/services/insight/internal/rpc"
)

// TestOperatorsActionsAreInTheAuditLog performs each action that the contract has for
// operators, and finds one entry for it. That the first model is made has none: no operator asked.
func TestOperatorsActionsAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	served := pgtest.Service(t, postgres.Migrate)
	pool, err := pgxpool.New(t.Context(), served.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	d := database{pool: pool, store: postgres.New(pool, pg.NewReads(pool, nil))}
	server := rpc.NewServer(app.New(d.store, d.store))
	acting := audit.Interceptor(slog.New(slog.DiscardHandler))
	rebuild := func() error {
		info := &grpc.UnaryServerInfo{FullMethod: insightv1.InsightService_RebuildModel_FullMethodName}
		_, err := acting(t.Context(), &insightv1.RebuildModelRequest{Viewer: audittest.Operator()}, info, func(ctx context.Context, req any) (any, error) {
			return server.RebuildModel(ctx, req.(*insightv1.RebuildModelRequest))
		})
		return err
	}
	service := insightv1.File_souk_insight_v1_insight_proto.Services().Get(0)
	audittest.Run(t, served.DSN, service, []audittest.Case{
		{Name: "while the first model is made", Method: "RebuildModel", Do: rebuild, Object: "model", Before: `{"building":0}`, After: `{"building":0}`},
	})
	d.await(t, d.follower(newShop(4)), time.Time{})
	audittest.Run(t, served.DSN, service, []audittest.Case{
		{Method: "RebuildModel", Do: rebuild, Object: "model", Before: `{"building":null}`, After: `{"building":1}`},
	})
}
