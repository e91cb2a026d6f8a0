// Package letter writes the mails: subject, text and HTML.
package letter

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

//go:embed templates/*
var files embed.FS

var (
	htmls = htmltemplate.Must(htmltemplate.ParseFS(files, "templates/*.html"))
	texts = texttemplate.Must(texttemplate.ParseFS(files, "templates/*.txt"))
)

// Letter is a mail as it is read.
type Letter struct {
	Subject, Text, HTML string
}

// page is what the templates are given.
type page struct {
	Subject string
	// Preview is what a list of mails shows beside the subject.
	Preview string
	Heading string
	// Paragraphs come before the lines.
	Paragraphs []string
	// About is the order or the endpoint.
	About string
	// URL is the order's page; "" where there is no order.
	URL string
	// Facts are about an endpoint.
	Facts []fact
	// Table is "What you ordered", or "What is refunded".
	Table string
	Lines []line
	// Sums are below the lines.
	Sums   []sum
	Short  []string
	ShipTo []string
	// Why says why the reader was sent the mail.
	Why string
}

type fact struct{ Label, Value string }

type line struct{ Name, Detail, Total string }

type sum struct {
	Label, Amount string
	Strong        bool
}

// Writer writes mails for a shop.
type Writer struct {
	// ShopURL is where the shop is, "https://shop.example", for links to orders.
	ShopURL string
}

// Write writes a mail to a buyer of the order as it is now.
func (w Writer) Write(m *mail.Mail, o *mail.Order) (Letter, error) {
	p := page{
		About: "Order " + m.OrderNumber + ", placed " + o.PlacedAt.UTC().Format("2 January 2006"),
		URL:   w.shop() + "/orders/" + m.OrderID, Subject: Subject(m), Why: "This mail was sent because of your order " + m.OrderNumber + ".",
	}
	switch m.Kind {
	case mail.Confirmed:
		p.confirmed(m, o)
	case mail.Cancelled:
		p.cancelled(m, o)
	case mail.Refunded:
		p.refunded(m, o)
	default:
		return Letter{}, fmt.Errorf("there is no text for mails of the kind %q", m.Kind)
	}
	return p.write()
}

// WriteToOperators writes a mail about a webhook endpoint.
func (w Writer) WriteToOperators(m *mail.Mail) (Letter, error) {
	p := page{Subject: Subject(m), About: "Webhooks to " + m.Endpoint.Host, Why: "It was sent to the address for the shop's operators."}
	p.disabled(m, w.shop())
	return p.write()
}

func (w Writer) shop() string { return strings.TrimSuffix(w.ShopURL, "/") }

func (p *page) write() (Letter, error) {
	var text, html strings.Builder
	if err := texts.ExecuteTemplate(&text, "mail.txt", p); err != nil {
		return Letter{}, err
	}
	if err := htmls.ExecuteTemplate(&html, "mail.html", p); err != nil {
		return Letter{}, err
	}
	return Letter{Subject: p.Subject, Text: text.String(), HTML: html.String()}, nil
}

// Subject is the subject of a mail, which needs no order.
func Subject(m *mail.Mail) string {
	switch m.Kind {
	case mail.EndpointDisabled:
		return "The webhook endpoint at " + m.Endpoint.Host + " was disabled"
	case mail.Cancelled:
		return "Your order " + m.OrderNumber + " was cancelled"
	case mail.Refunded:
		return "Refund of " + m.Amount.Format() + " for your order " + m.OrderNumber
	default:
		return "Thank you for your order " + m.OrderNumber
	}
}

func (p *page) confirmed(m *mail.Mail, o *mail.Order) {
	p.Heading = "Thank you! Your order is complete"
	p.Preview = "We have your order, and " + m.Amount.Format() + " is paid."
	p.Paragraphs = []string{"We have your order, and it is paid. We are packing your items now."}
	p.Table = "What you ordered"
	p.ordered(o)
	p.Sums = []sum{{"Total, paid", m.Amount.Format(), true}}
	p.ShipTo = o.ShipTo
}

