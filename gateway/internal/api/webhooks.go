package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/shop/webhook"
)

const endpointsPath = "/v1/webhook-endpoints"

// listWebhookEndpoints answers GET /v1/webhook-endpoints.
func (a *API) listWebhookEndpoints(ctx context.Context, _ *ListWebhookEndpointsRequest) (answer, error) {
	all, err := a.shop.Webhooks.List(ctx, viewer(ctx))
	if err != nil {
		return nil, err
	}
	out := WebhookEndpointList{Endpoints: make([]WebhookEndpoint, len(all))}
	for i, e := range all {
		out.Endpoints[i] = newWebhookEndpoint(e)
	}
	return private(out)
}

// createWebhookEndpoint answers POST /v1/webhook-endpoints.
func (a *API) createWebhookEndpoint(ctx context.Context, in *CreateWebhookEndpointRequest) (answer, error) {
	e, secret, err := a.shop.Webhooks.Create(ctx, viewer(ctx), webhook.NewEndpoint{
		URL: in.Body.URL, Description: in.Body.Description, Types: in.Body.EventTypes, Ordered: in.Body.Ordered,
	})
	if err != nil {
		return nil, err
	}
	doc, err := withSecret(e, secret)
	if err != nil {
		return nil, err
	}
	doc.status, doc.location, doc.tagged = http.StatusCreated, endpointsPath+"/"+e.ID, true
	return doc, nil
}

// withSecret is an endpoint with its secret, tagged by its version.
func withSecret(e *webhook.Endpoint, secret string) (*document, error) {
	body, err := encode(WebhookEndpointWithSecret{Endpoint: newWebhookEndpoint(e), Secret: secret}, strconv.FormatInt(e.Version, 10))
	if err != nil {
		return nil, err
	}
	return &document{status: http.StatusOK, body: body}, nil
}

// getWebhookEndpoint answers GET /v1/webhook-endpoints/{endpoint_id}.
func (a *API) getWebhookEndpoint(ctx context.Context, in *GetWebhookEndpointRequest) (answer, error) {
	return answerEndpoint(a.shop.Webhooks.Get(ctx, viewer(ctx), in.EndpointID.String()))
}

func answerEndpoint(e *webhook.Endpoint, err error) (answer, error) {
	if err != nil {
		return nil, err
	}
	body, err := encode(newWebhookEndpoint(e), strconv.FormatInt(e.Version, 10))
	if err != nil {
		return nil, err
	}
	return &document{status: http.StatusOK, body: body, tagged: true}, nil
}

// updateWebhookEndpoint answers PATCH /v1/webhook-endpoints/{endpoint_id}.
func (a *API) updateWebhookEndpoint(ctx context.Context, in *UpdateWebhookEndpointRequest) (answer, error) {
	versions, err := matchVersions(in.IfMatch)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	return answerEndpoint(a.shop.Webhooks.Update(ctx, viewer(ctx), in.EndpointID.String(), versions, webhook.Change{
		URL: b.URL, Description: b.Description, Types: b.EventTypes, Ordered: b.Ordered, Enabled: b.Enabled,
	}))
}

