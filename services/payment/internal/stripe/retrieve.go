package stripe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	stripego "github.com/stripe/stripe-go/v85"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// The labels of what this adapter makes.
const (
	labelOrder   = "order_id"
	labelAttempt = "attempt_id"
	labelRefund  = "refund_id"
	labelNumber  = "order_number"
)

// maxPage is the most that Stripe lists at once.
const maxPage = 100

// Retrieve implements app.Provider and app.Statement.
func (c *Client) Retrieve(ctx context.Context, paymentID string) (domain.Intent, error) {
	intent, err := c.api.V1PaymentIntents.Retrieve(ctx, paymentID, nil)
	if err != nil {
		failed := c.failed("retrieve payment intent", err)
		if problem, ok := errors.AsType[*stripego.Error](err); ok && problem.Code == stripego.ErrorCodeResourceMissing {
			failed = fmt.Errorf("%w: %w", domain.ErrNoSuchPayment, failed)
		}
		return domain.Intent{}, failed
	}
	return toIntent(intent), nil
}

// Find implements app.Records. Stripe's search is up to an hour behind.
func (c *Client) Find(ctx context.Context, attemptID string) (in domain.Intent, found bool, err error) {
	params := &stripego.PaymentIntentSearchParams{SearchParams: stripego.SearchParams{
		Query: fmt.Sprintf("metadata['%s']:'%s'", labelAttempt, attemptID), Limit: stripego.Int64(1), Single: true,
	}}
	for hit, err := range c.api.V1PaymentIntents.Search(ctx, params).All(ctx) {
		if err != nil {
			return domain.Intent{}, false, c.failed("search payment intents", err)
		}
		in, err = c.Retrieve(ctx, hit.ID) // what the index has of it may be old
		return in, err == nil, err
	}
	return domain.Intent{}, false, nil
}

func toIntent(intent *stripego.PaymentIntent) domain.Intent {
	in := domain.Intent{
		ID: intent.ID, OrderID: intent.Metadata[labelOrder], AttemptID: intent.Metadata[labelAttempt],
		Status: domain.IntentUnclear,
	}
	amount := intent.Amount
	switch intent.Status {
	case stripego.PaymentIntentStatusRequiresCapture:
		in.Status, amount = domain.IntentAuthorized, intent.AmountCapturable
	case stripego.PaymentIntentStatusSucceeded:
		in.Status, amount = domain.IntentCaptured, intent.AmountReceived
	case stripego.PaymentIntentStatusCanceled:
		in.Status = domain.IntentCanceled
	case stripego.PaymentIntentStatusRequiresAction:
		in.Status = domain.IntentRequiresAction
	case stripego.PaymentIntentStatusRequiresConfirmation:
		in.Status = domain.IntentUnconfirmed
	case stripego.PaymentIntentStatusRequiresPaymentMethod:
		in.Status = domain.IntentUnconfirmed
		if problem := intent.LastPaymentError; problem != nil {
			in.Status = domain.IntentDeclined
			in.Code = cmp.Or(string(problem.DeclineCode), string(problem.Code), string(problem.Type))
		}
	}
	var err error
	if in.Amount, err = toMoney(amount, intent.Currency); err != nil {
		in.Status = domain.IntentUnclear // not an amount that Souk asked for
	}
	return in
}

// FindRefund implements app.Records.
func (c *Client) FindRefund(ctx context.Context, r domain.Refund) (id string, found bool, err error) {
	params := &stripego.RefundListParams{PaymentIntent: stripego.String(r.PaymentID)}
	params.Limit = stripego.Int64(maxPage)
	for refund, err := range c.api.V1Refunds.List(ctx, params).All(ctx) {
		if err != nil {
			return "", false, c.failed("list refunds", err)
		}
		if refund.Metadata[labelRefund] == r.ID {
			id, err := settledRefund(refund, r)
			return id, true, err
		}
	}
	return "", false, nil
}

// Payments implements app.Records, newest first. Each page has the time of
// one call.
func (c *Client) Payments(ctx context.Context, from, to time.Time) iter.Seq2[domain.Intent, error] {
	return func(yield func(domain.Intent, error) bool) {
		params := &stripego.PaymentIntentListParams{CreatedRange: between(from, to)}
		params.Limit = stripego.Int64(maxPage)
		for intent, err := range c.api.V1PaymentIntents.List(ctx, params).All(ctx) {
			if err != nil {
				yield(domain.Intent{}, c.failed("list payment intents", err))
				return
			}
			if !yield(toIntent(intent), nil) {
				return
			}
		}
	}
}

// between is from (inclusive) until to (exclusive).
func between(from, to time.Time) *stripego.RangeQueryParams {
	return &stripego.RangeQueryParams{GreaterThanOrEqual: from.Unix(), LesserThan: to.Unix()}
}

// ask makes a call about one payment. If the answer may hide what came of it, it
// looks at the payment. It returns the payment as it is then, without an id if
// only the failure is known, and how the call failed, if it did.
func (c *Client) ask(ctx context.Context, name, key, paymentID string, call func(key string) (*stripego.PaymentIntent, error)) (domain.Intent, error) {
	for again := false; ; again = true {
		intent, err := call(key)
		if err == nil {
			return toIntent(intent), nil
		}
		failure := c.classify(ctx, name, err)
		if _, refused := errors.AsType[*domain.Refusal](failure); !refused && !worthALook(err) {
			return domain.Intent{}, failure
		}
		in, lookErr := c.Retrieve(ctx, paymentID)
		if lookErr != nil {
			return domain.Intent{}, unsettled(failure, lookErr)
		}
		next, ok := nextKey(key, err)
		if again || !ok || (in.Status != domain.IntentAuthorized && in.Status != domain.IntentRequiresAction && in.Status != domain.IntentUnconfirmed) {
			return in, failure
		}
		key = next // nothing came of the first, and nothing ever will
	}
}

// unsettled is an outcome that is unknown because retrieving the payment
// failed, too: not even a refusal counts then.
func unsettled(failure, lookErr error) error {
	return fmt.Errorf("%s; then %w", failure.Error(), lookErr)
}

// worthALook reports whether a call failed with an answer that may hide what
// came of it: an error that its key keeps for a day, or a refusal of what was
// done before. Nothing of the kind can be said of an answer that no key keeps
// (409 and 429), and none at all is repeated first.
func worthALook(err error) bool {
	problem, ok := errors.AsType[*stripego.Error](err)
	return ok && (problem.HTTPStatusCode == http.StatusBadRequest || problem.HTTPStatusCode >= http.StatusInternalServerError)
}

// nextKey is the key under which a call may be made once more, when its own
// keeps an error: every repeat by any process has the same effect. Only for what the
// provider does at most once anyway, such as the capture of a payment.
func nextKey(key string, err error) (string, bool) {
	problem, ok := errors.AsType[*stripego.Error](err)
	if !ok || problem.HTTPStatusCode < http.StatusInternalServerError || problem.LastResponse == nil {
		return "", false
	}
	header := problem.LastResponse.Header
	original := header.Get("Original-Request")
	return key + ":" + original, header.Get("Idempotent-Replayed") == "true" && original != ""
}
