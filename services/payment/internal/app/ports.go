package app

import (
	"context"
	"iter"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Ports are what the use cases need of the outside.
type Ports struct {
	Attempts        Attempts
	Refunds         Refunds
	Reviews         Reviews
	Views           Views
	Persons         Persons
	Reconciliations Reconciliations
	Events          Events
	Provider        Provider
	Records         Records
	Statement       Statement
}

// Attempts is the table of attempts with their entries in the ledger. Each method is
// one commit. One that moves a state does so only from the states it names, and
// reports whether it did.
type Attempts interface {
	// Begin writes a as SENT, unless the order has an attempt: then it returns that. Errors:
	// ErrPaymentArchived.
	Begin(ctx context.Context, a domain.Attempt) (attempt domain.Attempt, begun bool, err error)
	// Get returns an order's attempt, without refunds, or ErrPaymentNotFound or
	// ErrPaymentArchived.
	Get(ctx context.Context, orderID string) (domain.Attempt, error)
	// Move takes an attempt from one state to another. An empty provider id or
	// code leaves what is there.
	Move(ctx context.Context, orderID string, from, to domain.State, providerID, code string) (domain.Attempt, bool, error)
	// StartCapture takes AUTHORIZED of exactly this amount to CAPTURE_SENT.
	StartCapture(ctx context.Context, orderID string, amount money.Money) (domain.Attempt, bool, error)
	// FinishCapture takes CAPTURE_SENT to CAPTURED and enters it in the ledger.
	FinishCapture(ctx context.Context, orderID string) (domain.Attempt, bool, error)
	// StartVoid takes SENT, AUTHORIZED or CAPTURE_FAILED to VOID_SENT.
	StartVoid(ctx context.Context, orderID string) (domain.Attempt, bool, error)
	// LeaveTombstone writes a tombstone, unless the order has an attempt or a tombstone, or had
	// one that is archived.
	LeaveTombstone(ctx context.Context, orderID, attemptID string) (bool, error)
	// EnterOrphanCapture enters a capture that should not have been, and the refund that
	// undid it, in the ledger; false if that payment is in it.
	EnterOrphanCapture(ctx context.Context, orderID, paymentID string, amount money.Money) (bool, error)
	// RecordVoid has the audit log say that a payment that should not have been was voided, where an
	// operator acts.
	RecordVoid(ctx context.Context, orderID, paymentID string) error
	// OrphanEntered reports whether EnterOrphanCapture has entered a payment.
	OrphanEntered(ctx context.Context, paymentID string) (bool, error)
}

// Refunds is the table of refunds with their entries in the ledger, as Attempts is
// that of attempts.
type Refunds interface {
	// StartRefund writes r as SENT if the attempt is CAPTURED and so much of it
	// is neither refunded nor being refunded, also when other refunds start at once.
	StartRefund(ctx context.Context, r domain.Refund) (domain.Refund, bool, error)
	// GetRefund reports whether there is a refund of this id.
	GetRefund(ctx context.Context, id string) (domain.Refund, bool, error)
	// FinishRefund takes SENT to SUCCEEDED and enters it in the ledger.
	FinishRefund(ctx context.Context, id, providerID string) (bool, error)
	// FailRefund takes SENT to FAILED and frees its amount.
	FailRefund(ctx context.Context, id, code string) (bool, error)
}

// Views answers questions without a wait for the commands that run.
type Views interface {
	// Payment returns an order's attempt with its refunds, oldest first, or
	// ErrPaymentNotFound.
	Payment(ctx context.Context, orderID string) (domain.Attempt, error)
}

// Reviews is what a review reads and writes of attempts and refunds.
type Reviews interface {
	// Open returns attempts older than a time whose outcome is open, up to limit
	// in the order of their order ids, from the one after a given id.
	Open(ctx context.Context, before time.Time, after string, limit int) ([]domain.Attempt, error)
	// OpenRefunds does the same for refunds.
	OpenRefunds(ctx context.Context, before time.Time, after string, limit int) ([]domain.Refund, error)
	// Settle takes NEEDS_REVIEW to where the decision says, and keeps that.
	Settle(ctx context.Context, orderID string, to domain.State, providerID, code string, d domain.Decision) (domain.Attempt, bool, error)
	// SettleRefund takes a refund from SENT to FAILED, and keeps the decision.
	SettleRefund(ctx context.Context, id, code string, d domain.Decision) (bool, error)
}

// Reconciliations are the tables of reconciliations, with the ledger as they see it.
type Reconciliations interface {
	// StartReconciliation writes one in its first phase, unless a daily one that
	// begins there has been started: then it returns that.
	StartReconciliation(ctx context.Context, id string, from, to time.Time, daily bool) (domain.Reconciliation, error)
	// UnfinishedReconciliation reports whether there is one that is not done.
	UnfinishedReconciliation(ctx context.Context) (domain.Reconciliation, bool, error)
	// LastDaily reports whether there was a daily one, and returns the last.
	LastDaily(ctx context.Context) (domain.Reconciliation, bool, error)
	// Reconciliation returns one with totals and first differences, or
	// ErrReconciliationNotFound.
	Reconciliation(ctx context.Context, id string) (domain.Reconciliation, error)
	// FirstAttempt is when the first attempt began, now if there is none.
	FirstAttempt(ctx context.Context) (time.Time, error)
	// Entries returns the ledger's transactions about payments and refunds of
	// these ids of the provider.
	Entries(ctx context.Context, refs []string) ([]domain.Entry, error)
	// Unmatched returns a page of what the ledger has in the window and the
	// provider's list had not; next is empty at the end.
	Unmatched(ctx context.Context, r domain.Reconciliation) (page []domain.Entry, next string, err error)
	// Matched returns the balance transactions that these transactions were matched with.
	Matched(ctx context.Context, reconciliationID string, transactionIDs []string) (map[string]string, error)
	// OpenOrders returns those with a command whose outcome is open.
	OpenOrders(ctx context.Context, orderIDs []string) (map[string]bool, error)
	// WritePage writes what a page came to and moves on from r's phase and cursor,
	// unless another process has: then it writes nothing and reports false.
	WritePage(ctx context.Context, r domain.Reconciliation, p domain.Page) (bool, error)
}

// Provider performs commands at the payment provider. A call with a key that was used
// before has no second effect and the first one's answer; if that is an error or a
// refusal, what the provider holds is believed instead. Errors: *Refusal is
// definitive; anything else means that the outcome is unknown.
type Provider interface {
	// Limits are what it charges of a currency. Errors: *domain.AmountError for
	// one that it does not.
	Limits(currency string) (domain.Limits, error)
	// Authorize holds the amount.
	Authorize(ctx context.Context, req Authorization) (Hold, error)
	// Capture captures the authorized amount; nil means that it is captured.
	Capture(ctx context.Context, key, paymentID string, amount money.Money) error
	// Void cancels a payment; nil means that nothing is authorized. ErrAlreadyCaptured
	// means that the amount is captured: it can only be refunded.
	Void(ctx context.Context, key, paymentID string) error
	// Refund refunds part of a capture and returns the provider's id of the refund.
	Refund(ctx context.Context, key string, r domain.Refund) (id string, err error)
	// Retrieve returns a payment as it is now. Errors: ErrNoSuchPayment.
	Retrieve(ctx context.Context, paymentID string) (domain.Intent, error)
}

// Records is what the provider lists, for payments and refunds whose outcome is not
// known. Errors mean that nothing is known.
type Records interface {
	// Find looks for the payment of an attempt. That there is none says nothing:
	// it may be on its way, or the provider's index behind.
	Find(ctx context.Context, attemptID string) (in domain.Intent, found bool, err error)
	// FindRefund looks for what a refund became. None means that there is none
	// by now. Errors: *Refusal for one that failed.
	FindRefund(ctx context.Context, r domain.Refund) (id string, found bool, err error)
	// Payments yields every payment that was made at the provider from one time
	// to another, in any order. An error ends it: then it is not complete.
	Payments(ctx context.Context, from, to time.Time) iter.Seq2[domain.Intent, error]
}

// Statement is the provider's account of what moved, for reconciliations. Errors mean
// that nothing is known.
type Statement interface {
	// BalanceTransactions returns a page of what moved from one time to another, newest
	// first; next is empty at the end.
	BalanceTransactions(ctx context.Context, from, to time.Time, cursor string) (page []domain.BalanceTransaction, next string, err error)
	// Retrieve is Provider's, FindRefund that of Records.
	Retrieve(ctx context.Context, paymentID string) (domain.Intent, error)
	FindRefund(ctx context.Context, r domain.Refund) (id string, found bool, err error)
}

// Authorization is what a provider is asked to hold.
type Authorization struct {
	Key                string
	OrderID, AttemptID string
	OrderNumber        string
	Method             string
	Amount             money.Money
	// Replay: the authorization is asked for again to learn what is held, so that it
	// can be voided.
	Replay bool
}

// Hold is a provider's answer to an authorization.
type Hold struct {
	PaymentID string
	// NeedsAction means that nothing is held until the payer has done something.
	NeedsAction bool
}

// Events is the table of webhook events. Each method is one commit.
type Events interface {
	// KeepEvent writes an event and returns in which state: a pending one that is recorded
	// by its order's attempt is applied by that; one that stays pending has its job. The
	// state is empty if the event was kept before.
	KeepEvent(ctx context.Context, e domain.Event, traceparent string) (domain.EventState, error)
	// GetEvent reports whether there is an event of this id.
	GetEvent(ctx context.Context, id string) (domain.Event, bool, error)
	// SettleEvent takes PENDING to another state.
	SettleEvent(ctx context.Context, id string, to domain.EventState) error
	// FailEvent counts an attempt that failed for a reason, and takes PENDING to
	// DEAD with the last of so many. It returns the event as it is then.
	FailEvent(ctx context.Context, id, reason string, limit int) (domain.Event, error)
}

// Verifier reads what came with a signature as of now. Errors: ErrNotSigned,
// ErrMalformed, ErrWebhooksOff.
type Verifier interface {
	Verify(payload []byte, signature string, now time.Time) (domain.Event, error)
}

// Syncer retrieves a payment from the provider and brings its attempt to the
// provider's state. Errors: ErrPaymentNotFound if it is not this shop's.
type Syncer interface {
	// AwaitCommand waits until no command of this process is under way for the order, for so
	// long at most.
	AwaitCommand(ctx context.Context, orderID string, atMost time.Duration)
	// Recorded reports whether the order's attempt records what an event reports.
	Recorded(ctx context.Context, orderID string, e domain.Event) (bool, error)
	Sync(ctx context.Context, paymentID string) (domain.Attempt, error)
}
