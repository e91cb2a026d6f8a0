package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

// Deliveries keeps deliveries of messages to webhook endpoints.
type Deliveries interface {
	// Takers are the endpoints that are told events, as of the transaction that takes some.
	Takers(ctx context.Context, tx pgx.Tx) ([]webhook.Taker, error)
	// Deliver adds deliveries of messages, one to each of a message's endpoints.
	Deliver(ctx context.Context, tx pgx.Tx, ms []webhook.Addressed) error
}

// Webhooks is the consumer that makes deliveries to webhook endpoints of events. An event that no
// endpoint is told costs no more than the note that it is taken, and one that this version cannot
// read is an error only where an endpoint is told it.
func Webhooks(to Deliveries) consume.Subscription {
	return consume.Subscription{
		Name: "webhooks", Sources: []string{"catalog", "order", "payment"},
		Effect: func(ctx context.Context, tx pgx.Tx, es []events.Event) error {
			takers, err := to.Takers(ctx, tx)
			if err != nil {
				return err
			}
			var ms []webhook.Addressed
			for _, e := range es {
				endpoints := webhook.Told(takers, e.Type, e.Time)
				if len(endpoints) == 0 {
					continue
				}
				m, err := message(e)
				if err != nil {
					return err
				}
				ms = append(ms, webhook.Addressed{Message: m, To: endpoints})
			}
			if len(ms) == 0 {
				return nil
			}
			return to.Deliver(ctx, tx, ms)
		},
	}
}

// Types are the full names of the events of the contract, sorted: the messages of the files
// events.proto that are no part of another one.
func Types() []string {
	var names []string
	for _, file := range []protoreflect.FileDescriptor{
		catalogv1.File_souk_catalog_v1_events_proto, orderv1.File_souk_order_v1_events_proto, paymentv1.File_souk_payment_v1_events_proto,
	} {
		parts := map[protoreflect.FullName]bool{}
		for i := range file.Messages().Len() {
			fields := file.Messages().Get(i).Fields()
			for j := range fields.Len() {
				if m := fields.Get(j).Message(); m != nil {
					parts[m.FullName()] = true
				}
			}
		}
		for i := range file.Messages().Len() {
			if name := file.Messages().Get(i).FullName(); !parts[name] {
				names = append(names, string(name))
			}
		}
	}
	slices.Sort(names)
	return names
}

// asJSON has the names of the contract, and fields that are not set, so that a receiver finds each
// in its place.
var asJSON = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}

// message is what endpoints are told of an event. One of a type that this version does not know,
// in a rolling upgrade, is an error: a later version takes it.
func message(e events.Event) (webhook.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if err != nil {
		return webhook.Message{}, fmt.Errorf("%s is a %s, which this version does not know", e.ID(), e.Type)
	}
	data := kind.New().Interface()
	if err := proto.Unmarshal(e.Data, data); err != nil {
		return webhook.Message{}, events.Poison(fmt.Errorf("%s cannot be read: %w", e.ID(), err))
	}
	text, err := asJSON.Marshal(data)
	if err != nil {
		return webhook.Message{}, events.Poison(fmt.Errorf("%s is not JSON: %w", e.ID(), err))
	}
	var compact bytes.Buffer // protojson's spaces are at random
	if err := json.Compact(&compact, text); err != nil {
		return webhook.Message{}, err
	}
	m := webhook.Message{
		ID: webhook.MessageID(e.Source, e.Subject, e.Version), Source: e.Source, Subject: e.Subject, Version: e.Version,
		Type: e.Type, At: e.Time, TraceParent: e.Traceparent,
	}
	m.Body, err = app.Body(m, compact.Bytes())
	return m, err
}
