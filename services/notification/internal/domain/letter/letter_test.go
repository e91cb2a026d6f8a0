package letter

import (
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

// TestToOperators: why an endpoint was disabled, and what to do, in both parts; what an operator
// or a receiver wrote is text there.
func TestToOperators(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 26, 21, 20, 0, 0, time.UTC)
	for why, e := range map[string]mail.Endpoint{
		"Nothing has reached it since 26 November 2026, 21:20 UTC": {ID: "e1", Host: "hooks.example", Description: `<b>"ERP"</b>`, FailingSince: since, LastError: "answered <500>"},
		"It answered 410 Gone": {ID: "e1", Host: "hooks.example", Description: `<b>"ERP"</b>`, Gone: true, FailingSince: since, LastError: "answered <500>"},
	} {
		m := &mail.Mail{Kind: mail.EndpointDisabled, HappenedAt: since.Add(72 * time.Hour), Endpoint: &e}
		got, err := Writer{ShopURL: "https://shop.test/"}.WriteToOperators(m)
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != "The webhook endpoint at hooks.example was disabled" {
			t.Errorf("subject %q", got.Subject)
		}
		for _, want := range []string{why, "e1", "29 November 2026, 21:20 UTC", "PATCH https://shop.test/v1/webhook-endpoints/e1", "the shop's operators"} {
			if !strings.Contains(got.Text, want) {
				t.Errorf("the text has no %q:\n%s", want, got.Text)
			}
			if !strings.Contains(got.HTML, strings.ReplaceAll(want, "'", "&#39;")) {
				t.Errorf("the HTML has no %q:\n%s", want, got.HTML)
			}
		}
		if !strings.Contains(got.Text, `Description: <b>"ERP"</b>`) || !strings.Contains(got.Text, "Last attempt: answered <500>") {
			t.Errorf("text:\n%s", got.Text)
		}
		if strings.Contains(got.HTML, "<b>") || strings.Contains(got.HTML, "<500>") || !strings.Contains(got.HTML, "&lt;b&gt;&#34;ERP&#34;&lt;/b&gt;") {
			t.Errorf("what others wrote is not escaped:\n%s", got.HTML)
		}
		for _, part := range []string{got.Text, got.HTML} {
			if strings.Contains(part, "our order") || strings.Contains(part, "See your") {
				t.Errorf("it speaks of an order:\n%s", part)
			}
		}
	}
}

// TestToABuyer: both parts name the order and lead to it.
func TestToABuyer(t *testing.T) {
	t.Parallel()
	pounds := func(n int64) money.Money { return money.Money{Units: n, Currency: "GBP"} }
	m := &mail.Mail{Kind: mail.Confirmed, OrderID: "o1", OrderNumber: "S-1", Amount: pounds(500)}
	o := &mail.Order{
		PlacedAt: time.Date(2026, 11, 26, 21, 20, 0, 0, time.UTC), Total: pounds(500), ShipTo: []string{"Ada", "London"},
		Lines: []mail.Line{{SKU: "L", Name: "Lamp <small>", Quantity: 2, UnitPrice: pounds(250), Total: pounds(500)}},
	}
	got, err := Writer{ShopURL: "https://shop.test"}.Write(m, o)
	if err != nil {
		t.Fatal(err)
	}
	text := `Thank you! Your order is complete

Order S-1, placed 26 November 2026

We have your order, and it is paid. We are packing your items now.

What you ordered

- Lamp <small>
  2 × £2.50 = £5.00

Total, paid: £5.00

Where it goes

  Ada
  London

Your order: https://shop.test/orders/o1
(It opens in the browser in which you ordered.)

-- 
Souk. This mail was sent because of your order S-1.
`
	if strings.TrimSpace(got.Text) != strings.TrimSpace(text) {
		t.Errorf("text:\n%s", got.Text)
	}
	for _, want := range []string{"Order S-1, placed 26 November 2026", `href="https://shop.test/orders/o1"`, "Lamp &lt;small&gt;", "because of your order S-1."} {
		if !strings.Contains(got.HTML, want) {
			t.Errorf("the HTML has no %q:\n%s", want, got.HTML)
		}
	}
}
