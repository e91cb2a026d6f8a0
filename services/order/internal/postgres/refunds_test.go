package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

func wantRefund(orderID string, lines ...domain.RefundLine) domain.Refund {
	return domain.Refund{
		ID: uuid.Must(uuid.NewV7()).String(), OrderID: orderID, IdempotencyKey: uuid.NewString(),
		RequestHash: []byte("hash"), Lines: lines, Restock: true, Reason: "damaged",
	}
}

func TestRefund(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	ctx := t.Context()
	o := paid(t, s)
	want := wantRefund(o.ID, domain.RefundLine{SKU: "Z", Quantity: 1})
	r, replayed, err := s.PlaceRefund(ctx, want)
	if err != nil || replayed || r.Amount != gbp(295) || r.State != domain.RefundPending {
		t.Fatalf("%+v, %v, %v", r, replayed, err)
	}
	if jobs(t, pool) != 2 {
		t.Error("the refund has no job")
	}
	again := want
	again.ID = uuid.NewString()
	if r, replayed, err := s.PlaceRefund(ctx, again); err != nil || !replayed || r.ID != want.ID || len(r.Lines) != 1 {
		t.Errorf("a repeat: %+v, %v, %v", r, replayed, err)
	}
	again.RequestHash = []byte("other")
	if _, _, err := s.PlaceRefund(ctx, again); !errors.Is(err, domain.ErrKeyReused) {
		t.Errorf("another request: %v", err)
	}
	got, err := s.Get(ctx, o.ID, domain.Viewer{All: true})
	if err != nil || got.Refunded != gbp(295) || got.Lines[0].Refunded != 1 || len(got.Refunds) != 1 || got.Version != o.Version+1 {
		t.Errorf("%+v, %v", got, err)
	}
	// A refusal gives everything back, once.
	for range 2 {
		if err := s.SettleRefund(ctx, r, domain.RefundFailed, "lost_card"); err != nil {
			t.Fatal(err)
		}
	}
	got, err = s.Get(ctx, o.ID, domain.Viewer{All: true})
	if err != nil || got.Refunded != gbp(0) || got.Lines[0].Refunded != 0 || got.Refunds[0].State != domain.RefundFailed ||
		got.Refunds[0].FailureCode != "lost_card" || got.Version != o.Version+2 {
		t.Errorf("%+v, %v", got, err)
	}
	if jobs(t, pool) != 1 {
		t.Error("the settled refund still has a job")
	}
	all, _, err := s.PlaceRefund(ctx, wantRefund(o.ID))
	if err != nil || all.Amount != gbp(665) || len(all.Lines) != 2 {
		t.Fatalf("all that is left: %+v, %v", all, err)
	}
	if err := s.SettleRefund(ctx, all, domain.RefundSucceeded, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.PlaceRefund(ctx, wantRefund(o.ID)); !errors.Is(err, domain.ErrRefundExceedsOrder) {
		t.Errorf("more than all: %v", err)
	}
	if _, _, err := s.PlaceRefund(ctx, wantRefund(place(t, s, newOrder()).ID)); !errors.Is(err, domain.ErrOrderNotPaid) {
		t.Errorf("an unpaid order: %v", err)
	}
	if _, _, err := s.PlaceRefund(ctx, wantRefund(uuid.NewString())); !errors.Is(err, domain.ErrOrderNotFound) {
		t.Errorf("an unknown order: %v", err)
	}
}

// TestRefundsAtOnce asks for more refunds than an order has units, all at once.
func TestRefundsAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	o := paid(t, s)
	var wg sync.WaitGroup
	var made, refused atomic.Int32
	for range 12 {
		wg.Go(func() {
			_, _, err := s.PlaceRefund(context.Background(), wantRefund(o.ID, domain.RefundLine{SKU: "A", Quantity: 1}))
			switch {
			case err == nil:
				made.Add(1)
			case errors.Is(err, domain.ErrRefundExceedsOrder):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.Get(t.Context(), o.ID, domain.Viewer{All: true})
	if err != nil || made.Load() != 3 || refused.Load() != 9 || got.Refunded != gbp(75) || got.Lines[1].Refunded != 3 {
		t.Errorf("made %d, refused %d, refunded %v, %v", made.Load(), refused.Load(), got.Refunded, err)
	}
}
