package stripe

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

func TestBalanceTransactions(t *testing.T) {
	t.Parallel()
	var asked []url.Values
	c := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query())
		if len(asked) == 2 {
			says(200, `{"data":[{"id":"txn_4","type":"payout","amount":-5,"currency":"gbp","created":5}],"has_more":false}`)(w, r)
			return
		}
		says(200, `{"has_more":true,"data":[
			{"id":"txn_1","type":"charge","amount":1250,"fee":3,"currency":"gbp","created":7,"source":{"object":"charge","id":"ch_1","payment_intent":"pi_1","metadata":{"order_id":"o"}}},
			{"id":"txn_2","type":"payment_refund","amount":-250,"currency":"gbp","created":6,"source":{"object":"refund","id":"re_1","payment_intent":"pi_1"}},
			{"id":"txn_3","type":"adjustment","amount":-9,"currency":"jpy","created":6,"source":"du_1"}]}`)(w, r)
	})
	gbp := func(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }
	page, next, err := c.BalanceTransactions(t.Context(), time.Unix(5, 0), time.Unix(8, 0), "")
	if want := []domain.BalanceTransaction{
		{ID: "txn_1", Kind: domain.EntryCapture, PaymentID: "pi_1", OrderID: "o", Amount: gbp(1250), Fee: 3, At: time.Unix(7, 0)},
		{ID: "txn_2", Kind: domain.EntryRefund, PaymentID: "pi_1", RefundID: "re_1", Amount: gbp(250), At: time.Unix(6, 0)},
		{ID: "txn_3", Kind: domain.EntryOther, Amount: money.Money{Units: -9, Currency: "JPY"}, At: time.Unix(6, 0)},
	}; err != nil || next != "txn_3" || !reflect.DeepEqual(page, want) {
		t.Errorf("%+v %q %v, want %+v", page, next, err, want)
	}
	// Payouts are none of the ledger's business.
	if page, next, err := c.BalanceTransactions(t.Context(), time.Unix(5, 0), time.Unix(8, 0), next); err != nil || next != "" || len(page) != 0 {
		t.Errorf("%+v %q %v", page, next, err)
	}
	if want := (url.Values{"created[gte]": {"5"}, "created[lt]": {"8"}, "limit": {"100"}, "expand[0]": {"data.source"}, "starting_after": {"txn_3"}}); !reflect.DeepEqual(asked[1], want) {
		t.Errorf("asked %v, want %v", asked[1], want)
	}
	if _, _, err := newClient(t, 0, drop).BalanceTransactions(t.Context(), time.Unix(5, 0), time.Unix(8, 0), ""); err == nil {
		t.Error("a page that was lost is no page")
	}
}

func TestPaymentsAreListedToTheEnd(t *testing.T) {
	t.Parallel()
	var fails bool
	c := newClient(t, 0, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("starting_after") == "":
			says(200, `{"has_more":true,"data":[`+held("requires_capture", 1250, 0, noProblem)+`]}`)(w, r)
		case fails:
			drop(w, r)
		default:
			says(200, `{"has_more":false,"data":[`+held("canceled", 0, 0, noProblem)+`]}`)(w, r)
		}
	})
	list := func() (statuses []domain.IntentStatus, err error) {
		for in, err := range c.Payments(t.Context(), time.Unix(5, 0), time.Unix(8, 0)) {
			if err != nil {
				return statuses, err
			}
			statuses = append(statuses, in.Status)
		}
		return statuses, nil
	}
	if got, err := list(); err != nil || !reflect.DeepEqual(got, []domain.IntentStatus{domain.IntentAuthorized, domain.IntentCanceled}) {
		t.Errorf("%v %v", got, err)
	}
	fails = true
	if got, err := list(); err == nil || len(got) != 1 {
		t.Errorf("a list that broke off: %v %v", got, err)
	}
}
