package postgres_test

import (
	"testing"

	"github.com/souk-shop/souk/services/chassis/cell/ownership/ownershiptest"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

// The plan of what moves with a bucket names each table of the database.
func TestWhatMovesWithABucket(t *testing.T) {
	t.Parallel()
	ownershiptest.Complete(t, postgres.Migrate, postgres.Cells)
}
