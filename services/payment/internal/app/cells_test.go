package app

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// account lists payments and movements of orders.
type account struct {
	Records
	Statement
	orders []string
}

func (a account) Payments(context.Context, time.Time, time.Time) iter.Seq2[domain.Intent, error] {
	return func(yield func(domain.Intent, error) bool) {
		for _, o := range a.orders {
			if !yield(domain.Intent{OrderID: o}, nil) {
				return
			}
		}
	}
}

func (a account) FindRefund(context.Context, domain.Refund) (string, bool, error) {
	return "", false, nil
}

func (a account) BalanceTransactions(context.Context, time.Time, time.Time, string) (page []domain.BalanceTransaction, next string, err error) {
	for _, o := range a.orders {
		page = append(page, domain.BalanceTransaction{OrderID: o})
	}
	return page, "next", nil
}

// What the provider has of any order, or of none, is one cell's: all books together are the
// account's, and no cell settles what another cell's order has moved.
func TestEachMovementIsOneCells(t *testing.T) {
	t.Parallel()
	all := account{orders: []string{"", "of another shop"}}
	for b := range cell.Bucket(cell.Buckets) {
		all.orders = append(all.orders, cell.In(uuid.New(), b).String())
	}
	seen, listed := map[string]int{}, map[string]int{}
	for _, own := range cell.Split(3) {
		records, statement := OfCell(own, all, all)
		for in, err := range records.Payments(t.Context(), time.Time{}, time.Time{}) {
			if err != nil {
				t.Fatal(err)
			}
			seen[in.OrderID]++
		}
		page, next, err := statement.BalanceTransactions(t.Context(), time.Time{}, time.Time{}, "")
		if err != nil || next != "next" {
			t.Fatal(next, err)
		}
		for _, m := range page {
			listed[m.OrderID]++
		}
	}
	for _, o := range all.orders {
		if seen[o] != 1 || listed[o] != 1 {
			t.Errorf("order %q: %d cells see its payment and %d its movement", o, seen[o], listed[o])
		}
	}
	first, _ := OfCell(cell.Split(3)[0], all, all)
	var own []string
	for in := range first.Payments(t.Context(), time.Time{}, time.Time{}) {
		own = append(own, in.OrderID)
	}
	if !slices.Contains(own, "") || len(own) != 2+1024/3+1 {
		t.Errorf("the first cell sees %d", len(own))
	}
}
