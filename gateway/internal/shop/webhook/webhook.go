// Package webhook has the use cases of the webhooks that the shop sends: the endpoints that
// operators register, and what these were told.
package webhook

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
)

// Client has the RPCs of the notification service that this package calls.
type Client interface {
	CreateEndpoint(context.Context, *notificationv1.CreateEndpointRequest, ...grpc.CallOption) (*notificationv1.CreateEndpointResponse, error)
	GetEndpoint(context.Context, *notificationv1.GetEndpointRequest, ...grpc.CallOption) (*notificationv1.GetEndpointResponse, error)
	ListEndpoints(context.Context, *notificationv1.ListEndpointsRequest, ...grpc.CallOption) (*notificationv1.ListEndpointsResponse, error)
	UpdateEndpoint(context.Context, *notificationv1.UpdateEndpointRequest, ...grpc.CallOption) (*notificationv1.UpdateEndpointResponse, error)
	DeleteEndpoint(context.Context, *notificationv1.DeleteEndpointRequest, ...grpc.CallOption) (*notificationv1.DeleteEndpointResponse, error)
	RotateSecret(context.Context, *notificationv1.RotateSecretRequest, ...grpc.CallOption) (*notificationv1.RotateSecretResponse, error)
	SendTest(context.Context, *notificationv1.SendTestRequest, ...grpc.CallOption) (*notificationv1.SendTestResponse, error)
	ListDeliveries(context.Context, *notificationv1.ListDeliveriesRequest, ...grpc.CallOption) (*notificationv1.ListDeliveriesResponse, error)
	GetDelivery(context.Context, *notificationv1.GetDeliveryRequest, ...grpc.CallOption) (*notificationv1.GetDeliveryResponse, error)
	ReplayDelivery(context.Context, *notificationv1.ReplayDeliveryRequest, ...grpc.CallOption) (*notificationv1.ReplayDeliveryResponse, error)
	ReplayFailed(context.Context, *notificationv1.ReplayFailedRequest, ...grpc.CallOption) (*notificationv1.ReplayFailedResponse, error)
}

// Webhooks has the use cases. Safe for concurrent use. What changes something happens once for
// each operation (idempotency.ID).
type Webhooks struct {
	client Client
	caller *client.Caller
}

// New makes Webhooks.
func New(c Client, caller *client.Caller) *Webhooks { return &Webhooks{c, caller} }

// Endpoint is a URL that is told what happens.
type Endpoint struct {
	ID, URL, Description     string
	Types                    []string
	Ordered, Enabled         bool
	DisabledReason           string    // "" while it is enabled
	DisabledAt, FailingSince time.Time // zero for never
	Version                  int64
	CreatedAt, ChangedAt     time.Time
}

// Delivery is one event for one endpoint.
type Delivery struct {
	ID, WebhookID        string
	Type, Subject        string
	Version              int64
	HappenedAt           time.Time
	State                string // as in "PENDING"
	Attempts             int64
	NextAttemptAt        time.Time // zero unless it is pending
	LastStatus           int64     // 0 without an answer
	LastError            string
	CreatedAt, ChangedAt time.Time
}

// Attempt is one call of an endpoint.
type Attempt struct {
	At              time.Time
	Duration        time.Duration
	Status          int64 // 0 without an answer
	Error, Response string
}

// Change is what is changed of an endpoint; nil leaves it.
type Change struct {
	URL, Description *string
	Types            []string // empty leaves them
	Ordered, Enabled *bool
}

// NewEndpoint is an endpoint to register.
type NewEndpoint struct {
	URL, Description string
	Types            []string
	Ordered          bool
}

// Create registers an endpoint and returns it with its secret. Problems: RequestInvalid, of
// the reasons TOO_MANY_WEBHOOK_ENDPOINTS and OUTGOING_WEBHOOKS_OFF, the latter of all.
func (w *Webhooks) Create(ctx context.Context, v *accessv1.Viewer, n NewEndpoint) (*Endpoint, string, error) {
	id, _ := idempotency.ID(ctx)
	res, err := client.Call(ctx, w.caller, 0, w.client.CreateEndpoint, &notificationv1.CreateEndpointRequest{
		Viewer: v, OperationId: id.String(), Url: n.URL, Description: n.Description, EventTypes: n.Types, Ordered: n.Ordered,
	})
	if err != nil {
		return nil, "", err
	}
	return endpoint(res.GetEndpoint()), res.GetSecret(), nil
}

