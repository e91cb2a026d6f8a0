package domain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

func quote(lines ...domain.Line) domain.Quote {
	q := domain.Quote{Total: gbp(0)}
	for _, l := range lines {
		l.Total = gbp(l.Quantity * l.UnitPrice.Units)
		q.Total.Units += l.Total.Units
		q.Lines = append(q.Lines, l)
	}
	return q
}

func line(sku, name string, quantity, price int64) domain.Line {
	return domain.Line{SKU: sku, Name: name, Quantity: quantity, UnitPrice: gbp(price)}
}

// The encoding of version 1 never changes: agreements are kept by clients while the
// order service is replaced.
func TestAgreementIsStable(t *testing.T) {
	t.Parallel()
	const kept = "v1.VMyxqsIwFAbgVyn_fIbc9lbwbHZx7W5EYggarKkm5wyldPXFfDHBRfoA3zfDa84h-QmMfdeDIKO4Adz8t4QhplDAhxnlpmDsQEjuHsB4v-QacmXVmHpTWfSjFIvKqjGNP1s1pgkgPNUliTKBa4KmKKdHjj6A63ahGeXbdr-2c5eV-qO12rbLcfkEAAD__w"
	q := quote(line("A", "Æther & \"Pots\" <b>", 2, 25), line("B", "Bag", 1, 295))
	shown, err := domain.Agreement(kept).Quote()
	if err != nil || !slices.Equal(shown.Lines, q.Lines) || shown.Total != q.Total {
		t.Errorf("%+v, %v", shown, err)
	}
	const digest = "7f199ba87246aa9ec9ba1d7ab595fa72c28505536c53f80ae061aedf57a19c26"
	if got := hex.EncodeToString(q.Digest()); got != digest {
		t.Errorf("the digest is %s", got)
	}
}

// A digest tells apart all that a buyer agrees to.
func TestDigest(t *testing.T) {
	t.Parallel()
	base := quote(line("A", "Apple", 2, 25), line("B", "Bag", 1, 295))
	other := base
	other.Total = money.Money{Units: base.Total.Units, Currency: "EUR"}
	cheap := base
	cheap.Total = gbp(344)
	for name, q := range map[string]domain.Quote{
		"price":    quote(line("A", "Apple", 2, 26), line("B", "Bag", 1, 295)),
		"name":     quote(line("A", "Pear", 2, 25), line("B", "Bag", 1, 295)),
		"quantity": quote(line("A", "Apple", 3, 25), line("B", "Bag", 1, 295)),
		"SKU":      quote(line("C", "Apple", 2, 25), line("B", "Bag", 1, 295)),
		"order":    quote(line("B", "Bag", 1, 295), line("A", "Apple", 2, 25)),
		"one less": quote(line("A", "Apple", 2, 25)),
		"currency": other,
		"total":    cheap,
		"empty":    {},
	} {
		if bytes.Equal(q.Digest(), base.Digest()) {
			t.Errorf("%s: the same digest", name)
		}
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	shown := quote(line("A", "Apple", 2, 25), line("B", "Bag", 1, 295))
	dearer := quote(line("A", "Apple", 2, 25), line("B", "Bag", 1, 2950))
	renamed := quote(line("A", "Pear", 2, 25), line("B", "Bag", 1, 295))
	more := quote(line("A", "Apple", 3, 25), line("B", "Bag", 1, 295))
	total := func(units int64) *money.Money { m := gbp(units); return &m }
	euros := money.Money{Units: 345, Currency: "EUR"}
	for name, c := range map[string]struct {
		consent domain.Consent
		now     domain.Quote
		want    error
	}{
		"nothing is stated":  {domain.Consent{}, dearer, nil},
		"the same":           {domain.Consent{Agreement: shown.Agreement(), Total: total(345)}, shown, nil},
		"a price":            {domain.Consent{Agreement: shown.Agreement()}, dearer, domain.ErrPriceChanged},
		"a price fell":       {domain.Consent{Agreement: dearer.Agreement()}, shown, domain.ErrPriceChanged},
		"a name":             {domain.Consent{Agreement: shown.Agreement()}, renamed, domain.ErrPriceChanged},
		"other goods":        {domain.Consent{Agreement: shown.Agreement()}, more, domain.ErrCartVersionConflict},
		"the total":          {domain.Consent{Total: total(345)}, dearer, domain.ErrPriceChanged},
		"the same total":     {domain.Consent{Total: total(345)}, renamed, nil},
		"the currency":       {domain.Consent{Total: &euros}, shown, domain.ErrPriceChanged},
		"total nothing":      {domain.Consent{Total: total(0)}, shown, domain.ErrPriceChanged},
		"agreed, not total":  {domain.Consent{Agreement: shown.Agreement(), Total: total(344)}, shown, domain.ErrPriceChanged},
		"text of the client": {domain.Consent{Agreement: "345 GBP"}, shown, domain.ErrInvalidAgreement},
	} {
		if err := c.consent.Check(c.now, 3); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	err := domain.Consent{Agreement: shown.Agreement()}.Check(dearer, 3)
	changed, ok := errors.AsType[*domain.PriceChangedError](err)
	if !ok || changed.Before != gbp(345) || changed.Now != gbp(3000) || len(changed.Lines) != 1 ||
		changed.Lines[0].Before != shown.Lines[1] || changed.Lines[0].Now != dearer.Lines[1] {
		t.Errorf("%+v", changed)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	before := quote(line("A", "Apple", 2, 25), line("B", "Bag", 1, 295), line("C", "Cup", 1, 5))
	now := quote(line("B", "Bag", 1, 300), line("D", "Dish", 1, 5), line("C", "Cup", 1, 5))
	got := now.Changes(before)
	want := []domain.LineChange{
		{SKU: "B", Before: before.Lines[1], Now: now.Lines[0]},
		{SKU: "D", Now: now.Lines[1]},
		{SKU: "A", Before: before.Lines[0]},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := now.Changes(now); got != nil {
		t.Errorf("nothing changed: %+v", got)
	}
}

// Any quote comes back from its agreement as it was.
func TestAgreementHoldsAnyQuote(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var lines []domain.Line
		for range rapid.IntRange(0, 5).Draw(t, "lines") {
			lines = append(lines, line(rapid.String().Draw(t, "sku"), rapid.String().Draw(t, "name"),
				rapid.Int64Range(1, 100_000).Draw(t, "quantity"), rapid.Int64Range(1, domain.MaxTotal).Draw(t, "price")))
		}
		q := quote(lines...)
		got, err := q.Agreement().Quote()
		if err != nil || !slices.Equal(got.Lines, q.Lines) || got.Total != q.Total || !bytes.Equal(got.Digest(), q.Digest()) {
			t.Fatalf("%+v became %+v, %v", q, got, err)
		}
	})
}

// The agreement of a cart of the most lines fits, with long names that deflate badly.
func TestAgreementOfALargeCart(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2)) // chance that can be repeated
	random := func(first rune, of, n int) string {
		text := make([]rune, n)
		for i := range text {
			text[i] = first + rune(rng.IntN(of))
		}
		return string(text)
	}
	var lines []domain.Line
	for range 2_000 {
		lines = append(lines, line(random('A', 26, 8), random('\u4e00', 20_000, 60), 1+rng.Int64N(9), 1+rng.Int64N(10_000)))
	}
	q := quote(lines...)
	agreement := q.Agreement()
	if len(agreement) > domain.MaxAgreement*4/5 {
		t.Errorf("%d bytes", len(agreement))
	}
	if got, err := agreement.Quote(); err != nil || !bytes.Equal(got.Digest(), q.Digest()) {
		t.Error(err)
	}
}

