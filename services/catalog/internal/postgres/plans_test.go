package postgres_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

// TestPlansAreKept: what every page and every order asks is not planned each time.
func TestPlansAreKept(t *testing.T) {
	t.Parallel()
	database := pgtest.Service(t, postgres.Migrate)
	skus, ids := []string{"A", "B", "C"}, []string{uuid.NewString(), uuid.NewString()}
	database.PlannedOnce(t, db.VariantsBySKU, skus)
	database.PlannedOnce(t, db.LockStock, skus)
	database.PlannedOnce(t, db.ProductsByID, ids)
	database.PlannedOnce(t, db.LockReservations, ids)
	database.PlannedOnce(t, db.ReservedLines, ids)
}
