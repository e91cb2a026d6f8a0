package gateway

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
)

// endpointID and deliveryID are those of the one endpoint of fakeWebhooks and of its delivery.
const (
	endpointID = "01a22402-9b4b-709b-a755-3e9d96776da6"
	deliveryID = "01a22402-9b4b-709b-a755-3e9d96776da7"
)

// fakeWebhooks is a notification service with one endpoint, of version 2, which had one
// delivery. It keeps nothing.
type fakeWebhooks struct {
	notificationv1.UnimplementedWebhookServiceServer
}

func fakeEndpoint() *notificationv1.WebhookEndpoint {
	return &notificationv1.WebhookEndpoint{
		Id: endpointID, Url: "https://example.com/hooks", EventTypes: []string{"*"}, DisabledReason: "gone",
		DisabledAt: timestamppb.Now(), Version: 2, CreatedAt: timestamppb.Now(), ChangedAt: timestamppb.Now(),
	}
}

func fakeDelivery() *notificationv1.WebhookDelivery {
	return &notificationv1.WebhookDelivery{
		Id: deliveryID, WebhookId: "evt_1", EventType: "souk.order.v1.OrderPaid", Subject: "order.1", Version: 5, HappenedAt: timestamppb.Now(),
		State: notificationv1.WebhookDeliveryState_WEBHOOK_DELIVERY_STATE_FAILED, Attempts: 11, LastStatus: 500, LastError: "answered 500",
		CreatedAt: timestamppb.Now(), ChangedAt: timestamppb.Now(),
	}
}

// known refuses another endpoint and another version.
func known(id string, versions ...int64) error {
	if id != endpointID {
		return refused(codes.NotFound, "WEBHOOK_ENDPOINT_NOT_FOUND")
	}
	for _, v := range versions {
		if v == 2 {
			return nil
		}
	}
	if len(versions) > 0 {
		return refused(codes.FailedPrecondition, "PRECONDITION_FAILED")
	}
	return nil
}

func (fakeWebhooks) CreateEndpoint(_ context.Context, r *notificationv1.CreateEndpointRequest) (*notificationv1.CreateEndpointResponse, error) {
	e := fakeEndpoint()
	e.Url, e.EventTypes, e.Ordered, e.Description = r.GetUrl(), r.GetEventTypes(), r.GetOrdered(), r.GetDescription()
	return &notificationv1.CreateEndpointResponse{Endpoint: e, Secret: "whsec_c2VjcmV0"}, nil
}

func (fakeWebhooks) GetEndpoint(_ context.Context, r *notificationv1.GetEndpointRequest) (*notificationv1.GetEndpointResponse, error) {
	return &notificationv1.GetEndpointResponse{Endpoint: fakeEndpoint()}, known(r.GetEndpointId())
}

func (fakeWebhooks) ListEndpoints(context.Context, *notificationv1.ListEndpointsRequest) (*notificationv1.ListEndpointsResponse, error) {
	return &notificationv1.ListEndpointsResponse{Endpoints: []*notificationv1.WebhookEndpoint{fakeEndpoint()}}, nil
}

func (fakeWebhooks) UpdateEndpoint(_ context.Context, r *notificationv1.UpdateEndpointRequest) (*notificationv1.UpdateEndpointResponse, error) {
	e := fakeEndpoint()
	if r.Description != nil {
		e.Description = r.GetDescription()
	}
	if r.Enabled != nil && r.GetEnabled() {
		e.Enabled, e.DisabledReason, e.DisabledAt = true, "", nil
	}
	return &notificationv1.UpdateEndpointResponse{Endpoint: e}, known(r.GetEndpointId(), r.GetVersions()...)
}

func (fakeWebhooks) DeleteEndpoint(_ context.Context, r *notificationv1.DeleteEndpointRequest) (*notificationv1.DeleteEndpointResponse, error) {
	return &notificationv1.DeleteEndpointResponse{}, known(r.GetEndpointId(), r.GetVersions()...)
}

func (fakeWebhooks) RotateSecret(_ context.Context, r *notificationv1.RotateSecretRequest) (*notificationv1.RotateSecretResponse, error) {
	secret := "whsec_b3RoZXI="
	if r.GetOverlap() == nil {
		secret = "whsec_ZGVmYXVsdA=="
	}
	return &notificationv1.RotateSecretResponse{Endpoint: fakeEndpoint(), Secret: secret}, known(r.GetEndpointId())
}

func (fakeWebhooks) SendTest(_ context.Context, r *notificationv1.SendTestRequest) (*notificationv1.SendTestResponse, error) {
	return &notificationv1.SendTestResponse{Delivery: fakeDelivery()}, known(r.GetEndpointId())
}

func (fakeWebhooks) ListDeliveries(_ context.Context, r *notificationv1.ListDeliveriesRequest) (*notificationv1.ListDeliveriesResponse, error) {
	if c := r.GetCursor(); c != "" && c != deliveryID {
		return nil, refused(codes.InvalidArgument, "INVALID_CURSOR")
	}
	return &notificationv1.ListDeliveriesResponse{Deliveries: []*notificationv1.WebhookDelivery{fakeDelivery()}, NextCursor: deliveryID}, known(r.GetEndpointId())
}