// ordered are all lines.
func (p *page) ordered(o *mail.Order) {
	for _, l := range o.Lines {
		p.Lines = append(p.Lines, line{l.Name, fmt.Sprintf("%d × %s", l.Quantity, l.UnitPrice.Format()), l.Total.Format()})
	}
}

// whyCancelled is what a buyer is told, by the order service's reasons. What the bank said is not
// in it: it would tell who tries stolen cards which of them live.
var whyCancelled = map[string]string{
	"INSUFFICIENT_STOCK": "There is not enough left of some of your items.",
	"HELD_BY_OTHERS":     "All that is left of some of your items was set aside for shoppers who were paying.",
	"PAYMENT_DECLINED":   "The payment was declined.",
	"CUSTOMER":           "You cancelled it.",
	"TIMED_OUT":          "We could not finish it in time.",
	"RESERVATION_LOST":   "We could not keep your items aside long enough.",
	"CAPTURE_FAILED":     "Your bank took back its approval of the payment.",
	"AMOUNT_MISMATCH":    "The payment did not match the order.",
}

func (p *page) cancelled(m *mail.Mail, o *mail.Order) {
	p.Heading = "Your order was cancelled"
	p.Preview = "Nothing was charged."
	why := whyCancelled[m.CancelReason]
	if why == "" {
		why = "We could not complete it."
	}
	p.Paragraphs = []string{why + " Nothing was charged. If your bank shows an amount as pending, it disappears by itself."}
	if m.CancelReason != "CUSTOMER" {
		p.Paragraphs = append(p.Paragraphs, "You can order again at any time; your items may still be in your cart.")
	}
	for _, sku := range o.ShortSKUs {
		p.Short = append(p.Short, o.NameOf(sku))
	}
	p.Table = "What you had ordered"
	p.ordered(o)
	p.Sums = []sum{{"Total, not charged", m.Amount.Format(), true}}
}

func (p *page) refunded(m *mail.Mail, o *mail.Order) {
	whole := m.Refunded.Cmp(o.Total) == 0
	p.Heading = "We have refunded " + m.Amount.Format()
	p.Preview = "The money goes back to the card that you paid with."
	what := "a part of your order"
	switch {
	case whole && m.Amount.Cmp(o.Total) == 0:
		what = "all of your order"
	case whole:
		what = "the rest of your order"
	}
	p.Paragraphs = []string{
		"We have given back " + m.Amount.Format() + " for " + what + ". It goes to the card that you paid with; " +
			"it may take some days until your bank shows it.",
	}
	p.Table = "What is refunded"
	for _, u := range o.Refund(m.RefundID).Units {
		p.Lines = append(p.Lines, line{Name: o.NameOf(u.SKU), Detail: fmt.Sprintf("%d ×", u.Quantity)})
	}
	p.Sums = []sum{{"This refund", m.Amount.Format(), true}}
	if m.Amount.Cmp(m.Refunded) != 0 {
		p.Sums = append(p.Sums, sum{"Refunded so far", m.Refunded.Format(), false})
	}
	p.Sums = append(p.Sums, sum{"Total of the order", o.Total.Format(), false})
}

func (p *page) disabled(m *mail.Mail, shop string) {
	e := m.Endpoint
	p.Heading = "A webhook endpoint was disabled"
	p.Preview = "Nothing is sent to " + e.Host + " any more."
	why := "Nothing has reached it since " + moment(e.FailingSince) + ", so the shop sends nothing to it any more."
	if e.Gone {
		why = "It answered 410 Gone, so the shop sends nothing to it any more."
	}
	p.Paragraphs = []string{
		why,
		"What waits for it is sent when it is enabled again, as long as deliveries are kept. It is not told what happens while it is disabled.",
		"When the receiver answers again, enable the endpoint with PATCH " + shop + "/v1/webhook-endpoints/" + e.ID +
			` and {"enabled": true}. POST to /replay below that address sends again what failed for good.`,
	}
	p.Facts = []fact{{"Endpoint", e.ID}}
	if e.Description != "" {
		p.Facts = append(p.Facts, fact{"Description", e.Description})
	}
	p.Facts = append(p.Facts, fact{"Host", e.Host}, fact{"Last attempt", e.LastError}, fact{"Disabled", moment(m.HappenedAt)})
}

func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 MST") }
