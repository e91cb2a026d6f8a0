package api

import (
	"regexp"
	"slices"
	"strings"

	"github.com/souk-shop/souk/tools/stripesim/internal/store"
	"github.com/souk-shop/souk/tools/stripesim/internal/wire"
)

// term is one condition of a query. Of Stripe's query language the simulator
// knows metadata['key']:'value', and several of them with AND.
var term = regexp.MustCompile(`^\s*metadata\[(?:'([^']+)'|"([^"]+)")\]:(?:'([^']*)'|"([^"]*)")\s*$`)

// searchIntents answers GET /v1/payment_intents/search: newest first. Unlike
// Stripe's, its index is never behind.
func searchIntents(st *store.State, req request) (any, *store.Error) {
	p := req.params
	query, limit, after := p.text("query"), pageLimit(p), p.text("page")
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	var want store.Metadata
	for clause := range strings.SplitSeq(query, " AND ") {
		m := term.FindStringSubmatch(clause)
		if m == nil {
			return nil, store.Invalid("query", "", "We were unable to parse your search query. The simulator knows metadata['key']:'value' and AND.")
		}
		want = append(want, store.Pair{Key: m[1] + m[2], Value: m[3] + m[4]})
	}
	out := wire.SearchResult{Object: "search_result", Data: []any{}, URL: "/v1/payment_intents/search"}
	skip := after != ""
	for _, h := range slices.Backward(st.Payments) {
		switch {
		case skip:
			skip = h.ID != after
		case slices.ContainsFunc(want, func(w store.Pair) bool { return !slices.Contains(h.Metadata, w) }):
		case int64(len(out.Data)) == limit:
			last := out.Data[limit-1].(*store.Intent).ID
			out.HasMore, out.NextPage = true, &last
			return out, nil
		default:
			out.Data = append(out.Data, st.Intents[h.ID])
		}
	}
	if skip {
		return nil, store.Invalid("page", "", "Invalid page: %s", after)
	}
	return out, nil
}
