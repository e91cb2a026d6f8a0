package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/proto/money"
	"pgregory.net/rapid"
)

// currencies have 0, 2, 3 and 4 decimals.
var currencies = []string{"GBP", "EUR", "USD", "JPY", "KWD", "CLF", "ISK", "XAF", "CHF"}

// units draws amounts from the whole range, its edges more often than chance.
func units() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(-1_000_000, 1_000_000),
		rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1}),
	)
}

func amounts() *rapid.Generator[money.Money] {
	return rapid.Custom(func(t *rapid.T) money.Money {
		return money.Money{
			Units:    units().Draw(t, "units"),
			Currency: rapid.SampledFrom(currencies).Draw(t, "currency"),
		}
	})
}

// want compares a result with the exact one: the same number if it fits into 64
// bits, else ErrOverflow.
func want(t *rapid.T, got money.Money, err error, exact *big.Int) {
	t.Helper()
	if !exact.IsInt64() {
		if !errors.Is(err, money.ErrOverflow) {
			t.Fatalf("got %v, %v; want ErrOverflow for %v", got, err, exact)
		}
		return
	}
	if err != nil || got.Units != exact.Int64() {
		t.Fatalf("got %v, %v; want %v", got, err, exact)
	}
}

func TestParseReadsWhatDecimalWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := amounts().Draw(t, "m")
		got, err := money.Parse(m.Decimal(), m.Currency)
		if err != nil || got != m {
			t.Fatalf("Parse(%q) = %v, %v; want %v", m.Decimal(), got, err, m)
		}
	})
}

func TestArithmeticIsExactOrOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := amounts().Draw(t, "a")
		b := money.Money{Units: units().Draw(t, "b"), Currency: a.Currency}
		x, y := big.NewInt(a.Units), big.NewInt(b.Units)
		sum, err := a.Add(b)
		want(t, sum, err, new(big.Int).Add(x, y))
		difference, err := a.Sub(b)
		want(t, difference, err, new(big.Int).Sub(x, y))
		product, err := a.Mul(b.Units)
		want(t, product, err, new(big.Int).Mul(x, y))
		opposite, err := a.Neg()
		want(t, opposite, err, new(big.Int).Neg(x))
		if got := a.Cmp(b); got != x.Cmp(y) {
			t.Fatalf("Cmp(%v, %v) = %d", a, b, got)
		}
	})
}

func TestAllocateSumsExactlyAndFairly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := amounts().Draw(t, "m")
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, math.MaxInt64/32)), 1, 32).Draw(t, "weights")
		total := new(big.Int)
		for _, w := range weights {
			total.Add(total, big.NewInt(w))
		}
		parts, err := m.Allocate(weights)
		if total.Sign() == 0 {
			if !errors.Is(err, money.ErrWeights) {
				t.Fatalf("all weights zero: %v, %v", parts, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int)
		for i, p := range parts {
			sum.Add(sum, big.NewInt(p.Units))
			if p.Currency != m.Currency {
				t.Fatalf("part in %s", p.Currency)
			}
			// Each part is within one unit of its exact share.
			share := new(big.Int).Mul(big.NewInt(m.Units), big.NewInt(weights[i]))
			share.Quo(share, total)
			if off := new(big.Int).Sub(big.NewInt(p.Units), share); off.CmpAbs(big.NewInt(1)) > 0 {
				t.Fatalf("part %d is %v, its share %v", i, p.Units, share)
			}
			if weights[i] == 0 && p.Units != 0 {
				t.Fatalf("part %d has weight 0 and %v", i, p.Units)
			}
		}
		if sum.Cmp(big.NewInt(m.Units)) != 0 {
			t.Fatalf("parts sum to %v, want %v", sum, m.Units)
		}
	})
}

func TestProtoRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := amounts().Draw(t, "m")
		if got, err := money.FromProto(m.Proto()); err != nil || got != m {
			t.Fatalf("got %v, %v; want %v", got, err, m)
		}
	})
	for _, bad := range []*moneyv1.Money{nil, {}, {Currency: "gbp"}, {Currency: "GBPX"}, {Currency: "G1P"}} {
		if m, err := money.FromProto(bad); !errors.Is(err, money.ErrSyntax) {
			t.Errorf("FromProto(%v) = %v, %v; want ErrSyntax", bad, m, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		text, currency string
		units          int64
		err            error
	}{
		{"12.50", "GBP", 1250, nil},
		{"12.5", "GBP", 1250, nil},
		{"12", "GBP", 1200, nil},
		{"0", "GBP", 0, nil},
		{"-0", "GBP", 0, nil},
		{"-0.01", "GBP", -1, nil},
		{"007", "GBP", 700, nil},
		{"12", "JPY", 12, nil},
		{"1.234", "KWD", 1234, nil},
		{"92233720368547758.07", "GBP", math.MaxInt64, nil},
		{"-92233720368547758.08", "GBP", math.MinInt64, nil},
		{"92233720368547758.08", "GBP", 0, money.ErrOverflow},
		{"-92233720368547758.09", "GBP", 0, money.ErrOverflow},
		{"99999999999999999999999", "GBP", 0, money.ErrOverflow},
		{"12.345", "GBP", 0, money.ErrSyntax},
		{"12.500", "GBP", 0, money.ErrSyntax},
		{"12.0", "JPY", 0, money.ErrSyntax},
		{"", "GBP", 0, money.ErrSyntax},
		{"-", "GBP", 0, money.ErrSyntax},
		{".", "GBP", 0, money.ErrSyntax},
		{".5", "GBP", 0, money.ErrSyntax},
		{"5.", "GBP", 0, money.ErrSyntax},
		{"--5", "GBP", 0, money.ErrSyntax},
		{"+5", "GBP", 0, money.ErrSyntax},
		{"1,000", "GBP", 0, money.ErrSyntax},
		{"1e3", "GBP", 0, money.ErrSyntax},
		{" 1", "GBP", 0, money.ErrSyntax},
		{"1.-5", "GBP", 0, money.ErrSyntax},
		{"٣", "GBP", 0, money.ErrSyntax},
		{"£5", "GBP", 0, money.ErrSyntax},
		{"5", "gbp", 0, money.ErrSyntax},
		{"5", "", 0, money.ErrSyntax},
	} {
		m, err := money.Parse(test.text, test.currency)
		if !errors.Is(err, test.err) || (err == nil && m != money.Money{Units: test.units, Currency: test.currency}) {
			t.Errorf("Parse(%q, %q) = %v, %v; want %d, %v", test.text, test.currency, m, err, test.units, test.err)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, test := range []struct {
		m                    money.Money
		decimal, text, human string
	}{
		{money.Money{1250, "GBP"}, "12.50", "GBP 12.50", "£12.50"},
		{money.Money{5, "GBP"}, "0.05", "GBP 0.05", "£0.05"},
		{money.Money{-300, "GBP"}, "-3.00", "GBP -3.00", "-£3.00"},
		{money.Money{100_000, "EUR"}, "1000.00", "EUR 1000.00", "€1,000.00"},
		{money.Money{123_456_789, "USD"}, "1234567.89", "USD 1234567.89", "$1,234,567.89"},
		{money.Money{99_999, "GBP"}, "999.99", "GBP 999.99", "£999.99"},
		{money.Money{1234, "JPY"}, "1234", "JPY 1234", "¥1,234"},
		{money.Money{0, "JPY"}, "0", "JPY 0", "¥0"},
		{money.Money{1250, "CHF"}, "12.50", "CHF 12.50", "CHF 12.50"},
		{money.Money{1, "KWD"}, "0.001", "KWD 0.001", "KWD 0.001"},
		{money.Money{math.MinInt64, "GBP"}, "-92233720368547758.08", "GBP -92233720368547758.08", "-£92,233,720,368,547,758.08"},
	} {
		if got := test.m.Decimal(); got != test.decimal {
			t.Errorf("Decimal = %q, want %q", got, test.decimal)
		}
		if got := test.m.String(); got != test.text {
			t.Errorf("String = %q, want %q", got, test.text)
		}
		if got := test.m.Format(); got != test.human {
			t.Errorf("Format = %q, want %q", got, test.human)
		}
	}
}

func TestCurrenciesDoNotMix(t *testing.T) {
	pounds, euros := money.Money{Units: 1, Currency: "GBP"}, money.Money{Units: 1, Currency: "EUR"}
	if _, err := pounds.Add(euros); !errors.Is(err, money.ErrCurrencyMismatch) {
		t.Errorf("Add: %v", err)
	}
	if _, err := pounds.Sub(euros); !errors.Is(err, money.ErrCurrencyMismatch) {
		t.Errorf("Sub: %v", err)
	}
	if pounds.Cmp(euros) == 0 || pounds.Cmp(euros) != -euros.Cmp(pounds) {
		t.Error("Cmp is no order")
	}
}

func TestAllocate(t *testing.T) {
	pence := func(units ...int64) (ms []money.Money) {
		for _, u := range units {
			ms = append(ms, money.Money{Units: u, Currency: "GBP"})
		}
		return ms
	}
	for _, test := range []struct {
		units   int64
		weights []int64
		want    []money.Money
	}{
		{100, []int64{1, 1, 1}, pence(34, 33, 33)},
		{-100, []int64{1, 1, 1}, pence(-34, -33, -33)},
		{5, []int64{3, 7}, pence(2, 3)}, // shares 1.5 and 3.5: the earlier gets it
		{10, []int64{1, 0, 2}, pence(3, 0, 7)},
		{1, []int64{1, 1, 1, 1}, pence(1, 0, 0, 0)},
		{0, []int64{1, 2}, pence(0, 0)},
		{math.MinInt64, []int64{5}, pence(math.MinInt64)},
		{math.MaxInt64, []int64{math.MaxInt64, math.MaxInt64}, pence(math.MaxInt64/2+1, math.MaxInt64/2)},
	} {
		got, err := money.Money{Units: test.units, Currency: "GBP"}.Allocate(test.weights)
		if err != nil {
			t.Errorf("Allocate(%d, %v): %v", test.units, test.weights, err)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("Allocate(%d, %v) = %v, want %v", test.units, test.weights, got, test.want)
				break
			}
		}
	}
	for _, weights := range [][]int64{nil, {}, {0, 0}, {1, -1}} {
		if _, err := money.Zero("GBP").Allocate(weights); !errors.Is(err, money.ErrWeights) {
			t.Errorf("Allocate by %v: %v, want ErrWeights", weights, err)
		}
	}
	if _, err := money.Zero("GBP").Allocate([]int64{math.MaxInt64, math.MaxInt64, math.MaxInt64}); !errors.Is(err, money.ErrOverflow) {
		t.Errorf("huge weights: %v, want ErrOverflow", err)
	}
}