// An agreement is text of the client: what no quote can be is refused, before it is
// repeated in an answer (a currency of a megabyte deflates to a kilobyte).
func TestAgreementOfWhatNoQuoteIs(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*domain.Quote){
		"no currency":       func(q *domain.Quote) { q.Total.Currency = "" },
		"a long currency":   func(q *domain.Quote) { q.Total.Currency = strings.Repeat("G", 1<<20) },
		"a lower case one":  func(q *domain.Quote) { q.Total.Currency = "gbp" },
		"a negative total":  func(q *domain.Quote) { q.Total.Units = -1 },
		"a negative price":  func(q *domain.Quote) { q.Lines[0].UnitPrice.Units = -1 },
		"a quantity of 0":   func(q *domain.Quote) { q.Lines[0].Quantity = 0 },
		"negative quantity": func(q *domain.Quote) { q.Lines[0].Quantity = -2 },
	} {
		q := quote(line("A", "Apple", 2, 25))
		change(&q)
		if got, err := q.Agreement().Quote(); !errors.Is(err, domain.ErrInvalidAgreement) {
			t.Errorf("%s: %d lines, total %d, %v", name, len(got.Lines), got.Total.Units, err)
		}
	}
}

// FuzzAgreement: text of a client is refused or is exactly what would be issued.
func FuzzAgreement(f *testing.F) {
	f.Add(string(quote(line("A", "Apple", 2, 25)).Agreement()))
	f.Add("v1.")
	f.Add("v1.AAAA")
	f.Add("v2.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := domain.Agreement(text).Quote()
		if err != nil {
			if !errors.Is(err, domain.ErrInvalidAgreement) {
				t.Fatal(err)
			}
			return
		}
		again, err := q.Agreement().Quote()
		if err != nil || !bytes.Equal(again.Digest(), q.Digest()) {
			t.Fatalf("%+v became %+v, %v", q, again, err)
		}
	})
}
