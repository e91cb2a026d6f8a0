// Command stripesim is a payment provider for development, tests and audits.
// It speaks Stripe's HTTP API as far as payments by card need it
// (PaymentIntents with manual capture, refunds, idempotency keys, test payment
// methods, lists, search by metadata, events, signed webhooks) and keeps a
// journal of its own on disk: every answer is in it, and a restart continues
// from it. No money moves and no card number is accepted.
//
//	stripesim serve
//	stripesim help
//
// # Configuration
//
//	SOUK_STRIPESIM_JOURNAL         path of the journal; required
//	SOUK_STRIPESIM_LISTEN          address; ":12111"
//	SOUK_STRIPESIM_WEBHOOK_URLS    endpoints that events are sent to, separated by
//	                               commas, in a fixed order; none
//	SOUK_STRIPESIM_WEBHOOK_SECRET  signs webhooks; required with endpoints
//	SOUK_STRIPESIM_ADMIN_LISTEN    address of metrics and liveness; off
//
// # Journal
//
// The journal is a file of JSON lines, one an entry, with seq from 1 without
// gaps; "event" is the entry's type. Nothing is answered before its entry is
// synced to disk; requests that arrive while a sync is under way share the next
// one. At the start a torn last line, which was never answered, is cut off; any
// other damage is an error.
//
//	GET /_sim/journal  the lines that are on disk
//	GET /_sim/summary  payments by status, sums by currency
//
// Besides payments and refunds it has "fault.fired", "webhook.delivered" and
// "webhook.given_up". A reader may skip entries of types that it does not know.
//
// # Faults
//
//	PUT    /_sim/faults  replaces the rules by a JSON list of rules
//	GET    /_sim/faults  the rules, how often each matched and fired, and how
//	                     often each kind fired over the whole journal
//	DELETE /_sim/faults  ends all rules; answers with their last report
//
// A rule:
//
//	{"kind": "drop_after_commit",               required
//	 "operation": "payment_intents.create",     pattern of path.Match; "*"
//	 "rate": 0.1,                               share of the matches, from 0 to 1; 1
//	 "count": 3,                                fires at most so often; 0: no limit
//	 "latency": "30s", "retry_after": "2s",
//	 "seed": 7}                                 the same seed, the same choices
//
// Bad rules are refused with 400 and change nothing. Rules are tried in their
// order: the call waits for each latency that applies, and has the first other
// fault that applies. A fault counts when it happens. Rules end with the
// process; the faults that have fired are in the journal.
//
// Operations are payment_intents.create, .confirm, .capture, .cancel,
// .retrieve, .list, .search; refunds.create, .retrieve, .list; charges.retrieve, .list;
// balance_transactions.list; events.retrieve, .list. Kinds for calls:
//
//	latency             waits (30s), then executes, even if the caller has gone
//	hang                never answers; nothing is executed
//	drop                closes the connection; nothing is executed
//	unavailable         503; nothing is executed or kept
//	rate_limit          429 with Retry-After (1s); nothing is executed or kept
//	hang_after_commit   executes, and never answers
//	drop_after_commit   executes, and closes the connection without a byte
//	error_after_commit  executes, and answers 500, which the key keeps: the same
//	                    key gets 500 again, as Stripe documents
//
// A call that hangs ends when its caller goes or the simulator stops. One call
// asks for its own fault with the header "Souk-Sim-Fault: KIND", or
// "latency=2s", "rate_limit=2s"; or, where there is metadata, in
// metadata[souk_sim_fault]. Kinds for webhooks, whose operation is the type of
// the event, such as "payment_intent.succeeded":
//
//	webhook_triple   sends it three times at once
//	webhook_reorder  sends it after the payment's next one, or after latency (10s)
//	webhook_delay    sends it late by latency (1h)
//	webhook_never    does not send it
//
// # Webhooks
//
// Each change of a payment is one event: payment_intent.created (if not
// confirmed at once), .requires_action, .amount_capturable_updated, .succeeded,
// .payment_failed, .canceled; and charge.refunded. Every endpoint gets all of
// them, with Stripe-Signature, perhaps before the caller has its answer. A
// webhook that is not answered 2xx within 10 s is sent again after 1 s, 2 s, and
// so on up to every minute, for three days, also after a restart. Webhooks of
// one payment to one endpoint start in their order; only a failed attempt or a
// fault changes the order.
//
//	GET  /_sim/webhooks        endpoints, and how many webhooks are pending,
//	                           waiting, delivered, given up, never sent
//	POST /_sim/webhooks/flush  sends the waiting ones at once, and syncs the
//	                           journal
//
// # Authentication
//
// A payment with pm_card_authenticationRequired gets requires_action, with
// next_action redirect_to_url if there is a return_url, else use_stripe_sdk
// (where stripe_js is the same URL). The payer's answer is
//
//	POST /_sim/payment_intents/{id}/authenticate  outcome=succeed or outcome=fail
//
// and a browser gets a page with both buttons there.
package main
