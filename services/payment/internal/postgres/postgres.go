// Package postgres keeps attempts, refunds and the ledger in PostgreSQL. Every
// method of Store that writes is one statement: one round trip, one commit.
package postgres

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"

	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:generate sh -c "cd ../.. && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the payment database to the schema that Store expects. It
// waits for the database.
func Migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return pg.Migrate(ctx, cfg, files, log)
}
