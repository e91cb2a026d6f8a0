package domain

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/souk-shop/souk/proto/money"
)

// Quote is what a buyer is offered and agrees to: the lines of an order with their
// names and prices, and the total. An order is placed with the lines of a quote as
// they are.
type Quote struct {
	Lines []Line
	Total money.Money
}

// Agreement is a quote as text that the buyer's client keeps and returns with the
// order, so that the order service can compare what was shown with what would be
// charged: "v1." and the base64url form of the deflated canonical encoding. Clients
// treat it as opaque. It is no secret and is not signed: a client that alters it
// only states another agreement, which the order then does not match.
type Agreement string

// MaxAgreement is the longest text of an agreement in bytes. A cart of 2,000 lines with
// names of 60 random Chinese characters, which deflate badly, needs about two thirds.
const MaxAgreement = 512 << 10

// agreementV1 marks the canonical encoding below. What a quote gains later (delivery,
// tax, discount) gets a new version, and older agreements stay comparable.
const agreementV1 = "v1."

// maxEncoded bounds what an agreement inflates to.
const maxEncoded = 2 << 20

// canonicalQuote is version 1 of the encoding of a quote: JSON in the order of these
// fields without spaces. It must never change.
type canonicalQuote struct {
	Currency string          `json:"currency"`
	Total    int64           `json:"total"`
	Lines    []canonicalLine `json:"lines"`
}

type canonicalLine struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
}

func (q Quote) canonical() []byte {
	c := canonicalQuote{Currency: q.Total.Currency, Total: q.Total.Units, Lines: make([]canonicalLine, len(q.Lines))}
	for i, l := range q.Lines {
		c.Lines[i] = canonicalLine{SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice.Units}
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

// Digest identifies the quote: SHA-256 over the version and the canonical encoding.
// Two quotes have the same digest only when lines, names, quantities, prices, their
// order and the total are the same.
func (q Quote) Digest() []byte {
	sum := sha256.Sum256(append([]byte(agreementV1), q.canonical()...))
	return sum[:]
}

// Agreement is the quote as text.
func (q Quote) Agreement() Agreement {
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	_, _ = w.Write(q.canonical()) // into memory
	_ = w.Close()
	return Agreement(agreementV1 + base64.RawURLEncoding.EncodeToString(deflated.Bytes()))
}

// Quote returns what was agreed to. Errors: ErrInvalidAgreement.
func (a Agreement) Quote() (Quote, error) {
	text, ok := strings.CutPrefix(string(a), agreementV1)
	if !ok || len(a) > MaxAgreement {
		return Quote{}, ErrInvalidAgreement
	}
	deflated, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Quote{}, fmt.Errorf("%w: %w", ErrInvalidAgreement, err)
	}
	encoded, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(deflated)), maxEncoded+1))
	if err != nil {
		return Quote{}, fmt.Errorf("%w: %w", ErrInvalidAgreement, err)
	}
	if len(encoded) > maxEncoded {
		return Quote{}, ErrInvalidAgreement
	}
	var c canonicalQuote
	if err := json.Unmarshal(encoded, &c); err != nil {
		return Quote{}, fmt.Errorf("%w: %w", ErrInvalidAgreement, err)
	}
	total, err := money.New(c.Total, c.Currency)
	if err != nil || c.Total < 0 {
		return Quote{}, ErrInvalidAgreement
	}
	q := Quote{Total: total, Lines: make([]Line, len(c.Lines))}
	for i, l := range c.Lines {
		unit := money.Money{Units: l.UnitPrice, Currency: c.Currency}
		sum, err := unit.Mul(l.Quantity)
		if err != nil || l.UnitPrice < 0 || l.Quantity < 1 {
			return Quote{}, ErrInvalidAgreement
		}
		q.Lines[i] = Line{SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: unit, Total: sum}
	}
	// One quote has one text: another encoding of it is not one that was issued.
	if !bytes.Equal(q.canonical(), encoded) {
		return Quote{}, ErrInvalidAgreement
	}
	return q, nil
}

// LineChange is what differs in one line between what was shown and what it is now. Before
// is the zero value for a line that was not shown, Now for one that is gone.
type LineChange struct {
	SKU         string
	Before, Now Line
}