// deleteWebhookEndpoint answers DELETE /v1/webhook-endpoints/{endpoint_id}.
func (a *API) deleteWebhookEndpoint(ctx context.Context, in *DeleteWebhookEndpointRequest) (answer, error) {
	versions, err := matchVersions(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := a.shop.Webhooks.Delete(ctx, viewer(ctx), in.EndpointID.String(), versions); err != nil {
		return nil, err
	}
	return &document{status: http.StatusNoContent, body: compress.NewBody(nil, "")}, nil
}

// rotateWebhookSecret answers POST /v1/webhook-endpoints/{endpoint_id}/secret.
func (a *API) rotateWebhookSecret(ctx context.Context, in *RotateWebhookSecretRequest) (answer, error) {
	var overlap *time.Duration
	if s := in.Body.OverlapSeconds; s != nil {
		d := time.Duration(*s) * time.Second
		overlap = &d
	}
	e, secret, err := a.shop.Webhooks.Rotate(ctx, viewer(ctx), in.EndpointID.String(), overlap)
	if err != nil {
		return nil, err
	}
	return withSecret(e, secret)
}

// testWebhookEndpoint answers POST /v1/webhook-endpoints/{endpoint_id}/test.
func (a *API) testWebhookEndpoint(ctx context.Context, in *TestWebhookEndpointRequest) (answer, error) {
	d, err := a.shop.Webhooks.Test(ctx, viewer(ctx), in.EndpointID.String())
	if err != nil {
		return nil, err
	}
	doc, err := accepted(d)
	if err == nil {
		doc.location = endpointsPath + "/" + in.EndpointID.String() + "/deliveries/" + d.ID
	}
	return doc, err
}

// accepted is a delivery that is going to be sent.
func accepted(d *webhook.Delivery) (*document, error) {
	doc, err := private(newWebhookDelivery(d))
	if err != nil {
		return nil, err
	}
	doc.status = http.StatusAccepted
	return doc, nil
}

// replayWebhookFailures answers POST /v1/webhook-endpoints/{endpoint_id}/replay.
func (a *API) replayWebhookFailures(ctx context.Context, in *ReplayWebhookFailuresRequest) (answer, error) {
	n, err := a.shop.Webhooks.ReplayFailed(ctx, viewer(ctx), in.EndpointID.String(), in.Body.Since)
	if err != nil {
		return nil, err
	}
	return private(WebhookReplayed{Deliveries: n})
}

// listWebhookDeliveries answers GET /v1/webhook-endpoints/{endpoint_id}/deliveries.
func (a *API) listWebhookDeliveries(ctx context.Context, in *ListWebhookDeliveriesRequest) (answer, error) {
	filter := webhook.Filter{State: in.State, Type: in.EventType, WebhookID: in.WebhookID}
	page, next, err := a.shop.Webhooks.Deliveries(ctx, viewer(ctx), in.EndpointID.String(), filter, size(in.Limit), in.Cursor)
	if err != nil {
		return nil, err
	}
	out := WebhookDeliveryPage{Deliveries: make([]WebhookDelivery, len(page)), NextCursor: next}
	for i, d := range page {
		out.Deliveries[i] = newWebhookDelivery(d)
	}
	doc, err := private(out)
	if err != nil || next == "" {
		return doc, err
	}
	values := url.Values{}
	for name, value := range map[string]string{"state": in.State, "event_type": in.EventType, "webhook_id": in.WebhookID} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if in.Limit != nil {
		values.Set("limit", strconv.FormatInt(*in.Limit, 10))
	}
	doc.link = nextLink(endpointsPath+"/"+in.EndpointID.String()+"/deliveries", values, next)
	return doc, nil
}

// getWebhookDelivery answers GET /v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}.
func (a *API) getWebhookDelivery(ctx context.Context, in *GetWebhookDeliveryRequest) (answer, error) {
	d, body, attempts, err := a.shop.Webhooks.Delivery(ctx, viewer(ctx), in.EndpointID.String(), in.DeliveryID.String())
	if err != nil {
		return nil, err
	}
	out := WebhookDeliveryDetail{Delivery: newWebhookDelivery(d), Body: string(body), Attempts: make([]WebhookAttempt, len(attempts))}
	for i, t := range attempts {
		out.Attempts[i] = WebhookAttempt{At: t.At, DurationMs: t.Duration.Milliseconds(), Status: unlessZero(t.Status), Error: t.Error, Response: t.Response}
	}
	return private(out)
}

// replayWebhookDelivery answers POST /v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/replay.
func (a *API) replayWebhookDelivery(ctx context.Context, in *ReplayWebhookDeliveryRequest) (answer, error) {
	d, err := a.shop.Webhooks.Replay(ctx, viewer(ctx), in.EndpointID.String(), in.DeliveryID.String())
	if err != nil {
		return nil, err
	}
	return accepted(d)
}

func newWebhookEndpoint(e *webhook.Endpoint) WebhookEndpoint {
	return WebhookEndpoint{
		ID: e.ID, URL: e.URL, Description: e.Description, EventTypes: e.Types, Ordered: e.Ordered, Enabled: e.Enabled,
		DisabledReason: e.DisabledReason, DisabledAt: e.DisabledAt, FailingSince: e.FailingSince,
		Version: e.Version, CreatedAt: e.CreatedAt, ChangedAt: e.ChangedAt,
	}
}

func newWebhookDelivery(d *webhook.Delivery) WebhookDelivery {
	return WebhookDelivery{
		ID: d.ID, WebhookID: d.WebhookID, EventType: d.Type, Subject: d.Subject, Version: d.Version, HappenedAt: d.HappenedAt,
		State: d.State, Attempts: d.Attempts, NextAttemptAt: d.NextAttemptAt, LastStatus: unlessZero(d.LastStatus), LastError: d.LastError,
		CreatedAt: d.CreatedAt, ChangedAt: d.ChangedAt,
	}
}

func unlessZero(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}
