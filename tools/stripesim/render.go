package stripesim

import (
	"cmp"
	"strings"
)

// expansion is the set of fields that a request wants as objects, not as ids.
type expansion map[string]bool

func (e expansion) under(field string) expansion {
	var out expansion
	for path := range e {
		if rest, ok := strings.CutPrefix(path, field+"."); ok {
			if out == nil {
				out = expansion{}
			}
			out[rest] = true
		}
	}
	return out
}

// paymentIntent is Stripe's object. Fields that the simulator has nothing to
// say about are null, as Stripe has them by default.
type paymentIntent struct {
	ID                        string         `json:"id"`
	Object                    string         `json:"object"`
	Amount                    int64          `json:"amount"`
	AmountCapturable          int64          `json:"amount_capturable"`
	AmountDetails             amountDetails  `json:"amount_details"`
	AmountReceived            int64          `json:"amount_received"`
	Application               *string        `json:"application"`
	ApplicationFeeAmount      *int64         `json:"application_fee_amount"`
	AutomaticPaymentMethods   *string        `json:"automatic_payment_methods"`
	CanceledAt                *int64         `json:"canceled_at"`
	CancellationReason        *string        `json:"cancellation_reason"`
	CaptureMethod             string         `json:"capture_method"`
	ClientSecret              string         `json:"client_secret"`
	ConfirmationMethod        string         `json:"confirmation_method"`
	Created                   int64          `json:"created"`
	Currency                  string         `json:"currency"`
	Customer                  *string        `json:"customer"`
	Description               *string        `json:"description"`
	LastPaymentError          *errorBody     `json:"last_payment_error"`
	LatestCharge              any            `json:"latest_charge"`
	Livemode                  bool           `json:"livemode"`
	Metadata                  metadata       `json:"metadata"`
	NextAction                *nextAction    `json:"next_action"`
	OnBehalfOf                *string        `json:"on_behalf_of"`
	PaymentMethod             *string        `json:"payment_method"`
	PaymentMethodOptions      map[string]any `json:"payment_method_options"`
	PaymentMethodTypes        []string       `json:"payment_method_types"`
	Processing                *string        `json:"processing"`
	ReceiptEmail              *string        `json:"receipt_email"`
	Review                    *string        `json:"review"`
	SetupFutureUsage          *string        `json:"setup_future_usage"`
	Shipping                  *string        `json:"shipping"`
	StatementDescriptor       *string        `json:"statement_descriptor"`
	StatementDescriptorSuffix *string        `json:"statement_descriptor_suffix"`
	Status                    string         `json:"status"`
	TransferData              *string        `json:"transfer_data"`
	TransferGroup             *string        `json:"transfer_group"`
}

type amountDetails struct {
	Tip struct{} `json:"tip"`
}

type nextAction struct {
	Type          string         `json:"type"`
	RedirectToURL *redirectToURL `json:"redirect_to_url,omitempty"`
	UseStripeSDK  *useStripeSDK  `json:"use_stripe_sdk,omitempty"`
}

type redirectToURL struct {
	ReturnURL string `json:"return_url"`
	URL       string `json:"url"`
}

type useStripeSDK struct {
	Type   string `json:"type"`
	Source string `json:"source"`
	// StripeJS is where the payer authenticates.
	StripeJS string `json:"stripe_js"`
}