// Get returns an endpoint. Problems: of the reason WEBHOOK_ENDPOINT_NOT_FOUND.
func (w *Webhooks) Get(ctx context.Context, v *accessv1.Viewer, id string) (*Endpoint, error) {
	res, err := client.Call(ctx, w.caller, 0, w.client.GetEndpoint, &notificationv1.GetEndpointRequest{Viewer: v, EndpointId: id})
	if err != nil {
		return nil, err
	}
	return endpoint(res.GetEndpoint()), nil
}

// List returns all endpoints, the oldest first.
func (w *Webhooks) List(ctx context.Context, v *accessv1.Viewer) ([]*Endpoint, error) {
	res, err := client.Call(ctx, w.caller, 0, w.client.ListEndpoints, &notificationv1.ListEndpointsRequest{Viewer: v})
	if err != nil {
		return nil, err
	}
	out := make([]*Endpoint, len(res.GetEndpoints()))
	for i, e := range res.GetEndpoints() {
		out[i] = endpoint(e)
	}
	return out, nil
}

// Update changes an endpoint of one of the versions, of any when there are none. Problems: as
// of Create and Get, PreconditionFailed.
func (w *Webhooks) Update(ctx context.Context, v *accessv1.Viewer, id string, versions []int64, c Change) (*Endpoint, error) {
	operation, _ := idempotency.ID(ctx)
	res, err := client.Call(ctx, w.caller, 0, w.client.UpdateEndpoint, &notificationv1.UpdateEndpointRequest{
		Viewer: v, OperationId: operation.String(), EndpointId: id, Versions: versions,
		Url: c.URL, Description: c.Description, EventTypes: c.Types, Ordered: c.Ordered, Enabled: c.Enabled,
	})
	if err != nil {
		return nil, err
	}
	return endpoint(res.GetEndpoint()), nil
}

// Delete removes an endpoint. Problems: as of Update.
func (w *Webhooks) Delete(ctx context.Context, v *accessv1.Viewer, id string, versions []int64) error {
	operation, _ := idempotency.ID(ctx)
	_, err := client.Call(ctx, w.caller, 0, w.client.DeleteEndpoint, &notificationv1.DeleteEndpointRequest{
		Viewer: v, OperationId: operation.String(), EndpointId: id, Versions: versions,
	})
	return err
}

// Rotate gives an endpoint a new secret, and returns it. Problems: as of Get.
func (w *Webhooks) Rotate(ctx context.Context, v *accessv1.Viewer, id string, overlap *time.Duration) (*Endpoint, string, error) {
	operation, _ := idempotency.ID(ctx)
	req := &notificationv1.RotateSecretRequest{Viewer: v, OperationId: operation.String(), EndpointId: id}
	if overlap != nil {
		req.Overlap = durationpb.New(*overlap)
	}
	res, err := client.Call(ctx, w.caller, 0, w.client.RotateSecret, req)
	if err != nil {
		return nil, "", err
	}
	return endpoint(res.GetEndpoint()), res.GetSecret(), nil
}

// Test sends a test message. Problems: as of Get, of the reason WEBHOOK_ENDPOINT_DISABLED.
func (w *Webhooks) Test(ctx context.Context, v *accessv1.Viewer, id string) (*Delivery, error) {
	operation, _ := idempotency.ID(ctx)
	res, err := client.Call(ctx, w.caller, 0, w.client.SendTest, &notificationv1.SendTestRequest{Viewer: v, OperationId: operation.String(), EndpointId: id})
	if err != nil {
		return nil, err
	}
	return delivery(res.GetDelivery()), nil
}

// Filter narrows a list; empty fields do not.
type Filter struct{ State, Type, WebhookID string }

const statePrefix = "WEBHOOK_DELIVERY_STATE_"

