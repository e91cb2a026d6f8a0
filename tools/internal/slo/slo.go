// Package slo is the one table of what the shop promises its customers, in numbers, and of
// what wakes whom. Prometheus' rules and Alertmanager's routes are made of it.
//
// An objective's alerts are those of the Site Reliability Workbook (Beyer and others, 2018),
// chapter 5, "Alerting on SLOs", table 5-8: the error budget of 30 days is burnt at a rate at
// which it would end early, over a long window and, so that an alert ends soon after the
// fault has, over a short one. Causes have alerts of their own where a fault of something
// that Souk depends on can be told by its name.
package slo

//go:generate go run ./generate

import (
	"fmt"
	"math"
	"time"
)

// Severity says what an alert is worth.
type Severity string

// The severities.
const (
	// Page: customers are hurt now; the operator on call is woken.
	Page Severity = "page"
	// Ticket: an operator looks at it within a few days.
	Ticket Severity = "ticket"
)

// Objective is what is promised of one thing that customers do.
type Objective struct {
	// Name is the label slo, as in "checkout-success". Alert is the name of its alerts.
	Name, Alert string
	// Title and Promise say it in words.
	Title, Promise string
	// Target is the share that is good over 30 days, as in 0.999.
	Target float64
	// Bad and Total are PromQL for the rates, per second, of what is bad and of all, with
	// %s for the window. A Bad without series is 0, a Total without is an idle shop.
	Bad, Total string
	// BadNow is PromQL for 1 while it is bad and 0 while it is good, instead of Bad and
	// Total: what is promised is then a share of the time.
	BadNow string
}

// Window is one way of burning a budget.
type Window struct {
	Long, Short time.Duration
	// Burn is how many times faster than the budget allows it burns.
	Burn     float64
	Severity Severity
}

// Windows are those of table 5-8 of the Site Reliability Workbook: 2% of the budget in one
// hour, 5% in six, 10% in three days.
func Windows() []Window {
	return []Window{
		{Long: time.Hour, Short: 5 * time.Minute, Burn: 14.4, Severity: Page},
		{Long: 6 * time.Hour, Short: 30 * time.Minute, Burn: 6, Severity: Page},
		{Long: 72 * time.Hour, Short: 6 * time.Hour, Burn: 1, Severity: Ticket},
	}
}

// Detection is how long a whole outage lasts before the window's alert fires: the time in
// which it alone burns the window's part of the budget.
func (o Objective) Detection(w Window) time.Duration {
	return time.Duration(float64(w.Long) * w.Burn * (1 - o.Target)).Round(time.Second)
}

// The requests of customers, at the gateway.
const (
	requests = `http_server_request_duration_seconds`
	browse   = `http_request_method=~"GET|HEAD", http_route=~"/(|products.*|categories.*|v1/products.*|v1/categories)"`
	checkout = `http_request_method="POST", http_route=~"/(checkout|v1/orders)"`
	failed   = `http_response_status_code=~"5.."`
	answered = `http_response_status_code!~"5.."`
	// left are requests whose customer went away: the gateway notes them as 499.
	left = `http_response_status_code="499"`
)

// failures is PromQL for the requests of a kind that the shop failed: those that it answered with 5xx,
// and those whose customer went away after 5 s without an answer. One who goes sooner had no reason to
// that is the shop's.
func failures(kind string) string {
	return `((sum(rate(` + requests + `_count{` + kind + `, ` + failed + `}[%[1]s])) or vector(0)) + ((sum(rate(` +
		requests + `_count{` + kind + `, ` + left + `}[%[1]s])) - sum(rate(` + requests + `_bucket{` + kind + `, ` + left + `, le=~"5|5.0"}[%[1]s]))) or vector(0)))`
}

// ownFault are the reasons for which the shop, not the customer or the bank, cancels an order.
const ownFault = `souk_order_cancel_reason=~"timed_out|reservation_lost|capture_failed|amount_mismatch"`

// Objectives is the table.
func Objectives() []Objective {
	return []Objective{
		{
			Name: "browse-availability", Alert: "BrowseFails", Title: "Browsing works",
			Promise: "99.9% of requests for the shop's pages and products are answered, and not with a server's error.",
			Target:  0.999,
			Bad:     failures(browse),
			Total:   `sum(rate(` + requests + `_count{` + browse + `}[%s]))`,
		},
		{
			Name: "browse-latency", Alert: "BrowseIsSlow", Title: "Browsing is fast",
			Promise: "99% of these requests that are answered are answered within 500 ms.",
			Target:  0.99,
			Bad: `(sum(rate(` + requests + `_count{` + browse + `, ` + answered + `}[%[1]s])) - sum(rate(` +
				requests + `_bucket{` + browse + `, ` + answered + `, le="0.5"}[%[1]s])))`,
			Total: `sum(rate(` + requests + `_count{` + browse + `, ` + answered + `}[%s]))`,
		},
		{
			Name: "checkout-success", Alert: "CheckoutFails", Title: "Checkout works",
			Promise: "99.9% of orders that customers place are taken, and not cancelled by a fault of the shop.",
			Target:  0.999,
			Bad: `(` + failures(checkout) + ` + (sum(rate(` +
				`souk_order_settle_duration_seconds_count{` + ownFault + `}[%[1]s])) or vector(0)))`,
			Total: `sum(rate(` + requests + `_count{` + checkout + `}[%s]))`,
		},
		{
			Name: "time-to-settled", Alert: "OrdersSettleLate", Title: "Orders settle soon",
			Promise: "99% of orders are paid or cancelled within 10 s.",
			Target:  0.99,
			Bad: `(sum(rate(souk_order_settle_duration_seconds_count[%[1]s])) - sum(rate(` +
				`souk_order_settle_duration_seconds_bucket{le=~"10|10.0"}[%[1]s])))`,
			Total: `sum(rate(souk_order_settle_duration_seconds_count[%s]))`,
		},
		{
			Name: "event-freshness", Alert: "EventsAreLate", Title: "Events are fresh",
			Promise: "For 99% of the time no event waits longer than 10 s to be published.",
			Target:  0.99,
			// The age that a replica reported last, before it lost the lead, says nothing.
			BadNow: `max(souk_events_lag_age_seconds and on (job, instance) (souk_events_leading == 1)) > bool 10`,
		},
		{
			Name: "mail-delivered", Alert: "MailIsLate", Title: "Mail is delivered",
			Promise: "For 99% of the time no mail waits longer than 10 minutes for the mail server to take it.",
			Target:  0.99,
			BadNow:  `max(souk_mail_backlog_age_seconds) > bool 600`,
		},
	}
}

// prom is a duration as Prometheus writes it.
func prom(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// budget is the share that may be bad, without what binary fractions add to it.
func (o Objective) budget() float64 { return math.Round((1-o.Target)*1e9) / 1e9 }
