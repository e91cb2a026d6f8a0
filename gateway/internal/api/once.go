package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
)

// once is handle for an operation that takes an Idempotency-Key: with one, a repeat
// gets the first answer, byte for byte, from the service that keeps it.
func once[In any, P interface {
	*In
	read(q *request)
	key() string
}](a *API, operation string, keeper idempotency.Client, do func(ctx context.Context, in P) (answer, error)) func(w http.ResponseWriter, r *http.Request) (answer, error) {
	return handle(func(ctx context.Context, in P) (answer, error) {
		if in.key() == "" {
			return do(ctx, in)
		}
		request := idempotency.Request{Scope: operation + " " + caller(ctx), Key: in.key(), Owner: shopperOf(ctx)}
		sum := sha256.New()
		if err := json.NewEncoder(sum).Encode(in); err != nil {
			return nil, err
		}
		if s, ok := any(in).(interface{ stream() *io.Reader }); ok {
			data, err := io.ReadAll(*s.stream())
			if err != nil {
				return nil, bodyError(err)
			}
			sum.Write(data)
			*s.stream() = bytes.NewReader(data)
		}
		request.Hash = sum.Sum(nil)
		var applied string
		kept, replayed, err := idempotency.Once(ctx, keeper, a.caller, request, func(ctx context.Context) (idempotency.Answer, error) {
			out, err := do(ctx, in)
			if err != nil {
				return idempotency.Answer{}, err
			}
			doc := out.(*document)
			applied = doc.applied
			return doc.keep(), nil
		})
		if err != nil {
			return nil, err
		}
		return restore(kept, applied, replayed), nil
	})
}

// caller is whose keys are told apart.
func caller(ctx context.Context) string {
	switch id := auth.FromContext(ctx); {
	case id.Operator != nil:
		return "operator " + id.Operator.Name // whatever the token: it may be replaced between two tries
	case id.Known:
		return id.Shopper.ID.String()
	}
	return "guest" // whose key is a UUID, and as good as a secret
}

// shopperOf is the shopper who asks, the zero UUID for an operator and a guest who is not known yet.
func shopperOf(ctx context.Context) uuid.UUID {
	if id := auth.FromContext(ctx); id.Operator == nil && id.Known {
		return id.Shopper.ID
	}
	return uuid.Nil
}

// keep is what a repeat gets of the document.
func (d *document) keep() idempotency.Answer {
	headers := map[string]string{}
	if d.tagged {
		headers[headerETag] = d.body.Tag
	}
	if d.location != "" {
		headers["Location"] = d.location
	}
	return idempotency.Answer{Status: d.status, Headers: headers, Body: d.body.Plain.Bytes}
}

func restore(a idempotency.Answer, applied string, replayed bool) *document {
	etag, tagged := a.Headers[headerETag]
	doc := &document{status: a.Status, body: compress.NewBody(a.Body, etag), tagged: tagged, location: a.Headers["Location"], replayed: replayed}
	if !replayed {
		doc.applied = applied // a repeat did not wait
	}
	return doc
}

// keeper is the service that performs the operations at a path.
func (a *API) keeper(path string) idempotency.Client {
	resource, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/"), "/")
	switch resource {
	case "reconciliations":
		return a.keepers["payment"]
	case "webhook-endpoints":
		return a.keepers["notification"]
	case "session", "customers", "personal-data":
		return a.keepers["order"]
	}
	if keeper, ok := a.keepers[strings.TrimSuffix(resource, "s")]; ok { // carts of cart
		return keeper
	}
	return a.keepers["catalog"]
}

// keyOf is a key that must be a UUID; "" for none. The nil UUID was refused.
func keyOf(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}
