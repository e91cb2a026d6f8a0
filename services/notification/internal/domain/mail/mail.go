// Package mail says which mails the shop sends, of what, and where each can stand.
package mail

import (
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// Kind is what a mail tells.
type Kind string

// The kinds of mails. An order is told of once it is settled, which takes seconds, and ten
// minutes at most: that it was received is said with the outcome, so that a buyer gets no two
// mails that say the same.
const (
	// Confirmed: the order was received and paid.
	Confirmed Kind = "confirmed"
	// Cancelled: the order was given up, and why.
	Cancelled Kind = "cancelled"
	// Refunded: money of a paid order was given back.
	Refunded Kind = "refunded"
	// EndpointDisabled: the service has disabled a webhook endpoint, and why. It goes to the
	// shop's operators, and there is no order.
	EndpointDisabled Kind = "endpoint_disabled"
)

// State is where a mail stands.
type State string

// The states. Queued and Sending are open, the others final.
const (
	// Queued: its job is due, now or after a pause.
	Queued State = "queued"
	// Sending: written before the mail server is asked. A mail that is found so, by a job that
	// runs again, may have been sent: it is sent again, under the same Message-ID.
	Sending State = "sending"
	// Sent: the mail server has accepted it.
	Sent State = "sent"
	// Kept: there is no mail server; it can be looked at.
	Kept State = "kept"
	// Failed: the mail server refused it for good, or did not take it in time.
	Failed State = "failed"
	// Withheld: it was not sent on purpose.
	Withheld State = "withheld"
)

// Open reports whether something is still to be done.
func (s State) Open() bool { return s == Queued || s == Sending }

// Why a mail was withheld.
const (
	// ReasonErased: who the buyer was is erased.
	ReasonErased = "erased"
	// ReasonTooOld: what it tells was true too long ago when it could have been sent.
	ReasonTooOld = "too old"
)

// Mail is one mail to the buyer of an order about one event, or to the shop's operators. It has
// neither the address nor the text: those to a buyer are made of the order when it is sent or
// looked at, so that what the order service erases is nowhere else.
type Mail struct {
	// ID is a UUIDv7.
	ID   string
	Kind Kind
	// Subject and Version are those of the event; of EndpointDisabled the endpoint's name and
	// version.
	Subject string
	Version int64
	// HappenedAt is when that became true which the mail tells.
	HappenedAt time.Time
	// Endpoint is what EndpointDisabled is about, nil in other mails. One with an endpoint has no
	// order: OrderID and what else is of an order are empty.
	Endpoint    *Endpoint
	OrderID     string
	OrderNumber string
	CustomerID  string
	// CancelReason is that of a cancelled order, as the order service names it
	// ("PAYMENT_DECLINED").
	CancelReason string
	// RefundID, Amount and Refunded are of a refund: what was given back, and how much of
	// the order was in all. Of other mails Amount is the order's total.
	RefundID         string
	Amount, Refunded money.Money
	State            State
	// Attempts is how often the mail server was asked.
	Attempts int
	// Reason is why it is Failed or Withheld, or what kept it from being sent so far.
	Reason string
	// TraceParent is the trace that led to it; empty once it is settled.
	TraceParent string
	CreatedAt   time.Time
	// ChangedAt is when the state was written.
	ChangedAt time.Time
}

// MessageID is the mail's name in the world, without brackets, the same whenever it is sent:
// of two copies with one Message-ID mailboxes show one. host is the sender's domain.
func (m *Mail) MessageID(host string) string {
	return m.Subject + "." + strconv.FormatInt(m.Version, 10) + "@" + host
}

// Endpoint is a webhook endpoint as it was when the service disabled it. An operator may have
// changed or removed it when the mail is sent.
type Endpoint struct {
	// ID is a UUIDv7.
	ID string
	// Host is that of its URL. The path may have a token of the receiver, and is in no mail.
	Host string
	// Description is the operators' own words.
	Description string
	// Gone is set when it answered 410; else nothing had reached it since FailingSince.
	Gone         bool
	FailingSince time.Time
	// LastError is what the last attempt came to.
	LastError string
}

// Order is what a mail says of an order, as it is when the mail is made.
type Order struct {
	Email    string
	PlacedAt time.Time
	Lines    []Line
	Total    money.Money
	// ShipTo are the lines of the postal address.
	ShipTo    []string
	ShortSKUs []string
	Refunds   []Refund
	// Erased is set when who the buyer was is erased.
	Erased bool
}

// Line is what was bought.
type Line struct {
	SKU, Name string
	Quantity  int64
	UnitPrice money.Money
	Total     money.Money
}

// Refund is one of an order's.
type Refund struct {
	ID    string
	Units []Units
}

// Units are a number of units of a line.
type Units struct {
	SKU      string
	Quantity int64
}

// Refund returns that of an id, the zero value when there is none.
func (o *Order) Refund(id string) Refund {
	if i := slices.IndexFunc(o.Refunds, func(r Refund) bool { return r.ID == id }); i >= 0 {
		return o.Refunds[i]
	}
	return Refund{}
}

// NameOf returns what a SKU is called in the order.
func (o *Order) NameOf(sku string) string {
	for _, l := range o.Lines {
		if l.SKU == sku && l.Name != "" {
			return l.Name
		}
	}
	return sku
}
