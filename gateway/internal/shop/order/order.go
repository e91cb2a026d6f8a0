package order

import (
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/proto/contact"
	"github.com/souk-shop/souk/proto/money"
)

// Limits of requests.
const (
	PageSize = 20 // orders a page when the caller does not say
	MaxWait  = 30 * time.Second
)

// State is where an order stands: the name of the contract's enum value.
type State string

// The states.
const (
	StatePending     State = "PENDING"
	StateAuthorizing State = "AUTHORIZING"
	StateConfirming  State = "CONFIRMING"
	StateCapturing   State = "CAPTURING"
	StatePaid        State = "PAID"
	StateCancelling  State = "CANCELLING"
	StateCancelled   State = "CANCELLED"
)

// Terminal reports that the order is settled.
func (s State) Terminal() bool { return s == StatePaid || s == StateCancelled }

// Order is a purchase. Which fields are set depends on where it comes from: a
// listing has no history, a watched order no lines.
type Order struct {
	ID           uuid.UUID
	Number       string // what people see
	State        State
	CancelReason string  // "INSUFFICIENT_STOCK", "PAYMENT_DECLINED", ...; "" unless cancelled
	Decline      Decline // why the payment was refused, as its buyer may know it; "" unless it was
	DeclineCode  string  // the provider's code, for operators alone
	Lines        []Line
	Total        money.Money
	Refunded     money.Money
	Email        string
	Address      contact.Address
	CartID       string
	PlacedAt     time.Time
	SettledAt    time.Time // zero before
	ErasedAt     time.Time // when Email and Address were erased; zero before
	Version      int64
	Refunds      []Refund
	History      []StateChange
	ShortSKUs    []string // when cancelled for INSUFFICIENT_STOCK or HELD_BY_OTHERS
	// AgreementDigest is Quote.Digest of what the buyer agreed to; nil when the caller
	// stated no agreement.
	AgreementDigest []byte
}

// Quote is what a buyer is offered and agrees to: what an order of a cart would be
// placed with now.
type Quote struct {
	CartVersion int64
	Lines       []Line
	Total       money.Money
	// Agreement is the quote as opaque text, for Checkout.
	Agreement string
	// Digest is SHA-256 of the quote.
	Digest []byte
	// Change since an earlier agreement; nil when there is none.
	Change *problem.PriceChange
}

// Line is what was bought, as it was then.
type Line struct {
	SKU              string
	Name             string
	Quantity         int64
	UnitPrice        money.Money
	Total            money.Money
	RefundedQuantity int64
}

// StateChange is a step of an order.
type StateChange struct {
	State State
	At    time.Time
}

// Refund is money, and perhaps units, given back.
type Refund struct {
	ID        string
	State     string // "PENDING", "SUCCEEDED", "FAILED"
	Amount    money.Money
	Lines     []RefundLine
	Restock   bool
	Reason    string
	CreatedAt time.Time
}

// RefundLine is a number of units of a SKU that are given back.
type RefundLine struct {
	SKU      string
	Quantity int64
}
