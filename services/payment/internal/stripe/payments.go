package stripe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/souk-shop/souk/services/payment/internal/app"

	stripego "github.com/stripe/stripe-go/v85"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// amountNotCharged is the code of a refund that the provider cannot represent.
const amountNotCharged = "amount_not_charged"

// Authorize creates a PaymentIntent that is confirmed at once and captured later.
func (c *Client) Authorize(ctx context.Context, req app.Authorization) (app.Hold, error) {
	amount, err := toAmount(req.Amount)
	if err != nil {
		return app.Hold{}, err
	}
	params := &stripego.PaymentIntentCreateParams{
		Amount:        stripego.Int64(amount),
		Currency:      stripego.String(strings.ToLower(req.Amount.Currency)),
		CaptureMethod: stripego.String(string(stripego.PaymentIntentCaptureMethodManual)),
		Confirm:       stripego.Bool(true),
		PaymentMethod: stripego.String(req.Method),
		// No payer is present who could be redirected.
		AutomaticPaymentMethods: &stripego.PaymentIntentCreateAutomaticPaymentMethodsParams{
			Enabled: stripego.Bool(true), AllowRedirects: stripego.String("never"),
		},
		Metadata: map[string]string{labelOrder: req.OrderID, labelAttempt: req.AttemptID},
	}
	if req.OrderNumber != "" {
		params.Description = stripego.String("Order " + req.OrderNumber)
		params.Metadata[labelNumber] = req.OrderNumber
	}
	params.SetIdempotencyKey(req.Key)
	intent, err := c.api.V1PaymentIntents.Create(ctx, params)
	if err != nil {
		return c.afterFailedAuthorize(ctx, req, err)
	}
	return toHold(toIntent(intent), req.Amount)
}

// afterFailedAuthorize checks whether there is a payment of the attempt all the
// same, and says what became of the authorization.
func (c *Client) afterFailedAuthorize(ctx context.Context, req app.Authorization, cause error) (app.Hold, error) {
	err := c.classify(ctx, "create payment intent", cause)
	if !worthALook(cause) {
		return app.Hold{}, err
	}
	in, found, lookErr := c.Find(ctx, req.AttemptID)
	switch {
	case lookErr != nil:
		return app.Hold{}, unsettled(err, lookErr)
	case !found:
		return app.Hold{}, err
	}
	return toHold(in, req.Amount)
}

// toHold is what a payment means to who asked for an authorization.
func toHold(in domain.Intent, want money.Money) (app.Hold, error) {
	switch in.Status {
	case domain.IntentRequiresAction, domain.IntentUnconfirmed: // the call that would confirm it has ended
		return app.Hold{PaymentID: in.ID, NeedsAction: true}, nil
	case domain.IntentDeclined:
		return app.Hold{}, &domain.Refusal{Code: in.Code, PaymentID: in.ID}
	case domain.IntentCanceled:
		return app.Hold{}, &domain.Refusal{Code: string(in.Status), PaymentID: in.ID}
	case domain.IntentAuthorized, domain.IntentCaptured:
		if in.Amount != want {
			return app.Hold{}, fmt.Errorf("payment %s %s %s instead of %s", in.ID, in.Status, in.Amount, want)
		}
		return app.Hold{PaymentID: in.ID}, nil
	}
	return app.Hold{}, unexpected("create payment intent", in)
}

// Capture captures a PaymentIntent in full. It believes what the payment came
// to: a refusal may be about a capture that was done before.
func (c *Client) Capture(ctx context.Context, key, paymentID string, amount money.Money) error {
	const name = "capture payment intent"
	whole, err := toAmount(amount)
	if err != nil {
		return err
	}
	in, failure := c.ask(ctx, name, key, paymentID, func(key string) (*stripego.PaymentIntent, error) {
		params := &stripego.PaymentIntentCaptureParams{AmountToCapture: stripego.Int64(whole)}
		params.SetIdempotencyKey(key)
		return c.api.V1PaymentIntents.Capture(ctx, paymentID, params)
	})
	_, refused := errors.AsType[*domain.Refusal](failure)
	switch {
	case in.ID == "":
		return failure
	case in.Status == domain.IntentCaptured && in.Amount == amount:
		return nil
	case in.Status == domain.IntentCaptured:
		return fmt.Errorf("payment %s took %s instead of %s", in.ID, in.Amount, amount)
	case refused && in.Status != domain.IntentUnclear:
		return failure
	case in.Status == domain.IntentCanceled || in.Status == domain.IntentDeclined:
		return &domain.Refusal{Code: cmp.Or(in.Code, string(in.Status)), PaymentID: in.ID}
	case failure != nil && !refused:
		return failure
	}
	return unexpected(name, in)
}

