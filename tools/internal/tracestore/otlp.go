package tracestore

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"unique"

	"go.opentelemetry.io/otel/trace"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/souk-shop/souk/gateway/traces"
)

// ofOTLP keeps what is shown of the spans of a request, and counts those without ids, which
// are refused.
func ofOTLP(request *coltracepb.ExportTraceServiceRequest) (spans []*span, refused int64) {
	for _, resource := range request.GetResourceSpans() {
		service := unique.Make(serviceOf(resource.GetResource()))
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				if one := ofSpan(s, service); one.trace.IsValid() && one.id.IsValid() {
					spans = append(spans, one)
				} else {
					refused++
				}
			}
		}
	}
	return spans, refused
}

func serviceOf(r *resourcepb.Resource) string {
	for _, a := range r.GetAttributes() {
		if a.GetKey() == "service.name" {
			return a.GetValue().GetStringValue()
		}
	}
	return "unknown_service"
}

var kinds = map[tracepb.Span_SpanKind]trace.SpanKind{
	tracepb.Span_SPAN_KIND_SERVER: trace.SpanKindServer, tracepb.Span_SPAN_KIND_CLIENT: trace.SpanKindClient,
	tracepb.Span_SPAN_KIND_PRODUCER: trace.SpanKindProducer, tracepb.Span_SPAN_KIND_CONSUMER: trace.SpanKindConsumer,
}

func ofSpan(s *tracepb.Span, service name) *span {
	kind, ok := kinds[s.GetKind()]
	if !ok {
		kind = trace.SpanKindInternal
	}
	start := int64(s.GetStartTimeUnixNano())
	out := &span{
		name: unique.Make(s.GetName()), service: service, kind: kind,
		failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR, message: cut(s.GetStatus().GetMessage()),
		start: start, end: max(start, int64(s.GetEndTimeUnixNano())),
		attributes: ofKeyValues(s.GetAttributes()),
	}
	// Of another length than it must have, an id stays zero.
	if id := s.GetTraceId(); len(id) == len(out.trace) {
		copy(out.trace[:], id)
	}
	if id := s.GetSpanId(); len(id) == len(out.id) {
		copy(out.id[:], id)
	}
	if id := s.GetParentSpanId(); len(id) == len(out.parent) {
		copy(out.parent[:], id)
	}
	events := s.GetEvents()
	if events = events[:min(len(events), maxEvents)]; len(events) > 0 {
		out.events = make([]event, len(events))
		for i, e := range events {
			out.events[i] = event{
				name: unique.Make(e.GetName()), at: int64(e.GetTimeUnixNano()),
				attributes: ofKeyValues(e.GetAttributes()),
			}
		}
	}
	for _, l := range s.GetLinks()[:min(len(s.GetLinks()), maxEvents)] {
		if len(l.GetTraceId()) == 16 && len(l.GetSpanId()) == 8 {
			out.links = append(out.links, traces.Link{
				TraceID: trace.TraceID(l.GetTraceId()).String(), SpanID: trace.SpanID(l.GetSpanId()).String(),
			})
		}
	}
	return out
}

func ofKeyValues(list []*commonpb.KeyValue) []attr {
	list = list[:min(len(list), maxAttributes)]
	if len(list) == 0 {
		return nil
	}
	out := make([]attr, len(list))
	for i, a := range list {
		out[i] = attr{key: unique.Make(a.GetKey()), value: cut(textOf(a.GetValue()))}
	}
	return out
}

// textOf writes a value as the SDK does: lists as JSON.
func textOf(v *commonpb.AnyValue) string {
	switch v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.GetStringValue()
	case nil:
		return ""
	}
	if list := v.GetArrayValue(); list != nil && len(list.GetValues()) > 0 {
		if _, texts := list.GetValues()[0].GetValue().(*commonpb.AnyValue_StringValue); !texts {
			var all []string
			for _, one := range list.GetValues() {
				all = append(all, textOf(one))
			}
			return "[" + strings.Join(all, ",") + "]"
		}
	}
	value := plain(v)
	switch value := value.(type) {
	case bool:
		return strconv.FormatBool(value)
	case int64:
		return strconv.FormatInt(value, 10)
	case float64:
		return strconv.FormatFloat(value, 'g', -1, 64)
	}
	text, err := json.Marshal(value)
	if err != nil { // no finite number
		return ""
	}
	return string(text)
}

func plain(v *commonpb.AnyValue) any {
	switch x := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return x.StringValue
	case *commonpb.AnyValue_BoolValue:
		return x.BoolValue
	case *commonpb.AnyValue_IntValue:
		return x.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return x.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(x.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		out := make([]any, 0, len(x.ArrayValue.GetValues()))
		for _, one := range x.ArrayValue.GetValues() {
			out = append(out, plain(one))
		}
		return out
	case *commonpb.AnyValue_KvlistValue:
		out := map[string]any{}
		for _, one := range x.KvlistValue.GetValues() {
			out[one.GetKey()] = plain(one.GetValue())
		}
		return out
	}
	return nil
}
