package stripesim

import "slices"

func (b *bank) getIntent(id string, p *params) (any, *apiError) {
	p.ignore("client_secret")
	if err := p.check(); err != nil {
		return nil, err
	}
	if in := b.intents[id]; in != nil {
		return in, nil
	}
	return nil, missing("intent", "payment_intent", id)
}

func (b *bank) getCharge(id string, p *params) (any, *apiError) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if in := b.byCharge(id); in != nil {
		return chargeOf{in}, nil
	}
	return nil, missing("id", "charge", id)
}

func (b *bank) getRefund(id string, p *params) (any, *apiError) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if re := b.refunds[id]; re != nil {
		return re, nil
	}
	return nil, missing("id", "refund", id)
}

// listIntents answers GET /v1/payment_intents: newest first.
func (b *bank) listIntents(_ string, p *params) (any, *apiError) {
	within := created(p)
	return page(p, "/v1/payment_intents", "payment_intent", len(b.order), func(i int) (string, any, bool) {
		h := b.order[i]
		return h.id, b.intents[h.id], within(h.created)
	})
}

// listRefunds answers GET /v1/refunds: newest first.
func (b *bank) listRefunds(_ string, p *params) (any, *apiError) {
	intentID, charge := p.text("payment_intent"), p.text("charge")
	within := created(p)
	return page(p, "/v1/refunds", "refund", len(b.refundOrder), func(i int) (string, any, bool) {
		re := b.refundOrder[i]
		match := (intentID == "" || re.intent.id == intentID) && (charge == "" || chargeID(re.intent, re.charge) == charge)
		return re.id, re, match && within(re.created)
	})
}

// created reads created=, created[gt]=, created[gte]=, created[lt]=, created[lte]=.
func created(p *params) func(at int64) bool {
	var bounds []func(int64) bool
	for op, holds := range map[string]func(at, limit int64) bool{
		"":    func(at, limit int64) bool { return at == limit },
		"gt":  func(at, limit int64) bool { return at > limit },
		"gte": func(at, limit int64) bool { return at >= limit },
		"lt":  func(at, limit int64) bool { return at < limit },
		"lte": func(at, limit int64) bool { return at <= limit },
	} {
		if limit, ok := p.nestedInteger("created", op); ok {
			bounds = append(bounds, func(at int64) bool { return holds(at, limit) })
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

// page lists n objects, the last made first. look returns the id of the i-th
// oldest, the object, and whether the caller asked for it.
func page(p *params, url, kind string, n int, look func(i int) (string, any, bool)) (any, *apiError) {
	limit, ok := p.integer("limit")
	if !ok {
		limit = 10
	}
	after, before := p.text("starting_after"), p.text("ending_before")
	if err := p.check(); err != nil {
		return nil, err
	}
	if limit < 1 || limit > 100 {
		return nil, invalid("limit", "parameter_invalid_integer", "Invalid limit: must be between 1 and 100.")
	}
	if after != "" && before != "" {
		return nil, invalid("", "", "You can only use one of starting_after and ending_before.")
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
			return nil, invalid(param, "resource_missing", "No such %s: '%s'", kind, cursor)
		}
		start = at + step
	}
	out := listObject{Object: "list", Data: []any{}, URL: url}
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