func (in *intent) render(expand expansion) paymentIntent {
	out := paymentIntent{
		ID: in.id, Object: "payment_intent", Amount: in.amount, AmountReceived: in.received,
		CancellationReason: orNull(in.cancelReason), CaptureMethod: "automatic", ClientSecret: in.clientSecret(),
		ConfirmationMethod: "automatic", Created: in.created, Currency: in.currency, Description: orNull(in.description),
		Metadata: in.metadata, PaymentMethodTypes: []string{"card"}, StatementDescriptorSuffix: orNull(in.suffix),
		PaymentMethodOptions: map[string]any{"card": map[string]any{
			"installments": nil, "mandate_options": nil, "network": nil, "request_three_d_secure": "automatic",
		}},
		Status: in.status,
	}
	if in.manual {
		out.CaptureMethod = "manual"
	}
	if in.canceledAt != 0 {
		out.CanceledAt = &in.canceledAt
	}
	if in.charges > 0 {
		out.LatestCharge = in.chargeID()
		if expand["latest_charge"] {
			out.LatestCharge = in.renderCharge()
		}
	}
	switch in.status {
	case requiresCapture:
		out.AmountCapturable = in.amount
	case requiresAction:
		out.NextAction = in.nextAction()
	}
	if in.card != nil && in.status != requiresPaymentMethod {
		out.PaymentMethod = orNull(derived("pm_", in.id))
	}
	if in.failure != nil {
		out.LastPaymentError = &errorBody{
			Code: in.failure.code, DeclineCode: in.failure.declineCode,
			DocURL: docURL(in.failure.code), Message: in.failure.message, Type: cmp.Or(in.failure.kind, cardError),
		}
		if in.failure == in.refused {
			out.LastPaymentError.Charge = in.chargeID()
		}
	}
	return out
}

// nextAction says where the payer authenticates: elsewhere if the shop gave a
// URL to come back to, else on the shop's page.
func (in *intent) nextAction() *nextAction {
	if in.action.returnURL != "" {
		return &nextAction{Type: "redirect_to_url", RedirectToURL: &redirectToURL{in.action.returnURL, in.authenticateURL()}}
	}
	return &nextAction{Type: "use_stripe_sdk", UseStripeSDK: &useStripeSDK{
		"three_d_secure_redirect", derived("src_", in.id), in.authenticateURL(),
	}}
}

// charge is Stripe's object, as far as a payment by card fills it.
type charge struct {
	ID                   string        `json:"id"`
	Object               string        `json:"object"`
	Amount               int64         `json:"amount"`
	AmountCaptured       int64         `json:"amount_captured"`
	AmountRefunded       int64         `json:"amount_refunded"`
	BalanceTransaction   *string       `json:"balance_transaction"`
	BillingDetails       struct{}      `json:"billing_details"`
	Captured             bool          `json:"captured"`
	Created              int64         `json:"created"`
	Currency             string        `json:"currency"`
	Customer             *string       `json:"customer"`
	Description          *string       `json:"description"`
	Disputed             bool          `json:"disputed"`
	FailureCode          *string       `json:"failure_code"`
	FailureMessage       *string       `json:"failure_message"`
	FraudDetails         struct{}      `json:"fraud_details"`
	Livemode             bool          `json:"livemode"`
	Metadata             metadata      `json:"metadata"`
	Outcome              chargeOutcome `json:"outcome"`
	Paid                 bool          `json:"paid"`
	PaymentIntent        string        `json:"payment_intent"`
	PaymentMethod        string        `json:"payment_method"`
	PaymentMethodDetails methodDetails `json:"payment_method_details"`
	ReceiptEmail         *string       `json:"receipt_email"`
	ReceiptURL           *string       `json:"receipt_url"`
	Refunded             bool          `json:"refunded"`
	Status               string        `json:"status"`
}

type chargeOutcome struct {
	NetworkStatus string  `json:"network_status"`
	Reason        *string `json:"reason"`
	RiskLevel     string  `json:"risk_level"`
	SellerMessage string  `json:"seller_message"`
	Type          string  `json:"type"`
}

type methodDetails struct {
	Card struct {
		Brand    string `json:"brand"`
		Country  string `json:"country"`
		ExpMonth int    `json:"exp_month"`
		ExpYear  int    `json:"exp_year"`
		Funding  string `json:"funding"`
		Last4    string `json:"last4"`
		Network  string `json:"network"`
	} `json:"card"`
	Type string `json:"type"`
}

