// Package postgres keeps attempts, refunds and the ledger in PostgreSQL. Every
// method of Store that a command writes with is one statement: one round trip,
// one commit. Where an operator acts, its entry in the audit log is in that commit, too.
package postgres

import (
	"context"
	"embed"
	"log/slog"

	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/audit"
	eventlog "github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:generate sh -c "cd ../.. && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

// Migrate brings the payment database to the schema that Store expects, and
// River's tables with it. It waits for the database.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	// First: triggers of the service's own migrations append to the log of events.
	if err := eventlog.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	if err := pg.Migrate(ctx, cfg, migrations, log); err != nil {
		return err
	}
	if err := jobs.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	if err := answers.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	return audit.Migrate(ctx, cfg, log)
}
