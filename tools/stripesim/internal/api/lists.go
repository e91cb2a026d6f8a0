package api

import (
	"slices"

	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/wire"
)

func getIntent(st *store.State, req request) (any, *store.Error) {
	req.params.ignore("client_secret")
	if err := req.params.check(); err != nil {
		return nil, err
	}
	if in := st.Intents[req.id]; in != nil {
		return in, nil
	}
	return nil, store.Missing("intent", "payment_intent", req.id)
}

func getCharge(st *store.State, req request) (any, *store.Error) {
	if err := req.params.check(); err != nil {
		return nil, err
	}
	if in := st.ByCharge(req.id); in != nil {
		return chargeOf{in}, nil
	}
	return nil, store.Missing("id", "charge", req.id)
}

func getRefund(st *store.State, req request) (any, *store.Error) {
	if err := req.params.check(); err != nil {
		return nil, err
	}
	if re := st.Refunds[req.id]; re != nil {
		return re, nil
	}
	return nil, store.Missing("id", "refund", req.id)
}

func getEvent(st *store.State, req request) (any, *store.Error) {
	if err := req.params.check(); err != nil {
		return nil, err
	}
	for _, ev := range slices.Backward(st.Events) {
		if ev.ID == req.id {
			return pendingEvent{ev, st.Pending(ev)}, nil
		}
	}
	return nil, store.Missing("id", "event", req.id)
}

func listIntents(st *store.State, req request) (any, *store.Error) {
	within := created(req.params)
	return page(req.params, "/v1/payment_intents", "payment_intent", len(st.Payments), func(i int) (string, any, bool) {
		h := st.Payments[i]
		return h.ID, st.Intents[h.ID], within(h.CreatedAt)
	})
}

func listCharges(st *store.State, req request) (any, *store.Error) {
	intentID := req.params.text("payment_intent")
	within := created(req.params)
	return page(req.params, "/v1/charges", "charge", len(st.Charges), func(i int) (string, any, bool) {
		ref := st.Charges[i]
		chargeID := ref.ChargeID()
		return chargeID, chargeOf{st.ByCharge(chargeID)}, (intentID == "" || ref.ID == intentID) && within(ref.At)
	})
}

func listRefunds(st *store.State, req request) (any, *store.Error) {
	intentID, chargeID := req.params.text("payment_intent"), req.params.text("charge")
	within := created(req.params)
	return page(req.params, "/v1/refunds", "refund", len(st.RefundOrder), func(i int) (string, any, bool) {
		re := st.RefundOrder[i]
		match := (intentID == "" || re.Intent.ID == intentID) && (chargeID == "" || re.ChargeID() == chargeID)
		return re.ID, re, match && within(re.CreatedAt)
	})
}

func listBalanceTransactions(st *store.State, req request) (any, *store.Error) {
	kind, source, currency := req.params.text("type"), req.params.text("source"), req.params.text("currency")
	within := created(req.params)
	return page(req.params, "/v1/balance_transactions", "balance_transaction", len(st.BalanceTransactions), func(i int) (string, any, bool) {
		bt := st.BalanceTransactions[i]
		if !within(bt.At) {
			return bt.ID, nil, false
		}
		out := wire.NewBalanceTransaction(bt, nil)
		return bt.ID, bt, (kind == "" || out.Type == kind) && (source == "" || out.Source == source) && (currency == "" || out.Currency == currency)
	})
}

func listEvents(st *store.State, req request) (any, *store.Error) {
	kinds := req.params.list("types")
	if kind := req.params.text("type"); kind != "" {
		kinds = append(kinds, kind)
	}
	within := created(req.params)
	return page(req.params, "/v1/events", "event", len(st.Events), func(i int) (string, any, bool) {
		ev := st.Events[i]
		return ev.ID, pendingEvent{ev, st.Pending(ev)}, (len(kinds) == 0 || slices.Contains(kinds, ev.Type)) && within(ev.At)
	})
}

// created reads the bounds created=, created[gt]=, created[gte]=, created[lt]=, created[lte]=.
func created(p *params) func(at int64) bool {
	var bounds []func(int64) bool
	for op, holds := range map[string]func(at, limit int64) bool{
		"":    func(at, limit int64) bool { return at == limit },
		"gt":  func(at, limit int64) bool { return at > limit },
		"gte": func(at, limit int64) bool { return at >= limit },
		"lt":  func(at, limit int64) bool { return at < limit },
		"lte": func(at, limit int64) bool { return at <= limit },
	} {
		if limit := p.nestedInteger("created", op); limit != nil {
			bounds = append(bounds, func(at int64) bool { return holds(at, *limit) })
		}
	}
	return func(at int64) bool {
		for _, holds := range bounds {
			if !holds(at) {
				return false
			}
		}
		return true
	}
}

// pageLimit reads the number of objects on a page.
func pageLimit(p *params) int64 {
	if n := p.integer("limit"); n != nil {
		return *n
	}
	return 10
}

func checkLimit(limit int64) *store.Error {
	if limit < 1 || limit > 100 {
		return store.Invalid("limit", "parameter_invalid_integer", "Invalid limit: must be between 1 and 100.")
	}
	return nil
}

// page lists n objects, the newest first. look returns the id of the i-th
// oldest, the object, and whether the caller asked for it.
func page(p *params, url, kind string, n int, look func(i int) (string, any, bool)) (any, *store.Error) {
	limit := pageLimit(p)
	after, before := p.text("starting_after"), p.text("ending_before")
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if after != "" && before != "" {
		return nil, store.Invalid("", "", "You can only use one of starting_after and ending_before.")
	}
	start, step := n-1, -1 // toward the oldest
	cursor, param := after, "starting_after"
	if before != "" {
		step, cursor, param = 1, before, "ending_before"
	}
	if cursor != "" {
		at := -1
		for i := range n {
			if id, _, _ := look(i); id == cursor {
				at = i
				break
			}
		}
		if at < 0 {
			return nil, store.Invalid(param, "resource_missing", "No such %s: '%s'", kind, cursor)
		}
		start = at + step
	}
	out := wire.List{Object: "list", Data: []any{}, URL: url}
	for i := start; i >= 0 && i < n; i += step {
		_, object, match := look(i)
		if !match {
			continue
		}
		if int64(len(out.Data)) == limit {
			out.HasMore = true
			break
		}
		out.Data = append(out.Data, object)
	}
	if before != "" {
		slices.Reverse(out.Data) // collected from the cursor up; listed newest first
	}
	return out, nil
}
