package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// account lists payments and movements of orders.
type account struct {
	Statement
	orders []string
	// byHand are refunds without a label: the orders of their payments, by the payments' ids.
	byHand map[string]string
}

func (a account) FindRefund(context.Context, domain.Refund) (string, bool, error) {
	return "", false, nil
}

func (a account) BalanceTransactions(context.Context, time.Time, time.Time, string) (page []domain.BalanceTransaction, next string, err error) {
	for _, o := range a.orders {
		page = append(page, domain.BalanceTransaction{OrderID: o})
	}
	for payment := range a.byHand {
		page = append(page, domain.BalanceTransaction{PaymentID: payment})
	}
	return page, "next", nil
}

func (a account) Retrieve(_ context.Context, paymentID string) (domain.Intent, error) {
	switch order := a.byHand[paymentID]; order {
	case "unknown":
		return domain.Intent{}, domain.ErrOutcomeUnknown
	case "none":
		return domain.Intent{}, domain.ErrNoSuchPayment
	default:
		return domain.Intent{ID: paymentID, OrderID: order}, nil
	}
}

// What the provider has of any order, or of none, is one cell's: all books together are the
// account's, and no cell settles what another cell's order has moved.
func TestEachMovementIsOneCells(t *testing.T) {
	t.Parallel()
	all := account{orders: []string{"", "of another shop"}}
	for b := range cell.Bucket(cell.Buckets) {
		all.orders = append(all.orders, cell.In(uuid.New(), b).String())
	}
	listed := map[string]int{}
	for _, own := range cell.Split(3) {
		statement := OfCell(has(own), all)
		page, next, err := statement.BalanceTransactions(t.Context(), time.Time{}, time.Time{}, "")
		if err != nil || next != "next" {
			t.Fatal(next, err)
		}
		for _, m := range page {
			listed[m.OrderID]++
		}
	}
	for _, o := range all.orders {
		if listed[o] != 1 {
			t.Errorf("order %q: %d cells see its movement", o, listed[o])
		}
	}
	first, _, err := OfCell(has(cell.Split(3)[0]), all).BalanceTransactions(t.Context(), time.Time{}, time.Time{}, "")
	if err != nil || len(first) != 2+1024/3+1 || first[0].OrderID != "" {
		t.Errorf("the first cell sees %d, %v", len(first), err)
	}
	unknown := func(context.Context) (cell.Set, error) { return cell.Set{}, errors.New("away") }
	if _, _, err := OfCell(unknown, all).BalanceTransactions(t.Context(), time.Time{}, time.Time{}, ""); err == nil {
		t.Error("a page where it is not known which buckets the cell has")
	}
}

// has are buckets that stay.
func has(own cell.Set) Owned {
	return func(context.Context) (cell.Set, error) { return own, nil }
}

// A refund that was made by hand at the provider has no label: it is of the order of its payment.
func TestARefundByHandIsOfItsPaymentsCell(t *testing.T) {
	t.Parallel()
	in := func(b cell.Bucket) string { return cell.In(uuid.New(), b).String() }
	all := account{byHand: map[string]string{"pi_1": in(1), "pi_900": in(900), "pi_other": "", "pi_gone": "none"}}
	for i, want := range [][]string{{"pi_1", "pi_gone", "pi_other"}, {"pi_900"}} {
		statement := OfCell(has(cell.Split(2)[i]), all)
		page, _, err := statement.BalanceTransactions(t.Context(), time.Time{}, time.Time{}, "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range page {
			got = append(got, m.PaymentID)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("cell %d has %v, want %v", i+1, got, want)
		}
	}
	all.byHand["pi_1"] = "unknown"
	statement := OfCell(has(cell.Split(2)[0]), all)
	if _, _, err := statement.BalanceTransactions(t.Context(), time.Time{}, time.Time{}, ""); !errors.Is(err, domain.ErrOutcomeUnknown) {
		t.Errorf("with a payment that the provider does not tell of: %v", err)
	}
}
