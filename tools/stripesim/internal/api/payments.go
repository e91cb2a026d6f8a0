package api

import "github.com/souk-shop/souk/tools/stripesim/internal/store"

// The functions here read the parameters of a request and have the state
// decide on it. Parameters are read in the order of Stripe's errors: a value
// that can't be read is reported before an unknown parameter, and both before
// anything that depends on the state.

func createIntent(st *store.State, req request) (*store.Entry, *store.Error) {
	p := req.params
	c := store.CreateIntent{
		CaptureMethod: p.choice("capture_method", "automatic", "automatic_async", "manual"),
		Description:   p.text("description"), StatementSuffix: p.text("statement_descriptor_suffix"), Metadata: p.metadata(),
		Amount: p.integer("amount"), Currency: p.text("currency"), Confirm: p.boolean("confirm"), PaymentMethod: p.text("payment_method"),
		Redirects: p.nested("automatic_payment_methods", "enabled") == "true" &&
			p.nested("automatic_payment_methods", "allow_redirects") != "never",
		ReturnURL: p.text("return_url"), Origin: req.origin,
	}
	p.ignore("payment_method_types", "confirmation_method", "off_session", "expand")
	if err := p.check(); err != nil {
		return nil, err
	}
	return st.CreateIntent(c)
}

func confirmIntent(st *store.State, req request) (*store.Entry, *store.Error) {
	p := req.params
	c := store.ConfirmIntent{PaymentMethod: p.text("payment_method"), ReturnURL: p.text("return_url"), Origin: req.origin}
	p.ignore("off_session", "expand")
	if err := p.check(); err != nil {
		return nil, err
	}
	return st.ConfirmIntent(req.id, c)
}

func captureIntent(st *store.State, req request) (*store.Entry, *store.Error) {
	amount := req.params.integer("amount_to_capture")
	req.params.ignore("final_capture", "expand")
	if err := req.params.check(); err != nil {
		return nil, err
	}
	return st.CaptureIntent(req.id, amount)
}

func cancelIntent(st *store.State, req request) (*store.Entry, *store.Error) {
	reason := req.params.choice("cancellation_reason", "duplicate", "fraudulent", "requested_by_customer", "abandoned")
	req.params.ignore("expand")
	if err := req.params.check(); err != nil {
		return nil, err
	}
	return st.CancelIntent(req.id, reason)
}

func createRefund(st *store.State, req request) (*store.Entry, *store.Error) {
	p := req.params
	c := store.CreateRefund{
		PaymentIntent: p.text("payment_intent"), Charge: p.text("charge"), Amount: p.integer("amount"), Metadata: p.metadata(),
		Reason: p.choice("reason", "duplicate", "fraudulent", "requested_by_customer"),
	}
	p.ignore("expand")
	if err := p.check(); err != nil {
		return nil, err
	}
	return st.CreateRefund(c)
}
