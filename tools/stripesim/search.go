package stripesim

import (
	"regexp"
	"slices"
	"strings"
)

// searchResult is a page of a search.
type searchResult struct {
	Object   string  `json:"object"`
	Data     []any   `json:"data"`
	HasMore  bool    `json:"has_more"`
	NextPage *string `json:"next_page"`
	URL      string  `json:"url"`
}

// term is one condition on metadata, as far as the simulator knows Stripe's
// query language: metadata['key']:'value', and several of them with AND.
var term = regexp.MustCompile(`^\s*metadata\[(?:'([^']+)'|"([^"]+)")\]:(?:'([^']*)'|"([^"]*)")\s*$`)

// searchIntents answers GET /v1/payment_intents/search: newest first. Unlike
// Stripe's, its index is never behind.
func (b *bank) searchIntents(_ string, p *params) (any, *apiError) {
	query, limit, hasLimit := p.text("query"), int64(10), false
	if n, ok := p.integer("limit"); ok {
		limit, hasLimit = n, true
	}
	after := p.text("page")
	if err := p.check(); err != nil {
		return nil, err
	}
	if hasLimit && (limit < 1 || limit > 100) {
		return nil, invalid("limit", "parameter_invalid_integer", "Invalid limit: must be between 1 and 100.")
	}
	var want metadata
	for clause := range strings.SplitSeq(query, " AND ") {
		m := term.FindStringSubmatch(clause)
		if m == nil {
			return nil, invalid("query", "", "We were unable to parse your search query. The simulator knows metadata['key']:'value' and AND.")
		}
		want = append(want, pair{m[1] + m[2], m[3] + m[4]})
	}
	out := searchResult{Object: "search_result", Data: []any{}, URL: "/v1/payment_intents/search"}
	skip := after != ""
	for _, h := range slices.Backward(b.order) {
		switch {
		case skip:
			skip = h.id != after
		case slices.ContainsFunc(want, func(w pair) bool { return !slices.Contains(h.metadata, w) }):
		case int64(len(out.Data)) == limit:
			last := out.Data[limit-1].(*intent).id
			out.HasMore, out.NextPage = true, &last
			return out, nil
		default:
			out.Data = append(out.Data, b.intents[h.id])
		}
	}
	if skip {
		return nil, invalid("page", "", "Invalid page: %s", after)
	}
	return out, nil
}
