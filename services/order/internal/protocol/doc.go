// Package protocol is the checkout as a model: small enough to be read in one
// sitting and to be explored completely, state by state. Nothing imports it; it
// is here to be read and to be run as a test. To learn the checkout, read this
// page, then model.go, steps.go and provider.go from top to bottom.
//
// # What is in it
//
// Two orders want the last unit of one SKU. Five parties, each with a database
// of its own, take part for each of them:
//
//	order     drives: one step per state, each asking one neighbor one question
//	catalog   holds, sells and frees the unit
//	payment   asks the provider, and keeps the order's one attempt to pay
//	cart      has what was ordered, and what was added since
//	provider  is another company; all it promises is that the same key has
//	          no second effect and gets the first one's answer
//
// The way that every order takes, and the ways out of it:
//
//	PENDING      Reserve    the catalog holds the unit
//	AUTHORIZING  Authorize  the card holds the money
//	CONFIRMING   Confirm    the unit is sold to this order
//	CAPTURING    Capture    the money is taken: the pivot, there is no way back
//	PAID         Remove     the unit leaves the cart, where another may have been put in
//
//	any state before CAPTURING, or a capture that is refused for good:
//	CANCELLING   Release, then Cancel: both have to say that nothing is held
//	CANCELLED
//
// The other states are written before the driver goes on; AUTHORIZING and CONFIRMING may be
// written later, or never, if it crashes: what led there is repeated then, with the same answers.
//
// The order's states, events and transitions are not a copy: the model calls
// [github.com/souk-shop/souk/services/order/internal/domain.Next], the function
// that the driver calls. What the catalog, the cart and payment do is written down
// here a second time; each function names the code that it stands for, and tests
// compare the states with those of the contract and payment's transitions with
// those of its state machine.
//
// # What can go wrong
//
// Everything, at any moment and any number of times:
//
//   - The network is a set of messages that only grows. Once sent, a message
//     may arrive at any time from then on, as often as it likes, or never: so
//     it can be late, repeated, overtaken and lost, and no party ever knows which.
//     Questions and answers alike, between services and to the provider.
//   - A step is one transaction or one message sent. Between any two steps a
//     process can crash: it forgets what it was waiting for and how far it had come (Driver,
//     Ahead and Payment, the fields that are in no database), and the next driver starts again from
//     what the databases say. A call that times out leads to the same place.
//   - A hold is short, and the bank may be silent for longer. When the time for the
//     authorization is over the order goes the way of every other that is given up:
//     Release, then Cancel, which finds out what became of the authorization. That time
//     and the hold's end are steps that happen whenever they like, in any order.
//   - A Reserve that finds the unit held for the other order is answered so. The driver asks
//     again, or writes that it has waited long enough.
//   - The customer cancels or goes on shopping, the deadline passes, the hold runs
//     out, the sweeper runs, the bank declines, wants the payer to act first, or
//     refuses the capture.
//
// One driver per order stands for any number of them. What another one sends,
// this one might have sent and the network kept; what another one receives stays
// in the set for this one to hear; and what another one decided on a state that
// is over is not written, because each write names the state it was decided on.
// The same holds for payment's processes.
//
// # What is checked
//
// In every state that can be reached, each [Invariant] holds; and from every
// state both orders can still reach an end by steps that always happen in time:
// once the trouble is over, every order is PAID, with nothing left to do, or
// CANCELLED. If not, the shortest way to the trouble is printed. Each [Fault] is one
// plausible mistake planted in the model. The tests name the promise that it breaks,
// which proves that the checks can see, and print how:
//
//	go test -v -run TestFaults ./services/order/internal/protocol
//
// The protocol relies on one promise of another company: the provider's about keys.
// TestProvider shows what breaks without it. Money is in danger when a refusal
// is not kept under its key, so only an answer that is may be taken for one. A
// key that keeps an error endangers nothing: payment looks at what the provider
// holds, and if there is nothing, a day later the provider's list tells that
// there never will be.
//
// # What is left out
//
// Amounts and several lines (the answer PAYMENT_DIFFERS), placing an order and
// its idempotency key (one transaction with a unique key), two orders of one cart,
// refunds, webhooks, the ledger's reconciliation, and the state NEEDS_REVIEW, of
// what is open when the provider's 24 hours are over.
package protocol
