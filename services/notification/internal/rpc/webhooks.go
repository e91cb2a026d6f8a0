package rpc

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

const deliveryPage = 20

// Webhooks implements notificationv1.WebhookServiceServer.
type Webhooks struct {
	notificationv1.UnimplementedWebhookServiceServer
	endpoints *app.Endpoints
}

// NewWebhooks returns a server of webhook endpoints; nil where no webhooks are sent.
func NewWebhooks(endpoints *app.Endpoints) *Webhooks { return &Webhooks{endpoints: endpoints} }

// on returns the use cases, unless no webhooks are sent.
func (s *Webhooks) on() (*app.Endpoints, error) {
	if s.endpoints == nil {
		return nil, webhook.ErrOff
	}
	return s.endpoints, nil
}

// CreateEndpoint implements notificationv1.WebhookServiceServer.
func (s *Webhooks) CreateEndpoint(ctx context.Context, req *notificationv1.CreateEndpointRequest) (*notificationv1.CreateEndpointResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	e, secret, err := use.Create(ctx, req.GetOperationId(), app.New{
		URL: req.GetUrl(), Description: req.GetDescription(), Types: req.GetEventTypes(), Ordered: req.GetOrdered(),
	})
	if err != nil {
		return nil, atField(err)
	}
	return &notificationv1.CreateEndpointResponse{Endpoint: endpointProto(&e), Secret: secret.Format()}, nil
}

// GetEndpoint implements notificationv1.WebhookServiceServer.
func (s *Webhooks) GetEndpoint(ctx context.Context, req *notificationv1.GetEndpointRequest) (*notificationv1.GetEndpointResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	e, err := use.Get(ctx, canonical(req.GetEndpointId()))
	if err != nil {
		return nil, err
	}
	return &notificationv1.GetEndpointResponse{Endpoint: endpointProto(&e)}, nil
}

// ListEndpoints implements notificationv1.WebhookServiceServer.
func (s *Webhooks) ListEndpoints(ctx context.Context, _ *notificationv1.ListEndpointsRequest) (*notificationv1.ListEndpointsResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	all, err := use.List(ctx)
	resp := &notificationv1.ListEndpointsResponse{}
	for i := range all {
		resp.Endpoints = append(resp.Endpoints, endpointProto(&all[i]))
	}
	return resp, err
}

// UpdateEndpoint implements notificationv1.WebhookServiceServer.
func (s *Webhooks) UpdateEndpoint(ctx context.Context, req *notificationv1.UpdateEndpointRequest) (*notificationv1.UpdateEndpointResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	e, err := use.Update(ctx, req.GetOperationId(), canonical(req.GetEndpointId()), req.GetVersions(), app.Change{
		URL: req.Url, Description: req.Description, Types: req.GetEventTypes(), Ordered: req.Ordered, Enabled: req.Enabled,
	})
	if err != nil {
		return nil, atField(err)
	}
	return &notificationv1.UpdateEndpointResponse{Endpoint: endpointProto(&e)}, nil
}

// DeleteEndpoint implements notificationv1.WebhookServiceServer.
func (s *Webhooks) DeleteEndpoint(ctx context.Context, req *notificationv1.DeleteEndpointRequest) (*notificationv1.DeleteEndpointResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	return &notificationv1.DeleteEndpointResponse{}, use.Delete(ctx, req.GetOperationId(), canonical(req.GetEndpointId()), req.GetVersions())
}

// RotateSecret implements notificationv1.WebhookServiceServer.
func (s *Webhooks) RotateSecret(ctx context.Context, req *notificationv1.RotateSecretRequest) (*notificationv1.RotateSecretResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	overlap := webhook.DefaultOverlap
	if req.GetOverlap() != nil {
		overlap = req.GetOverlap().AsDuration()
	}
	e, secret, err := use.Rotate(ctx, req.GetOperationId(), canonical(req.GetEndpointId()), overlap)
	if err != nil {
		return nil, err
	}
	return &notificationv1.RotateSecretResponse{Endpoint: endpointProto(&e), Secret: secret.Format()}, nil
}

// SendTest implements notificationv1.WebhookServiceServer.
func (s *Webhooks) SendTest(ctx context.Context, req *notificationv1.SendTestRequest) (*notificationv1.SendTestResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	d, err := use.Test(ctx, req.GetOperationId(), canonical(req.GetEndpointId()))
	if err != nil {
		return nil, err
	}
	return &notificationv1.SendTestResponse{Delivery: deliveryProto(&d)}, nil
}

