package stripesim_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/tools/stripesim"
)

// iso4217 are the codes of ISO 4217, its funds and metals included, as of 2026.
const iso4217 = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF " +
	"CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL " +
	"HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT " +
	"MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG " +
	"SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV " +
	"WST XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG"

// The payment service and the simulator have tables of their own. In every
// currency the smallest amount that payment names is charged, captured, refunded
// in part and in full, and each ledger says the same of it; one less, and one
// more than the largest, is refused before the provider is asked.
func TestEveryCurrencyIsCountedAsTheProviderDoes(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	c := h.payments()
	codesOfISO := make([]string, 0, 200)
	for i := 0; i < len(iso4217); i += 4 {
		codesOfISO = append(codesOfISO, iso4217[i:i+3])
	}
	charged := make([]atomic.Int64, len(codesOfISO))
	orders := make([]string, len(codesOfISO))
	together(8, func(worker int) {
		for i := worker; i < len(codesOfISO); i += 8 {
			orders[i] = id()
			charged[i].Store(h.buyIn(c, codesOfISO[i], orders[i]))
		}
	})
	taken := 0
	journal := h.journalIn()
	for i, code := range codesOfISO {
		want := charged[i].Load()
		if want == 0 {
			continue
		}
		taken++
		lc, lr := h.ledger(orders[i])
		if j := journal[orders[i]]; lc != want || lr != want || j != [2]int64{want, want} {
			t.Errorf("%s: %d paid and refunded; ledger %d and %d, journal %v", code, want, lc, lr, j)
		}
	}
	if taken < 130 {
		t.Errorf("%d of %d currencies are charged", taken, len(codesOfISO))
	}
	if r := h.reconcile(c); r.GetDifferenceCount() != 0 {
		t.Errorf("reconciliation: %v", tell(r))
	}
}

// buyIn buys and refunds in a currency, and returns for how many minor units.
func (h *fixture) buyIn(c paymentv1.PaymentServiceClient, code, order string) int64 {
	amount := func(units int64) *moneyv1.Money { return &moneyv1.Money{MinorUnits: units, Currency: code} }
	ask := func(order string, units int64) (*paymentv1.AuthorizeResponse, error) {
		return c.Authorize(h.ctx, &paymentv1.AuthorizeRequest{Viewer: access.Service("order"), OrderId: order, Amount: amount(units), PaymentMethod: "pm_card_visa"})
	}
	res, err := c.GetLimits(h.ctx, &paymentv1.GetLimitsRequest{Currency: code})
	if err != nil {
		h.t.Errorf("%s: %v", code, err)
		return 0
	}
	l := res.GetLimits()
	if l == nil {
		_, err := ask(order, 1_000_000)
		h.reason(err, codes.FailedPrecondition, "AMOUNT_NOT_CHARGEABLE")
		return 0
	}
	refused := []int64{l.GetMax() + l.GetStep()}
	if l.GetMin() > 1 {
		refused = append(refused, l.GetMin()-1)
	}
	if l.GetStep() > 1 {
		refused = append(refused, l.GetMin()+l.GetStep()+l.GetStep()/2)
	}
	for _, units := range refused {
		_, err := ask(id(), units)
		h.reason(err, codes.FailedPrecondition, "AMOUNT_NOT_CHARGEABLE")
	}
	if a, err := ask(id(), l.GetMax()); err != nil || a.GetPayment().GetState() != authorized {
		h.t.Errorf("%s: the maximum of %d: %v %v", code, l.GetMax(), a, err)
	}
	units := l.GetMin() + l.GetStep()
	a, err := ask(order, units)
	if err != nil || a.GetPayment().GetState() != authorized || a.GetPayment().GetAmount().GetMinorUnits() != units {
		h.t.Errorf("%s: authorize %d: %v %v", code, units, a, err)
		return 0
	}
	if p, err := c.Capture(h.ctx, &paymentv1.CaptureRequest{Viewer: access.Service("order"), OrderId: order, Amount: amount(units)}); err != nil || p.GetPayment().GetState() != captured {
		h.t.Errorf("%s: capture %d: %v %v", code, units, p, err)
	}
	if l.GetStep() > 1 { // a fraction fails for good, and its units are free again
		r, err := c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: amount(l.GetStep() / 2)})
		if err != nil || r.GetRefund().GetState() != paymentv1.RefundState_REFUND_STATE_FAILED {
			h.t.Errorf("%s: refund of a fraction: %v %v", code, r, err)
		}
	}
	for _, part := range []int64{l.GetStep(), units - l.GetStep()} { // the first is below the minimum of a charge
		r, err := c.Refund(h.ctx, &paymentv1.RefundRequest{Viewer: access.Service("order"), RefundId: id(), OrderId: order, Amount: amount(part)})
		if err != nil || r.GetRefund().GetState() != paymentv1.RefundState_REFUND_STATE_SUCCEEDED {
			h.t.Errorf("%s: refund %d: %v %v", code, part, r, err)
		}
	}
	return units
}

// journalIn is what the simulator captured and refunded, in minor units by order.
func (h *fixture) journalIn() map[string][2]int64 {
	h.t.Helper()
	f, err := os.Open(h.journal)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	out := map[string][2]int64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var ev struct {
			Event, Currency string
			Amount          int64
			Metadata        map[string]string
		}
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			h.t.Fatal(err)
		}
		column := slices.Index([]string{"payment_intent.captured", "refund.succeeded"}, ev.Event)
		if column < 0 {
			continue
		}
		units, err := stripesim.MinorUnits(ev.Amount, ev.Currency)
		if err != nil {
			h.t.Fatal(err)
		}
		sums := out[ev.Metadata["order_id"]]
		sums[column] += units
		out[ev.Metadata["order_id"]] = sums
	}
	return out
}

// What the provider's page gives as examples, and what ISO 4217 counts
// otherwise.
func TestMinorUnitsOfTheJournal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount   int64
		currency string
		want     string
	}{{1000, "usd", "USD 10.00"}, {500, "jpy", "JPY 500"}, {500, "isk", "ISK 5"}, {500, "ugx", "UGX 5"}, {5120, "kwd", "KWD 5.120"}, {5, "mga", "MGA 5.00"}} {
		units, err := stripesim.MinorUnits(c.amount, c.currency)
		if got := (money.Money{Units: units, Currency: c.want[:3]}).String(); err != nil || got != c.want {
			t.Errorf("%d %s is %s (%v), want %s", c.amount, c.currency, got, err, c.want)
		}
	}
	for _, currency := range []string{"isk", "xau"} {
		if units, err := stripesim.MinorUnits(550, currency); err == nil {
			t.Errorf("550 %s was read as %d", currency, units)
		}
	}
}
