package domain_test

import (
	"errors"
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

func gbp(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

func TestPrice(t *testing.T) {
	variants := []domain.Variant{
		{SKU: "A", Name: "Apple", Price: gbp(25)},
		{SKU: "B", Name: "Bag", Price: gbp(295)},
		{SKU: "HUGE", Name: "Huge", Price: gbp(math.MaxInt64)},
		{SKU: "EUR", Name: "Euro", Price: money.Money{Units: 1, Currency: "EUR"}},
	}
	q, err := domain.Price([]domain.CartLine{{SKU: "B", Quantity: 2}, {SKU: "A", Quantity: 3}}, variants)
	if err != nil || q.Total != gbp(665) || len(q.Lines) != 2 || q.Lines[0].SKU != "B" || q.Lines[0].Total != gbp(590) || q.Lines[1].Name != "Apple" {
		t.Fatalf("%+v, %v", q, err)
	}
	for name, c := range map[string]struct {
		cart []domain.CartLine
		want error
	}{
		"empty":           {nil, domain.ErrCartEmpty},
		"unknown":         {[]domain.CartLine{{SKU: "A", Quantity: 1}, {SKU: "X", Quantity: 1}}, domain.ErrSKUNotFound},
		"overflow":        {[]domain.CartLine{{SKU: "HUGE", Quantity: 2}}, domain.ErrTotalTooLarge},
		"beyond provider": {[]domain.CartLine{{SKU: "A", Quantity: 40_000_000_000}}, domain.ErrTotalTooLarge},
		"sum too large":   {[]domain.CartLine{{SKU: "A", Quantity: 39_999_999_999}, {SKU: "B", Quantity: 1}}, domain.ErrTotalTooLarge},
		"currencies":      {[]domain.CartLine{{SKU: "A", Quantity: 1}, {SKU: "EUR", Quantity: 1}}, domain.ErrMixedCurrencies},
	} {
		if _, err := domain.Price(c.cart, variants); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestTheLargestTotalIsTheCurrencys: an ariary has a hundred minor units and is charged
// as whole ones, so that eight digits of it are ten here; a rupiah takes twelve.
func TestTheLargestTotalIsTheCurrencys(t *testing.T) {
	t.Parallel()
	for currency, limits := range map[string]domain.Limits{
		"MGA": {Min: 100, Max: 9_999_999_900, Step: 100},
		"IDR": {Min: 50, Max: 999_999_999_999, Step: 1},
		"GBP": {Min: 30, Max: 99_999_999, Step: 1},
	} {
		variants := []domain.Variant{{SKU: "A", Price: money.Money{Units: limits.Max, Currency: currency}}, {SKU: "B", Price: money.Money{Units: limits.Step, Currency: currency}}}
		q, err := domain.Price([]domain.CartLine{{SKU: "A", Quantity: 1}}, variants)
		if err != nil || limits.Check(q.Total) != nil {
			t.Errorf("%s: %v, %v", q.Total, err, limits.Check(q.Total))
		}
		q, err = domain.Price([]domain.CartLine{{SKU: "A", Quantity: 1}, {SKU: "B", Quantity: 1}}, variants)
		if err == nil {
			err = limits.Check(q.Total)
		}
		if !errors.Is(err, domain.ErrTotalTooLarge) {
			t.Errorf("one step more %s: %v", currency, err)
		}
	}
}

func TestPlanRefund(t *testing.T) {
	o := domain.Order{State: domain.Paid, Total: gbp(665), Lines: []domain.Line{
		{SKU: "B", Quantity: 2, UnitPrice: gbp(295), Refunded: 1},
		{SKU: "A", Quantity: 3, UnitPrice: gbp(25)},
		{SKU: "C", Quantity: 1, UnitPrice: gbp(1), Refunded: 1},
	}}
	lines, amount, err := domain.PlanRefund(o, nil)
	if err != nil || amount != gbp(370) || len(lines) != 2 {
		t.Fatalf("all that is left: %+v, %v, %v", lines, amount, err)
	}
	if _, amount, err = domain.PlanRefund(o, []domain.RefundLine{{SKU: "A", Quantity: 2}}); err != nil || amount != gbp(50) {
		t.Fatalf("a part: %v, %v", amount, err)
	}
	for name, want := range map[string][]domain.RefundLine{
		"more than left": {{SKU: "B", Quantity: 2}},
		"unknown":        {{SKU: "X", Quantity: 1}},
		"zero":           {{SKU: "A", Quantity: 0}},
		"negative":       {{SKU: "A", Quantity: -1}},
		"twice":          {{SKU: "A", Quantity: 2}, {SKU: "A", Quantity: 2}},
	} {
		if _, _, err := domain.PlanRefund(o, want); !errors.Is(err, domain.ErrRefundExceedsOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err = domain.PlanRefund(o, []domain.RefundLine{{SKU: "X", Quantity: 1}, {SKU: "A", Quantity: 1}, {SKU: "Y", Quantity: 1}})
	if named := (*domain.SKUsError)(nil); !errors.As(err, &named) || named.ErrorMetadata()["skus"] != "X,Y" {
		t.Errorf("names %v", err)
	}
	for _, s := range domain.States() {
		if o.State = s; s == domain.Paid {
			continue
		}
		if _, _, err := domain.PlanRefund(o, nil); !errors.Is(err, domain.ErrOrderNotPaid) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestNumber(t *testing.T) {
	shape := regexp.MustCompile(`^S-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}K3$`)
	seen, next := map[string]bool{}, domain.Numbers("K3")
	for range 1000 {
		n := next()
		if !shape.MatchString(n) || seen[n] {
			t.Fatalf("number %q", n)
		}
		seen[n] = true
	}
}

// TestSnapshots checks that the two answers of a key do not change once an order
// goes on and is refunded.
func TestSnapshots(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := domain.Order{
		ID: "o", State: domain.Paid, Version: 7, PlacedAt: at, SettledAt: at.Add(4), Total: gbp(50), Refunded: gbp(25),
		Lines:   []domain.Line{{SKU: "A", Quantity: 2, UnitPrice: gbp(25), Total: gbp(50), Refunded: 1}},
		Refunds: []domain.Refund{{ID: "r"}},
		History: []domain.Change{{State: domain.Pending, Version: 1, At: at}, {State: domain.Paid, Version: 5, At: at.Add(4)}},
	}
	placed := o.AsPlaced()
	if placed.State != domain.Pending || placed.Version != 1 || !placed.SettledAt.IsZero() || len(placed.History) != 1 ||
		placed.Lines[0].Refunded != 0 || placed.Refunded != gbp(0) || placed.Refunds != nil {
		t.Errorf("as placed: %+v", placed)
	}
	settled := o.AsSettled()
	if settled.State != domain.Paid || settled.Version != 5 || len(settled.History) != 2 ||
		settled.Lines[0].Refunded != 0 || settled.Refunded != gbp(0) || settled.Refunds != nil {
		t.Errorf("as settled: %+v", settled)
	}
	if o.Lines[0].Refunded != 1 {
		t.Error("the snapshot changed the order")
	}
}
