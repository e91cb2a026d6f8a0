package move_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/ownership"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// BenchmarkFence inserts rows, 1,000 in a statement, without the fence, with it, and into a bucket that is
// being copied: the difference for each row is what the trigger takes.
func BenchmarkFence(b *testing.B) {
	const rows = 1000
	for _, state := range []string{"", "owned", "leaving"} {
		b.Run("state="+state, func(b *testing.B) {
			ctx := context.Background()
			db := pgtest.Service(b, migrate)
			if state != "" {
				if err := ownership.Migrate(ctx, db.Config, slog.New(slog.DiscardHandler), "c1", cell.All(), plan); err != nil {
					b.Fatal(err)
				}
			}
			owner, err := pgx.Connect(ctx, db.DSN)
			if err != nil {
				b.Fatal(err)
			}
			defer owner.Close(ctx)
			if _, err := owner.Exec(ctx, "DROP TRIGGER told ON accounts"); err != nil {
				b.Fatal(err)
			}
			if state == "leaving" {
				if _, err := owner.Exec(ctx, "UPDATE souk_cell_buckets SET state = 'leaving', other = 'c2'"); err != nil {
					b.Fatal(err)
				}
			}
			ids := make([]uuid.UUID, rows)
			b.ResetTimer()
			for range b.N {
				for i := range ids {
					ids[i] = cell.In(uuid.New(), 7)
				}
				if _, err := owner.Exec(ctx, "INSERT INTO accounts (id, total) SELECT unnest($1::uuid[]), 0", ids); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}

// BenchmarkMove moves a bucket of so many accounts, with ten entries each, to the other cell and back.
func BenchmarkMove(b *testing.B) {
	for _, accounts := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint("accounts=", accounts), func(b *testing.B) {
			s := newShop(b)
			for range accounts {
				id := s.account("c1", 9)
				if _, err := s.pools["c1"].Exec(b.Context(), "INSERT INTO entries (account, amount) SELECT $1, 1 FROM generate_series(1, 10)", id); err != nil {
					b.Fatal(err)
				}
			}
			to := "c2"
			b.ResetTimer()
			for range b.N {
				r, err := s.move(9, to, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(r.Held.Milliseconds()), "held-ms")
				b.ReportMetric(float64(accounts)/r.Took.Seconds(), "accounts/s")
				to = map[string]string{"c1": "c2", "c2": "c1"}[to]
			}
		})
	}
}
