package stripesim

// summary is what an audit asks first. Amounts are in minor units by currency.
type summary struct {
	Events         int64            `json:"events"`
	JournalBytes   int64            `json:"journal_bytes"`
	PaymentIntents map[string]int64 `json:"payment_intents"` // by status
	Refunds        int64            `json:"refunds"`
	Keys           int64            `json:"idempotency_keys"`
	Held           map[string]int64 `json:"held"`
	Captured       map[string]int64 `json:"captured"`
	Refunded       map[string]int64 `json:"refunded"`
}

// summary adds up the state; the caller holds b.mu.
func (b *bank) summary() summary {
	sum := summary{
		Events: b.seq, JournalBytes: b.journal.size.Load(), Refunds: int64(len(b.refunds)), Keys: int64(len(b.keys)),
		PaymentIntents: map[string]int64{}, Held: map[string]int64{}, Captured: map[string]int64{}, Refunded: map[string]int64{},
	}
	for _, in := range b.intents {
		sum.PaymentIntents[in.status]++
		if in.status == requiresCapture {
			sum.Held[in.currency] += in.amount
		}
		sum.Captured[in.currency] += in.received
		sum.Refunded[in.currency] += in.refunded
	}
	return sum
}
