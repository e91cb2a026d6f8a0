package postgres_test

import (
	"testing"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Who paid is erased of what is settled, and what an operator wrote of it. What is under way,
// the amounts and the provider's ids stay; so does all else of a review.
func TestErasePayments(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	captured, sent := f.captured(), f.begin()
	if _, err := f.pool.Exec(f.ctx, "INSERT INTO reviews (order_id, from_state, to_state, decided_by, why, why_salt) VALUES ($1, 'needs_review', 'captured', 'ada', 'Grace called', 'salt')", captured.OrderID); err != nil {
		t.Fatal(err)
	}
	ids := []string{captured.OrderID, sent.OrderID, id()}
	for range 2 {
		open, err := f.ErasePayments(f.ctx, ids)
		if err != nil || len(open) != 1 || open[0] != sent.OrderID {
			t.Fatalf("open: %v, %v", open, err)
		}
	}
	erased, err := f.Payment(f.ctx, captured.OrderID)
	if want := captured; err != nil || erased.Method != "" || erased.Amount != want.Amount || erased.ProviderID != want.ProviderID || erased.State != domain.Captured {
		t.Errorf("%+v, %v", erased, err)
	}
	if kept, err := f.Payment(f.ctx, sent.OrderID); err != nil || kept.Method != "pm_card_visa" {
		t.Errorf("what is under way: %+v, %v", kept, err)
	}
	var why, by string
	var salt []byte
	f.scan(&why, "SELECT why FROM reviews")
	f.scan(&by, "SELECT decided_by FROM reviews")
	f.scan(&salt, "SELECT why_salt FROM reviews")
	if why != "erased" || by != "ada" || salt != nil {
		t.Errorf("the review: %q by %q, salt %q", why, by, salt)
	}
	for _, statement := range []string{
		"UPDATE reviews SET why = 'another'", "UPDATE reviews SET decided_by = 'eve'", "UPDATE reviews SET why = 'erased', to_state = 'voided'",
		"DELETE FROM reviews", "TRUNCATE reviews",
	} {
		if _, err := f.pool.Exec(f.ctx, statement); err == nil {
			t.Errorf("%s: taken", statement)
		}
	}
	// A refund needs no method.
	if _, ok, err := f.StartRefund(f.ctx, domain.Refund{ID: id(), OrderID: captured.OrderID, Amount: gbp(100)}); err != nil || !ok {
		t.Errorf("refund: %v, %v", ok, err)
	}
	if open, err := f.ErasePayments(f.ctx, ids[:1]); err != nil || len(open) != 1 {
		t.Errorf("while a refund is under way: %v, %v", open, err)
	}
}
