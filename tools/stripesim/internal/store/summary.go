package store

// Summary adds up the state. Amounts are in minor units by currency.
type Summary struct {
	Entries        int64            `json:"events"`
	JournalBytes   int64            `json:"journal_bytes"`
	PaymentIntents map[string]int64 `json:"payment_intents"` // by status
	Refunds        int64            `json:"refunds"`
	Keys           int64            `json:"idempotency_keys"`
	Authorized     map[string]int64 `json:"held"`
	Captured       map[string]int64 `json:"captured"`
	Refunded       map[string]int64 `json:"refunded"`
}

// Summary adds up the state.
func (st *State) Summary() Summary {
	sum := Summary{
		Entries: st.seq, JournalBytes: st.journal.size.Load(), Refunds: int64(len(st.Refunds)), Keys: int64(len(st.keys)),
		PaymentIntents: map[string]int64{}, Authorized: map[string]int64{}, Captured: map[string]int64{}, Refunded: map[string]int64{},
	}
	for _, in := range st.Intents {
		sum.PaymentIntents[in.Status]++
		if in.Status == RequiresCapture {
			sum.Authorized[in.Currency] += in.Amount
		}
		sum.Captured[in.Currency] += in.Received
		sum.Refunded[in.Currency] += in.Refunded
	}
	return sum
}
