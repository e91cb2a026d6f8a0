// Package postgres keeps attempts, refunds and the ledger in PostgreSQL. Every
// method of Store that a command writes with is one statement: one round trip,
// one commit.
package postgres

import (
	"context"
	"embed"
	"log/slog"

	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:generate sh -c "cd ../.. && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the payment database to the schema that Store expects, and
// River's tables with it. It waits for the database.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	if err := pg.Migrate(ctx, cfg, migrations, log); err != nil {
		return err
	}
	if err := jobs.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	return answers.Migrate(ctx, cfg, log)
}
