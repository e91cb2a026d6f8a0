//go:build unix

package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func migrate(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE EXTENSION pg_trgm; CREATE TABLE things (name text)")
	return err
}

func TestNewGivesEachTestItsOwnDatabase(t *testing.T) {
	for range 10 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			conn, err := pgx.Connect(t.Context(), pgtest.New(t, migrate))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			var before int
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM things").Scan(&before); err != nil {
				t.Fatal(err)
			}
			if before != 0 {
				t.Errorf("%d things in a fresh database", before)
			}
			if _, err := conn.Exec(t.Context(), "INSERT INTO things VALUES ('one')"); err != nil {
				t.Fatal(err)
			}
		})
	}
}
