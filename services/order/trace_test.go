package order

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/order/internal/app/crashpoint"
)

// TestTrace: the trace of a placing call goes on in the drive, in this process
// and in a job, whose run is a span of its own.
func TestTrace(t *testing.T) {
	t.Parallel()
	for name, byJob := range map[string]bool{"in process": false, "by the job": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spans := tracetest.NewSpanRecorder()
			s := newShop(t)
			s.cfg.Telemetry.SpanProcessors = []sdktrace.SpanProcessor{spans}
			s.cfg.jobsStall, s.cfg.DriveDelay = time.Hour, time.Hour
			if byJob {
				orders, refunds := crashOnce(crashpoint.Placed), crashOnce(crashpoint.RefundPlaced)
				s.cfg.hook = func(p crash.Point) error { return errors.Join(orders(p), refunds(p)) }
				s.cfg.DriveDelay = 10 * time.Millisecond
			}
			s.start()
			const orderTrace, refundTrace = "0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319d"
			traced := func(id string) context.Context {
				return metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+id+"-b7ad6b7169203331-01")
			}
			req := s.checkout("pm_card_visa", 0)
			resp, err := s.client.PlaceOrder(traced(orderTrace), req)
			if err != nil {
				resp = s.place(req)
			}
			o := s.settled(resp.GetOrder().GetId())
			refund := &orderv1.RefundOrderRequest{
				Viewer:  operator,
				OrderId: o.GetId(), IdempotencyKey: "r", RequestHash: make([]byte, 32), Wait: durationpb.New(patience),
			}
			if _, err := s.client.RefundOrder(traced(refundTrace), refund); err != nil {
				if _, err := s.client.RefundOrder(t.Context(), refund); err != nil {
					t.Fatal(err)
				}
			}
			s.stop()
			order, refunded := inTrace(spans, orderTrace), inTrace(spans, refundTrace)
			for _, want := range []string{"souk.order.drive", "souk.catalog.v1.CatalogService/Reserve", "souk.payment.v1.PaymentService/Capture", "souk.cart.v1.CartService/RemoveOrdered"} {
				if order[want] == nil {
					t.Errorf("no %s in the trace: %v", want, slices.Sorted(maps.Keys(order)))
				}
			}
			if refunded["souk.order.drive_refund"] == nil {
				t.Errorf("no refund in its trace: %v", slices.Sorted(maps.Keys(refunded)))
			}
			if byJob {
				checkRun(t, order, "drive_order", "souk.order.drive")
				checkRun(t, refunded, "drive_refund", "souk.order.drive_refund")
			}
		})
	}
}

// inTrace returns the ended spans of a trace by name, of several the last.
func inTrace(spans *tracetest.SpanRecorder, id string) map[string]sdktrace.ReadOnlySpan {
	out := map[string]sdktrace.ReadOnlySpan{}
	for _, span := range spans.Ended() {
		if span.SpanContext().TraceID().String() == id {
			out[span.Name()] = span
		}
	}
	return out
}

// checkRun checks the span of a job's run, and that the drive is within it.
func checkRun(t *testing.T, spans map[string]sdktrace.ReadOnlySpan, kind, drive string) {
	t.Helper()
	run := spans["process "+kind]
	if run == nil {
		t.Errorf("no run of %s in the trace: %v", kind, slices.Sorted(maps.Keys(spans)))
		return
	}
	if d := spans[drive]; d == nil || d.Parent().SpanID() != run.SpanContext().SpanID() {
		t.Errorf("%s is not within the run of %s", drive, kind)
	}
	if !run.Parent().IsRemote() || run.SpanKind() != trace.SpanKindConsumer || run.Status().Code == otelcodes.Error {
		t.Errorf("run of %s: parent %+v, kind %v, status %v", kind, run.Parent(), run.SpanKind(), run.Status())
	}
	attributes := attribute.NewSet(run.Attributes()...)
	for key, want := range map[attribute.Key]string{
		"messaging.system": "river", "messaging.destination.name": "default", "souk.job.attempt": "1",
	} {
		if v, _ := attributes.Value(key); v.String() != want {
			t.Errorf("run of %s: %s is %q, want %q", kind, key, v.String(), want)
		}
	}
	id, _ := attributes.Value("messaging.message.id")
	if n, err := strconv.ParseInt(id.AsString(), 10, 64); err != nil || n < 1 {
		t.Errorf("run of %s: the job's id is %q", kind, id.AsString())
	}
}