// Void cancels a PaymentIntent. A refusal is no outcome: either it is canceled
// already, or what it came to is not known.
func (c *Client) Void(ctx context.Context, key, paymentID string) error {
	const name = "cancel payment intent"
	in, failure := c.ask(ctx, name, key, paymentID, func(key string) (*stripego.PaymentIntent, error) {
		params := &stripego.PaymentIntentCancelParams{CancellationReason: stripego.String("abandoned")}
		params.SetIdempotencyKey(key)
		return c.api.V1PaymentIntents.Cancel(ctx, paymentID, params)
	})
	switch {
	case in.ID == "":
		return failure
	case in.Status == domain.IntentCanceled || in.Status == domain.IntentDeclined:
		return nil
	case in.Status == domain.IntentCaptured:
		return fmt.Errorf("%s: payment %s: %w", name, in.ID, domain.ErrAlreadyCaptured)
	}
	return unexpected(name, in)
}

// Refund refunds part of a PaymentIntent.
func (c *Client) Refund(ctx context.Context, key string, r domain.Refund) (string, error) {
	amount, err := toAmount(r.Amount)
	if err != nil {
		return "", &domain.Refusal{Code: amountNotCharged, PaymentID: r.PaymentID} // nothing was sent, and never will be
	}
	params := &stripego.RefundCreateParams{
		PaymentIntent: stripego.String(r.PaymentID),
		Amount:        stripego.Int64(amount),
		Metadata:      map[string]string{labelOrder: r.OrderID, labelRefund: r.ID},
	}
	params.SetIdempotencyKey(key)
	refund, err := c.api.V1Refunds.Create(ctx, params)
	if err != nil {
		failure := c.classify(ctx, "create refund", err)
		if !worthALook(err) {
			return "", failure
		}
		id, found, lookErr := c.FindRefund(ctx, r)
		switch {
		case found:
			return id, lookErr
		case lookErr != nil:
			return "", unsettled(failure, lookErr)
		}
		return "", failure
	}
	if refund.Status == stripego.RefundStatusPending || refund.Status == stripego.RefundStatusRequiresAction {
		// What the key keeps is how it was; how it is now must be asked.
		if refund, err = c.api.V1Refunds.Retrieve(ctx, refund.ID, nil); err != nil {
			return "", c.failed("retrieve refund", err)
		}
	}
	return settledRefund(refund, r)
}

// settledRefund is what a refund means to who asked for r.
func settledRefund(refund *stripego.Refund, r domain.Refund) (string, error) {
	switch refund.Status {
	case stripego.RefundStatusFailed, stripego.RefundStatusCanceled:
		return "", &domain.Refusal{Code: cmp.Or(string(refund.FailureReason), string(refund.Status)), PaymentID: r.PaymentID}
	case stripego.RefundStatusSucceeded:
		if given, err := toMoney(refund.Amount, refund.Currency); err != nil || given != r.Amount {
			return "", fmt.Errorf("refund %s gave %s instead of %s", refund.ID, given, r.Amount)
		}
		return refund.ID, nil
	}
	return "", fmt.Errorf("refund %s is %q", refund.ID, refund.Status)
}

// classify turns a failed call into a *domain.Refusal if it is a definitive no:
// a declined card, or a request that was understood and refused. A key that is
// in use or was used for something else (409, idempotency_error), a wrong API
// key (401, 403), "not found" (404), a limit (429), trouble of the provider
// (5xx) and trouble on the way say nothing about what an earlier call with the
// same key has done.
func (c *Client) classify(ctx context.Context, call string, err error) error {
	problem, ok := errors.AsType[*stripego.Error](err)
	if !ok {
		return c.failed(call, err)
	}
	declined := problem.HTTPStatusCode == http.StatusPaymentRequired && problem.Type == stripego.ErrorTypeCard
	refused := problem.HTTPStatusCode == http.StatusBadRequest && problem.Type == stripego.ErrorTypeInvalidRequest
	if !declined && !refused {
		return c.failed(call, err)
	}
	refusal := &domain.Refusal{Code: cmp.Or(string(problem.DeclineCode), string(problem.Code), string(problem.Type))}
	if problem.PaymentIntent != nil {
		refusal.PaymentID = problem.PaymentIntent.ID
	}
	if refused { // not the payer's card but our request
		c.log.WarnContext(ctx, "provider refused", "call", call, "code", refusal.Code, "param", problem.Param,
			"message", problem.Msg, "request_id", problem.RequestID)
	}
	return refusal
}

// unexpected is an answer that fits no rule: an unknown outcome.
func unexpected(call string, in domain.Intent) error {
	return fmt.Errorf("%s: payment %s is %s", call, in.ID, in.Status)
}
