package postgres_test

import (
	"testing"

	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/cell/ownership/ownershiptest"
)

// The plan of what moves with a bucket names each table of the database.
func TestWhatMovesWithABucket(t *testing.T) {
	t.Parallel()
	ownershiptest.Complete(t, postgres.Migrate, postgres.Cells)
}