// Deliveries returns a page of an endpoint's, newest first, and the cursor of the next, "" on
// the last. Problems: as of Get, InvalidCursor.
func (w *Webhooks) Deliveries(ctx context.Context, v *accessv1.Viewer, id string, f Filter, limit int, cursor string) (page []*Delivery, next string, err error) {
	req := &notificationv1.ListDeliveriesRequest{
		Viewer: v, EndpointId: id, EventType: f.Type, WebhookId: f.WebhookID, PageSize: int32(limit), Cursor: cursor, // 100 at most
	}
	if f.State != "" {
		req.States = []notificationv1.WebhookDeliveryState{notificationv1.WebhookDeliveryState(notificationv1.WebhookDeliveryState_value[statePrefix+f.State])}
	}
	res, err := client.Call(ctx, w.caller, 0, w.client.ListDeliveries, req)
	if err != nil {
		return nil, "", err
	}
	for _, d := range res.GetDeliveries() {
		page = append(page, delivery(d))
	}
	return page, res.GetNextCursor(), nil
}

// Delivery returns one with its body, which is JSON, and its attempts. Problems: of the
// reason WEBHOOK_DELIVERY_NOT_FOUND.
func (w *Webhooks) Delivery(ctx context.Context, v *accessv1.Viewer, id, deliveryID string) (d *Delivery, body []byte, attempts []Attempt, err error) {
	res, err := client.Call(ctx, w.caller, 0, w.client.GetDelivery, &notificationv1.GetDeliveryRequest{Viewer: v, EndpointId: id, DeliveryId: deliveryID})
	if err != nil {
		return nil, nil, nil, err
	}
	for _, a := range res.GetAttempts() {
		attempts = append(attempts, Attempt{
			At: a.GetAt().AsTime(), Duration: a.GetDuration().AsDuration(), Status: int64(a.GetStatus()), Error: a.GetError(), Response: a.GetResponse(),
		})
	}
	return delivery(res.GetDelivery()), res.GetBody(), attempts, nil
}

// Replay has a delivery sent again. Problems: as of Test and Delivery.
func (w *Webhooks) Replay(ctx context.Context, v *accessv1.Viewer, id, deliveryID string) (*Delivery, error) {
	operation, _ := idempotency.ID(ctx)
	res, err := client.Call(ctx, w.caller, 0, w.client.ReplayDelivery, &notificationv1.ReplayDeliveryRequest{
		Viewer: v, OperationId: operation.String(), EndpointId: id, DeliveryId: deliveryID,
	})
	if err != nil {
		return nil, err
	}
	return delivery(res.GetDelivery()), nil
}

// ReplayFailed has all sent again that failed since a time, and returns how many there are.
// Problems: as of Test.
func (w *Webhooks) ReplayFailed(ctx context.Context, v *accessv1.Viewer, id string, since time.Time) (int64, error) {
	operation, _ := idempotency.ID(ctx)
	res, err := client.Call(ctx, w.caller, 0, w.client.ReplayFailed, &notificationv1.ReplayFailedRequest{
		Viewer: v, OperationId: operation.String(), EndpointId: id, Since: timestamppb.New(since),
	})
	return res.GetDeliveries(), err
}

func endpoint(e *notificationv1.WebhookEndpoint) *Endpoint {
	return &Endpoint{
		ID: e.GetId(), URL: e.GetUrl(), Description: e.GetDescription(), Types: e.GetEventTypes(), Ordered: e.GetOrdered(), Enabled: e.GetEnabled(),
		DisabledReason: e.GetDisabledReason(), DisabledAt: optional(e.GetDisabledAt()), FailingSince: optional(e.GetFailingSince()),
		Version: e.GetVersion(), CreatedAt: e.GetCreatedAt().AsTime(), ChangedAt: e.GetChangedAt().AsTime(),
	}
}

func delivery(d *notificationv1.WebhookDelivery) *Delivery {
	return &Delivery{
		ID: d.GetId(), WebhookID: d.GetWebhookId(), Type: d.GetEventType(), Subject: d.GetSubject(), Version: d.GetVersion(),
		HappenedAt: d.GetHappenedAt().AsTime(), State: strings.TrimPrefix(d.GetState().String(), statePrefix), Attempts: int64(d.GetAttempts()),
		NextAttemptAt: optional(d.GetNextAttemptAt()), LastStatus: int64(d.GetLastStatus()), LastError: d.GetLastError(),
		CreatedAt: d.GetCreatedAt().AsTime(), ChangedAt: d.GetChangedAt().AsTime(),
	}
}

func optional(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
