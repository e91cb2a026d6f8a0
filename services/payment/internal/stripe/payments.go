package stripe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	stripego "github.com/stripe/stripe-go/v85"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Authorize creates a PaymentIntent that is confirmed at once and captured later.
func (c *Client) Authorize(ctx context.Context, req domain.Authorization) (domain.Hold, error) {
	params := &stripego.PaymentIntentCreateParams{
		Amount:        stripego.Int64(req.Amount.Units),
		Currency:      stripego.String(strings.ToLower(req.Amount.Currency)),
		CaptureMethod: stripego.String(string(stripego.PaymentIntentCaptureMethodManual)),
		Confirm:       stripego.Bool(true),
		PaymentMethod: stripego.String(req.Method),
		// Nobody is there who could be sent elsewhere.
		AutomaticPaymentMethods: &stripego.PaymentIntentCreateAutomaticPaymentMethodsParams{
			Enabled: stripego.Bool(true), AllowRedirects: stripego.String("never"),
		},
		Metadata: map[string]string{"order_id": req.OrderID, "attempt_id": req.AttemptID},
	}
	if req.OrderNumber != "" {
		params.Description = stripego.String("Order " + req.OrderNumber)
		params.Metadata["order_number"] = req.OrderNumber
	}
	params.SetIdempotencyKey(req.Key)
	intent, err := c.api.V1PaymentIntents.Create(ctx, params)
	if err != nil {
		return domain.Hold{}, c.classify(ctx, "create payment intent", err)
	}
	switch {
	case intent.Status == stripego.PaymentIntentStatusRequiresAction:
		return domain.Hold{PaymentID: intent.ID, NeedsAction: true}, nil
	case intent.Status != stripego.PaymentIntentStatusRequiresCapture:
		return domain.Hold{}, unexpected("create payment intent", intent)
	case intent.AmountCapturable != req.Amount.Units || !isCurrency(intent.Currency, req.Amount):
		return domain.Hold{}, fmt.Errorf("payment %s holds %d %s instead of %s", intent.ID, intent.AmountCapturable, intent.Currency, req.Amount)
	}
	return domain.Hold{PaymentID: intent.ID}, nil
}

// Capture captures a PaymentIntent in full. After a refusal it looks at what
// the payment came to: the refusal may be about a capture that was done before.
func (c *Client) Capture(ctx context.Context, key, paymentID string, amount money.Money) error {
	params := &stripego.PaymentIntentCaptureParams{AmountToCapture: stripego.Int64(amount.Units)}
	params.SetIdempotencyKey(key)
	intent, err := c.api.V1PaymentIntents.Capture(ctx, paymentID, params)
	if err != nil {
		err = c.classify(ctx, "capture payment intent", err)
		if refusal, refused := errors.AsType[*domain.Refusal](err); refused {
			return c.afterRefusedCapture(ctx, paymentID, amount, refusal)
		}
		return err
	}
	return takenInFull(intent, amount)
}

func (c *Client) afterRefusedCapture(ctx context.Context, paymentID string, amount money.Money, refusal *domain.Refusal) error {
	intent, err := c.api.V1PaymentIntents.Retrieve(ctx, paymentID, nil)
	if err != nil {
		return c.failed("retrieve payment intent", err)
	}
	switch intent.Status {
	case stripego.PaymentIntentStatusSucceeded:
		return takenInFull(intent, amount)
	case stripego.PaymentIntentStatusRequiresCapture, stripego.PaymentIntentStatusCanceled,
		stripego.PaymentIntentStatusRequiresPaymentMethod:
		return refusal
	}
	return unexpected("capture payment intent", intent)
}

// takenInFull is nil if the intent took exactly the amount.
func takenInFull(intent *stripego.PaymentIntent, amount money.Money) error {
	if intent.Status != stripego.PaymentIntentStatusSucceeded {
		return unexpected("capture payment intent", intent)
	}
	if intent.AmountReceived != amount.Units || !isCurrency(intent.Currency, amount) {
		return fmt.Errorf("payment %s took %d %s instead of %s", intent.ID, intent.AmountReceived, intent.Currency, amount)
	}
	return nil
}

// Void cancels a PaymentIntent. A refusal is no outcome: either it is canceled
// already, or what it came to is not known.
func (c *Client) Void(ctx context.Context, key, paymentID string) error {
	params := &stripego.PaymentIntentCancelParams{CancellationReason: stripego.String("abandoned")}
	params.SetIdempotencyKey(key)
	intent, err := c.api.V1PaymentIntents.Cancel(ctx, paymentID, params)
	if err != nil {
		err = c.classify(ctx, "cancel payment intent", err)
		if _, refused := errors.AsType[*domain.Refusal](err); !refused {
			return err
		}
		if intent, err = c.api.V1PaymentIntents.Retrieve(ctx, paymentID, nil); err != nil {
			return c.failed("retrieve payment intent", err)
		}
	}
	if intent.Status != stripego.PaymentIntentStatusCanceled {
		return unexpected("cancel payment intent", intent)
	}
	return nil
}

// Refund refunds part of a PaymentIntent.
func (c *Client) Refund(ctx context.Context, key string, r domain.Refund) (string, error) {
	params := &stripego.RefundCreateParams{
		PaymentIntent: stripego.String(r.PaymentID),
		Amount:        stripego.Int64(r.Amount.Units),
		Metadata:      map[string]string{"order_id": r.OrderID, "refund_id": r.ID},
	}
	params.SetIdempotencyKey(key)
	refund, err := c.api.V1Refunds.Create(ctx, params)
	if err != nil {
		return "", c.classify(ctx, "create refund", err)
	}
	if refund.Status == stripego.RefundStatusPending || refund.Status == stripego.RefundStatusRequiresAction {
		// What the key keeps is how it was; how it is now must be asked.
		if refund, err = c.api.V1Refunds.Retrieve(ctx, refund.ID, nil); err != nil {
			return "", c.failed("retrieve refund", err)
		}
	}
	switch refund.Status {
	case stripego.RefundStatusFailed, stripego.RefundStatusCanceled:
		return "", &domain.Refusal{Code: cmp.Or(string(refund.FailureReason), string(refund.Status)), PaymentID: r.PaymentID}
	case stripego.RefundStatusSucceeded:
		if refund.Amount != r.Amount.Units || !isCurrency(refund.Currency, r.Amount) {
			return "", fmt.Errorf("refund %s gave %d %s instead of %s", refund.ID, refund.Amount, refund.Currency, r.Amount)
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
func unexpected(call string, intent *stripego.PaymentIntent) error {
	return fmt.Errorf("%s: payment %s is %q", call, intent.ID, intent.Status)
}

func isCurrency(c stripego.Currency, amount money.Money) bool {
	return strings.EqualFold(string(c), amount.Currency)
}
