package mail

import "errors"

var (
	// ErrNotFound is a mail that is not there, or no longer.
	ErrNotFound = errors.New("no such mail")
	// ErrInvalidCursor is a cursor that no page ended with.
	ErrInvalidCursor = errors.New("invalid cursor")
	// ErrOrderNotFound is an order that the order service does not know.
	ErrOrderNotFound = errors.New("no such order")
)

// Refusal is a mail server's definite no: the mail was not accepted.
type Refusal struct {
	// Permanent is set when it said so about this mail: no repeat helps.
	Permanent bool
	// Text is what it said, without the buyer's address.
	Text string
}

// Error implements error.
func (r *Refusal) Error() string { return "the mail server refused it: " + r.Text }

// ErrUnknown is how a call of a mail server ended that had the whole mail and did not answer:
// it may have accepted it.
var ErrUnknown = errors.New("the mail server had the whole mail and did not answer; it may have accepted it")