func (fakeWebhooks) GetDelivery(_ context.Context, r *notificationv1.GetDeliveryRequest) (*notificationv1.GetDeliveryResponse, error) {
	if r.GetDeliveryId() != deliveryID {
		return nil, refused(codes.NotFound, "WEBHOOK_DELIVERY_NOT_FOUND")
	}
	return &notificationv1.GetDeliveryResponse{Delivery: fakeDelivery(), Body: []byte("{}"), Attempts: []*notificationv1.WebhookAttempt{
		{At: timestamppb.Now(), Duration: durationpb.New(1500000), Error: "the connection was refused"},
		{At: timestamppb.Now(), Duration: durationpb.New(2500000), Status: 500, Error: "answered 500", Response: "sorry"},
	}}, known(r.GetEndpointId())
}

func (fakeWebhooks) ReplayDelivery(_ context.Context, r *notificationv1.ReplayDeliveryRequest) (*notificationv1.ReplayDeliveryResponse, error) {
	if r.GetDeliveryId() != deliveryID {
		return nil, refused(codes.NotFound, "WEBHOOK_DELIVERY_NOT_FOUND")
	}
	d := fakeDelivery()
	d.State, d.NextAttemptAt = notificationv1.WebhookDeliveryState_WEBHOOK_DELIVERY_STATE_PENDING, timestamppb.Now()
	return &notificationv1.ReplayDeliveryResponse{Delivery: d}, known(r.GetEndpointId())
}

func (fakeWebhooks) ReplayFailed(_ context.Context, r *notificationv1.ReplayFailedRequest) (*notificationv1.ReplayFailedResponse, error) {
	return &notificationv1.ReplayFailedResponse{Deliveries: 3}, known(r.GetEndpointId())
}

// TestWebhookEndpoints: operators register endpoints, change them as they saw them, and look
// at what they were told.
func TestWebhookEndpoints(t *testing.T) {
	t.Parallel()
	s := start(t)
	const path = "/v1/webhook-endpoints/" + endpointID
	made := s.want(201, "POST", "/v1/webhook-endpoints", `{"url":"https://example.com/","event_types":["souk.order.v1.*"],"ordered":true}`, asOperator)
	if made.Header.Get("Location") != path || !strings.HasPrefix(made.Header.Get("ETag"), `"2-`) || !strings.Contains(string(made.body), `"secret":"whsec_c2VjcmV0"`) ||
		!strings.Contains(string(made.body), `"ordered":true`) {
		t.Errorf("%v %s", made.Header, made.body)
	}
	tag := s.want(200, "GET", path, "", asOperator).Header.Get("ETag")
	s.want(200, "PATCH", path, `{"enabled":true}`, asOperator, header("If-Match: "+tag))
	if a := s.want(200, "PATCH", path, `{"description":"a"}`, asOperator); !strings.Contains(string(a.body), `"description":"a"`) || !strings.Contains(string(a.body), `"enabled":false`) {
		t.Errorf("what is left out stays: %s", a.body)
	}
	s.refuses(412, "precondition-failed", "PATCH", path, `{"enabled":false}`, asOperator, `If-Match: "1-a"`)
	s.refuses(412, "precondition-failed", "DELETE", path, "", asOperator, `If-Match: "1-a"`)
	s.refuses(404, "webhook-endpoint-not-found", "GET", "/v1/webhook-endpoints/"+deliveryID, "", asOperator)
	s.refuses(404, "webhook-delivery-not-found", "GET", path+"/deliveries/"+endpointID, "", asOperator)
	for field, body := range map[string]string{
		"url":             `{"event_types":["*"]}`,
		"event_types":     `{"url":"https://example.com/","event_types":[]}`,
		"event_types[0]":  `{"url":"https://example.com/","event_types":[7]}`,
		"overlap_seconds": ``,
	} {
		method, to := "POST", "/v1/webhook-endpoints"
		if body == "" {
			to, body = path+"/secret", `{"overlap_seconds":604801}`
		}
		if p := s.refuses(400, "invalid", method, to, body, asOperator); len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: %+v", body, p.Errors)
		}
	}
	if a := s.want(200, "POST", path+"/secret", "", asOperator); !strings.Contains(string(a.body), "whsec_ZGVmYXVsdA==") {
		t.Errorf("%s", a.body)
	}
	if a := s.want(200, "POST", path+"/secret", `{"overlap_seconds":0}`, asOperator); !strings.Contains(string(a.body), "whsec_b3RoZXI=") {
		t.Errorf("%s", a.body)
	}
	if a := s.want(202, "POST", path+"/test", "", asOperator); a.Header.Get("Location") != path+"/deliveries/"+deliveryID {
		t.Errorf("%v", a.Header)
	}
	page := s.want(200, "GET", path+"/deliveries?state=FAILED&limit=1", "", asOperator)
	if link := page.Header.Get("Link"); !strings.Contains(link, "cursor="+deliveryID) || !strings.Contains(link, "state=FAILED") || !strings.Contains(link, "limit=1") {
		t.Errorf("%s", link)
	}
	s.refuses(400, "invalid-cursor", "GET", path+"/deliveries?cursor=x", "", asOperator)
	if a := s.want(200, "GET", path+"/deliveries/"+deliveryID, "", asOperator); !strings.Contains(string(a.body), `"response":"sorry"`) || strings.Contains(string(a.body), `"status":0`) {
		t.Errorf("%s", a.body)
	}
	s.want(202, "POST", path+"/deliveries/"+deliveryID+"/replay", "", asOperator)
	if a := s.want(200, "POST", path+"/replay", `{"since":"2026-01-02T00:00:00Z"}`, asOperator); !strings.Contains(string(a.body), `"deliveries":3`) {
		t.Errorf("%s", a.body)
	}
	_, me := s.newCart(`{}`)
	s.refuses(403, "forbidden", "GET", "/v1/webhook-endpoints", "", me)
}
