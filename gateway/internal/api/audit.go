package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/internal/shop/audit"
)

// listAuditLog answers GET /v1/audit-log.
func (a *API) listAuditLog(ctx context.Context, in *ListAuditLogRequest) (answer, error) {
	filter := audit.Filter{Service: in.Service, Operator: in.Operator, Action: in.Action, From: in.From, Before: in.Before}
	page, next, err := a.shop.Audit.List(ctx, viewer(ctx), filter, size(in.Limit), in.Cursor)
	if err != nil {
		return nil, err
	}
	out := AuditPage{Entries: make([]AuditEntry, len(page)), NextCursor: next}
	for i, e := range page {
		out.Entries[i] = AuditEntry{
			Service: e.Service, Sequence: e.Sequence, At: e.At, Operator: e.Operator, Caller: e.Caller, Action: e.Action, Object: e.Object,
			Before: e.Before, After: e.After, Request: e.Request, Hash: e.Hash,
		}
	}
	body, err := encode(out, "")
	if err != nil {
		return nil, err
	}
	doc := &document{status: http.StatusOK, body: body}
	if next != "" {
		values := url.Values{}
		for name, value := range map[string]string{"service": in.Service, "operator": in.Operator, "action": in.Action} {
			if value != "" {
				values.Set(name, value)
			}
		}
		for name, at := range map[string]time.Time{"from": in.From, "before": in.Before} {
			if !at.IsZero() {
				values.Set(name, at.Format(time.RFC3339Nano))
			}
		}
		if in.Limit != nil {
			values.Set("limit", strconv.FormatInt(*in.Limit, 10))
		}
		doc.link = nextLink("/v1/audit-log", values, next)
	}
	return doc, nil
}
