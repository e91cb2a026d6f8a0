package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/tools/stripesim/internal/id"
)

// State is what the journal's entries add up to. It is used with the store
// locked, within Store.Update, Store.Read and Store.Execute; only apply changes
// its exported fields.
type State struct {
	Intents             map[string]*Intent // their latest version
	Payments            []*Header          // of every intent, oldest first
	Refunds             map[string]*Refund
	RefundOrder         []*Refund            // oldest first
	Charges             []ChargeRef          // oldest first
	BalanceTransactions []BalanceTransaction // oldest first
	Events              []*Event             // of the last 30 days, oldest first

	// Fired counts faults by kind, over the whole journal, as do Delivered and
	// GivenUp webhooks.
	Fired     map[string]int64
	Delivered int64
	GivenUp   int64

	now     func() time.Time
	journal *journal // nil while it is read
	seq     int64    // of the latest entry

	keys       map[string]*stored
	keyOrder   []*stored          // oldest first
	superseded map[string]*Intent // versions whose charge was not the last, by the charge's id

	endpoints   int
	undelivered map[Webhook]*Delivery
	deliver     func(st *State, d *Delivery, durable *Batch) // nil before Subscribe
}

// stamp numbers and dates an entry.
func (st *State) stamp(e *Entry) {
	e.Seq, e.At = st.seq+1, st.now().UTC().Truncate(time.Millisecond)
}

// record applies and appends an entry that belongs to no request. One that is
// not urgent is written with the next one that is.
func (st *State) record(e *Entry, urgent bool) *Batch {
	st.stamp(e)
	if _, err := st.apply(e); err != nil {
		return failedBatch(err)
	}
	return st.journal.append(e, urgent)
}

// apply changes the state by an entry, new or from the journal, and returns the
// result of the request that made it.
func (st *State) apply(e *Entry) (Result, error) {
	if e.Seq != st.seq+1 {
		return Result{}, fmt.Errorf("event %d follows event %d", e.Seq, st.seq)
	}
	var res Result
	switch e.Type {
	case entryFailed:
		err := *e.Error
		err.Kept, err.Intent = true, st.Intents[e.PaymentIntent]
		res.Err = &err
	case entryFault:
		if e.Fault == nil {
			return Result{}, errors.New("a fault without a kind")
		}
		st.Fired[e.Fault.Kind]++
		st.applyFault(e.Fault)
	case entryDelivered, entryGivenUp:
		if e.Webhook == nil {
			return Result{}, errors.New("no webhook is named")
		}
		if e.Type == entryDelivered {
			st.Delivered++
		} else {
			st.GivenUp++
		}
		delete(st.undelivered, *e.Webhook)
	case entryRefunded:
		in := st.Intents[e.PaymentIntent]
		if in == nil {
			return Result{}, fmt.Errorf("refund %s of unknown payment %s", e.ID, e.PaymentIntent)
		}
		res.Object = st.addRefund(e, in)
		st.addEvent(e, st.Intents[in.ID])
	default:
		in, err := st.next(e)
		if err != nil {
			return Result{}, err
		}
		st.setIntent(e, in)
		st.addEvent(e, in)
		res.Object = in
		if e.Type == entryDeclined {
			res = Result{Err: declined(in)}
		}
	}
	if e.Error != nil && e.Type != entryFailed {
		err := *e.Error
		err.Kept = true
		res = Result{Err: &err}
	}
	st.seq = e.Seq
	if e.IdempotencyKey != "" {
		st.keep(e, res)
	}
	return res, nil
}