// Changes returns the lines in which q differs from what was shown before, in the
// order of q, then those that q does not have.
func (q Quote) Changes(before Quote) []LineChange {
	shown := make(map[string]Line, len(before.Lines))
	for _, l := range before.Lines {
		shown[l.SKU] = l
	}
	var changes []LineChange
	for _, l := range q.Lines {
		was := shown[l.SKU]
		delete(shown, l.SKU)
		if was != l {
			changes = append(changes, LineChange{SKU: l.SKU, Before: was, Now: l})
		}
	}
	for _, l := range before.Lines {
		if _, gone := shown[l.SKU]; gone {
			changes = append(changes, LineChange{SKU: l.SKU, Before: l})
		}
	}
	return changes
}

// sameGoods reports that both quotes are for the same units in the same order.
func (q Quote) sameGoods(p Quote) bool {
	return slices.EqualFunc(q.Lines, p.Lines, func(a, b Line) bool { return a.SKU == b.SKU && a.Quantity == b.Quantity })
}

// Consent is what the caller says that the buyer agreed to. The zero value says
// nothing: the buyer takes the prices as they are.
type Consent struct {
	Agreement Agreement
	// Total, unless nil, is the total that the buyer saw.
	Total *money.Money
}

// Check refuses a quote of a cart's version that is not what the buyer agreed to.
// Errors: ErrInvalidAgreement, *CartConflictError when the buyer was shown other
// goods, *PriceChangedError.
func (c Consent) Check(q Quote, cartVersion int64) error {
	if c.Agreement != "" {
		shown, err := c.Agreement.Quote()
		if err != nil {
			return err
		}
		if !q.sameGoods(shown) {
			return &CartConflictError{Version: cartVersion}
		}
		if !bytes.Equal(shown.Digest(), q.Digest()) {
			return &PriceChangedError{Before: shown.Total, Now: q.Total, Lines: q.Changes(shown)}
		}
	}
	if c.Total != nil && *c.Total != q.Total {
		return &PriceChangedError{Before: *c.Total, Now: q.Total}
	}
	return nil
}

// PriceChangedError is ErrPriceChanged with what was shown and what it is now.
type PriceChangedError struct {
	Before, Now money.Money // totals
	// Lines that differ; none when the caller stated only a total.
	Lines []LineChange
}

func (e *PriceChangedError) Error() string {
	return fmt.Sprintf("%v: from %s to %s", ErrPriceChanged, e.Before, e.Now)
}

// Is makes it an ErrPriceChanged.
func (e *PriceChangedError) Is(target error) bool { return target == ErrPriceChanged }

// Price puts the catalog's prices on the lines of a cart. Errors: ErrCartEmpty, *SKUsError,
// ErrMixedCurrencies, ErrTotalTooLarge.
func Price(cart []CartLine, variants []Variant) (Quote, error) {
	if len(cart) == 0 {
		return Quote{}, ErrCartEmpty
	}
	bySKU := make(map[string]Variant, len(variants))
	for _, v := range variants {
		bySKU[v.SKU] = v
	}
	lines := make([]Line, 0, len(cart))
	var unknown []string
	var total money.Money
	for _, c := range cart {
		v, ok := bySKU[c.SKU]
		if !ok {
			unknown = append(unknown, c.SKU)
			continue
		}
		sum, err := v.Price.Mul(c.Quantity)
		if err != nil || sum.Units > MaxTotal {
			return Quote{}, ErrTotalTooLarge
		}
		if total.Currency == "" {
			total = money.Zero(sum.Currency)
		}
		if total.Currency != sum.Currency {
			return Quote{}, ErrMixedCurrencies
		}
		if total, err = total.Add(sum); err != nil || total.Units > MaxTotal {
			return Quote{}, ErrTotalTooLarge
		}
		lines = append(lines, Line{SKU: v.SKU, Name: v.Name, Quantity: c.Quantity, UnitPrice: v.Price, Total: sum})
	}
	if len(unknown) > 0 {
		return Quote{}, &SKUsError{Err: ErrSKUNotFound, SKUs: unknown}
	}
	return Quote{Lines: lines, Total: total}, nil
}