func (in *intent) renderCharge() charge {
	out := charge{
		ID: in.chargeID(), Object: "charge", Amount: in.amount, AmountCaptured: in.received, AmountRefunded: in.refunded,
		Captured: in.status == succeeded, Created: in.charged, Currency: in.currency, Description: orNull(in.description),
		Metadata: in.metadata, Paid: in.refused == nil, PaymentIntent: in.id, PaymentMethod: derived("pm_", in.id),
		Refunded: in.received > 0 && in.refunded == in.received, Status: "succeeded",
		Outcome: chargeOutcome{"approved_by_network", nil, "normal", "Payment complete.", "authorized"},
	}
	out.PaymentMethodDetails.Type = "card"
	details := &out.PaymentMethodDetails.Card
	details.Brand, details.Network, details.Last4, details.Funding = in.card.brand, in.card.brand, in.card.last4, in.card.funding
	details.Country, details.ExpMonth, details.ExpYear = "US", 12, 2034
	switch {
	case in.refused != nil:
		out.Status, out.FailureCode, out.FailureMessage = "failed", &in.refused.code, &in.refused.message
		reason := cmp.Or(in.refused.declineCode, in.refused.code)
		out.Outcome = chargeOutcome{"declined_by_network", &reason, "normal", "The bank returned the decline code `" + reason + "`.", "issuer_declined"}
	case in.status == succeeded:
		out.BalanceTransaction = orNull(transactionID(out.ID))
	case in.status == canceled: // the hold was given back
		out.Refunded, out.AmountRefunded = true, in.amount
	}
	return out
}

// refundObject is Stripe's object.
type refundObject struct {
	ID                     string   `json:"id"`
	Object                 string   `json:"object"`
	Amount                 int64    `json:"amount"`
	BalanceTransaction     string   `json:"balance_transaction"`
	Charge                 any      `json:"charge"`
	Created                int64    `json:"created"`
	Currency               string   `json:"currency"`
	Metadata               metadata `json:"metadata"`
	PaymentIntent          any      `json:"payment_intent"`
	Reason                 *string  `json:"reason"`
	ReceiptNumber          *string  `json:"receipt_number"`
	SourceTransferReversal *string  `json:"source_transfer_reversal"`
	Status                 string   `json:"status"`
	TransferReversal       *string  `json:"transfer_reversal"`
}

// render shows the refund as the object of Stripe.
func (re *refund) render() refundObject {
	return refundObject{
		ID: re.id, Object: "refund", Amount: re.amount, BalanceTransaction: transactionID(re.id),
		Charge: chargeID(re.intent, re.charge), Created: re.created, Currency: re.intent.currency, Metadata: re.metadata,
		PaymentIntent: re.intent.id, Reason: orNull(re.reason), Status: succeeded,
	}
}

// errorBody is what Stripe answers in "error".
type errorBody struct {
	Charge        string         `json:"charge,omitempty"`
	Code          string         `json:"code,omitempty"`
	DeclineCode   string         `json:"decline_code,omitempty"`
	DocURL        string         `json:"doc_url,omitempty"`
	Message       string         `json:"message"`
	Param         string         `json:"param,omitempty"`
	PaymentIntent *paymentIntent `json:"payment_intent,omitempty"`
	RequestLogURL string         `json:"request_log_url,omitempty"`
	Type          string         `json:"type"`
}

func (e *apiError) render() errorBody {
	out := errorBody{
		Code: e.Code, DeclineCode: e.DeclineCode, DocURL: docURL(e.Code), Message: e.Message, Param: e.Param, Type: e.Type,
	}
	if e.intent != nil {
		in := e.intent.render(nil)
		out.PaymentIntent = &in
		if e.Type == cardError {
			out.Charge = e.intent.chargeID()
		}
	}
	return out
}

// listObject is a page of a list.
type listObject struct {
	Object  string `json:"object"`
	Data    []any  `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

func docURL(code string) string {
	if code == "" {
		return ""
	}
	return "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(code, "_", "-")
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