// next returns the version of a payment intent that an entry makes.
func (st *State) next(e *Entry) (*Intent, error) {
	in := new(Intent)
	if prev := st.Intents[e.ID]; prev != nil {
		*in = *prev
	} else {
		in.Header = &Header{
			ID: e.ID, Amount: e.Amount, Currency: intern(e.Currency), CreatedAt: e.At.Unix(), Metadata: e.Metadata,
			ManualCapture: e.CaptureMethod == "manual", Description: e.Description, StatementSuffix: e.StatementSuffix,
		}
	}
	if e.PaymentMethod != "" {
		if in.Card = cards[e.PaymentMethod]; in.Card == nil {
			return nil, fmt.Errorf("payment %s has an unknown payment method %q", e.ID, e.PaymentMethod)
		}
	}
	switch e.Type {
	case entryCreated:
		in.Status = RequiresPaymentMethod
		if in.Card != nil {
			in.Status = RequiresConfirmation
		}
	case entryRequiresAction:
		in.Status, in.Failure = RequiresAction, nil
		in.Authentication = &Authentication{e.Origin, e.ReturnURL}
	case entryAuthenticationFailed:
		in.Status, in.Failure = RequiresPaymentMethod, failedAuthentication
	case entryAuthorized:
		in.Status, in.Failure = RequiresCapture, nil
		in.charge(e, nil)
	case entryDeclined:
		if in.Card == nil || in.Card.decline == nil {
			return nil, fmt.Errorf("payment %s was declined for no reason", e.ID)
		}
		in.Status, in.Failure = RequiresPaymentMethod, in.Card.decline
		in.charge(e, in.Card.decline)
	case entryCaptured:
		if in.Status != RequiresCapture {
			in.charge(e, nil) // charged and captured at once
		}
		in.Status, in.Received, in.Failure = Succeeded, e.Amount, nil
	case entryCanceled:
		in.Status, in.CanceledAt, in.CancelReason = Canceled, e.At.Unix(), intern(e.Reason)
	default:
		return nil, fmt.Errorf("unknown event %q", e.Type)
	}
	return in, nil
}

// charge counts another charge of the card; refusal is nil if it succeeded.
func (in *Intent) charge(e *Entry, refusal *Decline) {
	in.Charges++
	in.ChargedAt, in.Refusal = e.At.Unix(), refusal
}

// setIntent replaces an intent by its version after an entry, and adds the
// charge and the balance transaction that the entry made.
func (st *State) setIntent(e *Entry, in *Intent) {
	prev := st.Intents[in.ID]
	if prev == nil {
		st.Payments = append(st.Payments, in.Header)
	}
	st.Intents[in.ID] = in
	if prev != nil && prev.Charges > 0 && in.Charges > prev.Charges {
		st.superseded[prev.ChargeID()] = prev
	}
	if in.Charges > 0 && (prev == nil || in.Charges > prev.Charges) {
		st.Charges = append(st.Charges, ChargeRef{in.Header, in.Charges, e.At.Unix()})
	}
	if e.Type == entryCaptured {
		st.BalanceTransactions = append(st.BalanceTransactions, BalanceTransaction{
			ID: BalanceTransactionID(in.ChargeID()), Captured: in, At: e.At.Unix(),
		})
	}
}

func (st *State) addRefund(e *Entry, of *Intent) *Refund {
	re := &Refund{
		ID: e.ID, Intent: of.Header, charge: of.Charges, Amount: e.Amount, CreatedAt: e.At.Unix(),
		Reason: intern(e.Reason), Metadata: e.Metadata,
	}
	in := *of
	in.Refunded += e.Amount
	st.Intents[in.ID] = &in
	st.Refunds[re.ID] = re
	st.RefundOrder = append(st.RefundOrder, re)
	st.BalanceTransactions = append(st.BalanceTransactions, BalanceTransaction{ID: BalanceTransactionID(re.ID), Refund: re, At: re.CreatedAt})
	return re
}

// ByCharge returns the version of an intent whose latest charge has the id, or nil.
func (st *State) ByCharge(chargeID string) *Intent {
	rest, ok := strings.CutPrefix(chargeID, "ch_")
	if !ok || len(rest) <= id.Len {
		return nil
	}
	if in := st.superseded[chargeID]; in != nil {
		return in
	}
	in := st.Intents["pi_"+rest[:id.Len]]
	if in == nil || in.Charges == 0 || in.ChargeID() != chargeID {
		return nil
	}
	return in
}

// ChargeRef is one of an intent's charges.
type ChargeRef struct {
	*Header
	number int   // from 1
	At     int64 // Unix seconds
}

// ChargeID is the charge's id.
func (ref ChargeRef) ChargeID() string { return chargeID(ref.Header, ref.number) }

// ChargeID is the id of the latest charge.
func (in *Intent) ChargeID() string { return chargeID(in.Header, in.Charges) }

// ChargeID is the id of the charge that was refunded.
func (re *Refund) ChargeID() string { return chargeID(re.Intent, re.charge) }

// chargeID is the intent's id and the number of the charge.
func chargeID(h *Header, n int) string {
	return "ch_" + strings.TrimPrefix(h.ID, "pi_") + strconv.Itoa(n)
}

// BalanceTransaction is money that came to the account or left it: a capture or
// a refund.
type BalanceTransaction struct {
	ID       string
	Captured *Intent // nil for a refund
	Refund   *Refund
	At       int64 // Unix seconds
}

// BalanceTransactionID is the balance transaction's of a charge or refund.
func BalanceTransactionID(source string) string { return id.Derived("txn_", source) }
