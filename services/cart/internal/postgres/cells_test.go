package postgres_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/move"
	"github.com/souk-shop/souk/services/chassis/cell/ownership/ownershiptest"
)

// The plan of what moves with a bucket names each table of the database.
func TestWhatMovesWithABucket(t *testing.T) {
	t.Parallel()
	ownershiptest.Complete(t, postgres.Migrate, postgres.Cells)
}

// What a customer's erasure deletes while a bucket is copied does not come back with the bucket: also of
// the carts that were merged into another customer's.
func TestWhatIsErasedMeanwhileDoesNotMove(t *testing.T) {
	t.Parallel()
	pools, databases := ownershiptest.Cells(t, postgres.Migrate, postgres.Cells)
	guest, into := cell.In(uuid.New(), 7), cell.In(uuid.New(), 7)
	_, err := pools["c1"].Exec(t.Context(), "INSERT INTO carts (id, owner_id, updated_at, seen_at) VALUES ($1, gen_random_uuid(), now(), now())", into)
	if err == nil {
		_, err = pools["c1"].Exec(t.Context(), "INSERT INTO cart_merges (from_id, from_owner_id, into_id, version) VALUES (gen_random_uuid(), $1, $2, 1)", guest, into)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := move.Open(t.Context(), move.Config{Services: []move.Service{{Name: "cart", Databases: databases}}, Step: func(at move.Step) error {
		if at != move.Fence {
			return nil
		}
		_, err := postgres.NewStore(pools["c1"]).EraseOwner(t.Context(), domain.UUID(guest))
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if _, err := m.Move(t.Context(), 7, "c2"); err != nil {
		t.Fatal(err)
	}
	var carts, merges int
	if err := pools["c2"].QueryRow(t.Context(), "SELECT (SELECT count(*) FROM carts), (SELECT count(*) FROM cart_merges)").Scan(&carts, &merges); err != nil || carts != 1 || merges != 0 {
		t.Errorf("in the new cell are %d carts and %d merges, %v", carts, merges, err)
	}
}
