package stripesim

// chargeRef is one of an intent's charges.
type chargeRef struct {
	*header
	n  int
	at int64 // Unix seconds
}

// chargeOf is the latest charge of a version of an intent.
type chargeOf struct{ *intent }

// movement is money that came to the account or left it.
type movement struct {
	id string
	in *intent // captured; nil for a refund
	re *refund
	at int64 // Unix seconds
}

// enter keeps the books of charges and movements after an event made in of
// prev, nil if it is new; the caller holds b.mu.
func (b *bank) enter(ev *event, prev, in *intent) {
	if prev != nil && prev.charges > 0 && in.charges > prev.charges {
		b.superseded[prev.chargeID()] = prev
	}
	if in.charges > 0 && (prev == nil || in.charges > prev.charges) {
		b.charges = append(b.charges, chargeRef{in.header, in.charges, ev.At.Unix()})
	}
	if ev.Event == eventCaptured {
		b.movements = append(b.movements, movement{id: transactionID(in.chargeID()), in: in, at: ev.At.Unix()})
	}
}

// listCharges answers GET /v1/charges: newest first.
func (b *bank) listCharges(_ string, p *params) (any, *apiError) {
	intentID := p.text("payment_intent")
	within := created(p)
	return page(p, "/v1/charges", "charge", len(b.charges), func(i int) (string, any, bool) {
		ref := b.charges[i]
		id := chargeID(ref.header, ref.n)
		in := b.superseded[id]
		if in == nil {
			in = b.intents[ref.id]
		}
		return id, chargeOf{in}, (intentID == "" || ref.id == intentID) && within(ref.at)
	})
}

// listMovements answers GET /v1/balance_transactions: newest first.
func (b *bank) listMovements(_ string, p *params) (any, *apiError) {
	kind, source, currency := p.text("type"), p.text("source"), p.text("currency")
	within := created(p)
	return page(p, "/v1/balance_transactions", "balance_transaction", len(b.movements), func(i int) (string, any, bool) {
		m := b.movements[i]
		if !within(m.at) {
			return m.id, nil, false
		}
		out := m.render(nil)
		return m.id, m, (kind == "" || out.Type == kind) && (source == "" || out.Source == source) && (currency == "" || out.Currency == currency)
	})
}

// transactionID is the balance transaction's of a charge or refund.
func transactionID(source string) string { return derived("txn_", source) }

// balanceTransaction is Stripe's object. The simulator takes no fees.
type balanceTransaction struct {
	ID                string   `json:"id"`
	Object            string   `json:"object"`
	Amount            int64    `json:"amount"`
	AvailableOn       int64    `json:"available_on"`
	BalanceType       string   `json:"balance_type"`
	Created           int64    `json:"created"`
	Currency          string   `json:"currency"`
	Description       *string  `json:"description"`
	ExchangeRate      *float64 `json:"exchange_rate"`
	Fee               int64    `json:"fee"`
	FeeDetails        []any    `json:"fee_details"`
	Net               int64    `json:"net"`
	ReportingCategory string   `json:"reporting_category"`
	Source            any      `json:"source"`
	Status            string   `json:"status"`
	Type              string   `json:"type"`
}

func (m movement) render(expand expansion) balanceTransaction {
	out := balanceTransaction{
		ID: m.id, Object: "balance_transaction", AvailableOn: m.at, BalanceType: "payments", Created: m.at, FeeDetails: []any{}, Status: "available",
	}
	if m.re != nil {
		out.Type, out.Source, out.Amount, out.Currency = "refund", m.re.id, -m.re.amount, m.re.intent.currency
	} else {
		out.Type, out.Source, out.Amount, out.Currency = "charge", m.in.chargeID(), m.in.received, m.in.currency
		out.Description = orNull(m.in.description)
	}
	out.Net, out.ReportingCategory = out.Amount, out.Type
	switch {
	case !expand["source"]:
	case m.re != nil:
		out.Source = m.re.render()
	default:
		out.Source = m.in.renderCharge()
	}
	return out
}