// ListDeliveries implements notificationv1.WebhookServiceServer. A cursor is the id of a page's
// last delivery: it is no secret, and grants nothing.
func (s *Webhooks) ListDeliveries(ctx context.Context, req *notificationv1.ListDeliveriesRequest) (*notificationv1.ListDeliveriesResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	if req.GetCursor() != "" && uuid.Validate(req.GetCursor()) != nil {
		return nil, webhook.ErrInvalidCursor
	}
	f := app.Filter{Type: req.GetEventType(), MessageID: req.GetWebhookId()}
	for _, state := range req.GetStates() {
		for _, known := range webhook.States() {
			if deliveryStates[known] == state {
				f.States = append(f.States, known)
			}
		}
	}
	page, more, err := use.Deliveries(ctx, canonical(req.GetEndpointId()), f, req.GetCursor(), int(cmp.Or(req.GetPageSize(), deliveryPage)))
	if err != nil {
		return nil, err
	}
	resp := &notificationv1.ListDeliveriesResponse{}
	for i := range page {
		resp.Deliveries = append(resp.Deliveries, deliveryProto(&page[i]))
	}
	if more {
		resp.NextCursor = page[len(page)-1].ID
	}
	return resp, nil
}

// GetDelivery implements notificationv1.WebhookServiceServer.
func (s *Webhooks) GetDelivery(ctx context.Context, req *notificationv1.GetDeliveryRequest) (*notificationv1.GetDeliveryResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	d, attempts, err := use.Delivery(ctx, canonical(req.GetEndpointId()), canonical(req.GetDeliveryId()))
	if err != nil {
		return nil, err
	}
	resp := &notificationv1.GetDeliveryResponse{Delivery: deliveryProto(&d), Body: d.Message.Body}
	for _, a := range attempts {
		resp.Attempts = append(resp.Attempts, &notificationv1.WebhookAttempt{
			At: timestamppb.New(a.At), Duration: durationpb.New(a.Duration), Status: int32(a.Status), Error: a.Error, Response: a.Response, // three digits
		})
	}
	return resp, nil
}

// ReplayDelivery implements notificationv1.WebhookServiceServer.
func (s *Webhooks) ReplayDelivery(ctx context.Context, req *notificationv1.ReplayDeliveryRequest) (*notificationv1.ReplayDeliveryResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	d, err := use.Replay(ctx, req.GetOperationId(), canonical(req.GetEndpointId()), canonical(req.GetDeliveryId()))
	if err != nil {
		return nil, err
	}
	return &notificationv1.ReplayDeliveryResponse{Delivery: deliveryProto(&d)}, nil
}

// ReplayFailed implements notificationv1.WebhookServiceServer.
func (s *Webhooks) ReplayFailed(ctx context.Context, req *notificationv1.ReplayFailedRequest) (*notificationv1.ReplayFailedResponse, error) {
	use, err := s.on()
	if err != nil {
		return nil, err
	}
	n, err := use.ReplayFailed(ctx, req.GetOperationId(), canonical(req.GetEndpointId()), req.GetSince().AsTime())
	return &notificationv1.ReplayFailedResponse{Deliveries: n}, err
}

// canonical is a UUID as the database writes it. The request was validated.
func canonical(id string) string { return strings.ToLower(id) }

// atField names the field that is wrong.
func atField(err error) error {
	if bad, ok := errors.AsType[*webhook.InvalidError](err); ok {
		return chassisrpc.WithViolations(err, chassisrpc.Violation{Field: bad.Field, Detail: bad.Detail})
	}
	return err
}

var deliveryStates = map[webhook.State]notificationv1.WebhookDeliveryState{
	webhook.Pending:   notificationv1.WebhookDeliveryState_WEBHOOK_DELIVERY_STATE_PENDING,
	webhook.Delivered: notificationv1.WebhookDeliveryState_WEBHOOK_DELIVERY_STATE_DELIVERED,
	webhook.Failed:    notificationv1.WebhookDeliveryState_WEBHOOK_DELIVERY_STATE_FAILED,
}

func endpointProto(e *webhook.Endpoint) *notificationv1.WebhookEndpoint {
	return &notificationv1.WebhookEndpoint{
		Id: e.ID, Url: e.URL, Description: e.Description, EventTypes: e.Types, Ordered: e.Ordered, Enabled: e.Enabled,
		DisabledReason: string(e.DisabledReason), DisabledAt: unlessZero(e.DisabledAt), FailingSince: unlessZero(e.FailingSince),
		Version: e.Version, CreatedAt: timestamppb.New(e.CreatedAt), ChangedAt: timestamppb.New(e.ChangedAt),
	}
}

func deliveryProto(d *webhook.Delivery) *notificationv1.WebhookDelivery {
	out := &notificationv1.WebhookDelivery{
		Id: d.ID, WebhookId: d.Message.ID, EventType: d.Message.Type, Subject: d.Message.Subject, Version: d.Message.Version,
		HappenedAt: timestamppb.New(d.Message.At), State: deliveryStates[d.State], Attempts: int32(d.Attempts), // few
		LastStatus: int32(d.Status), LastError: d.Error, CreatedAt: timestamppb.New(d.CreatedAt), ChangedAt: timestamppb.New(d.ChangedAt), // three digits
	}
	if d.State == webhook.Pending {
		out.NextAttemptAt = timestamppb.New(d.DueAt)
	}
	return out
}

func unlessZero(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
