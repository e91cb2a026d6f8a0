package tracestore

import (
	"context"
	"unique"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/souk-shop/souk/gateway/traces"
)

// queue is how many spans wait to be taken: what comes when it is full is dropped and
// counted, so that no request ever waits for the store.
const queue = 4096

// batch is how many spans are taken at a time.
const batch = 256

// Processor hands the spans of this process to a store. One serves all of a process's
// services; close it by Close.
type Processor struct {
	store *Store
	spans chan sdktrace.ReadOnlySpan
	stop  chan struct{}
	done  chan struct{}
}

var _ sdktrace.SpanProcessor = (*Processor)(nil)

// NewProcessor starts a processor.
func NewProcessor(store *Store) *Processor {
	p := &Processor{store: store, spans: make(chan sdktrace.ReadOnlySpan, queue), stop: make(chan struct{}), done: make(chan struct{})}
	go p.run()
	return p
}

// OnStart implements sdktrace.SpanProcessor.
func (p *Processor) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd queues a span, or drops it.
func (p *Processor) OnEnd(s sdktrace.ReadOnlySpan) {
	select {
	case p.spans <- s:
	default:
		p.store.dropped.Add(1)
	}
}

// Shutdown implements sdktrace.SpanProcessor. It does nothing: one service that ends does
// not end the others.
func (p *Processor) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (p *Processor) ForceFlush(context.Context) error { return nil }

// Close takes what is queued and ends the processor. Spans that end later are dropped.
func (p *Processor) Close() {
	close(p.stop)
	<-p.done
}

func (p *Processor) run() {
	defer close(p.done)
	taken := make([]*span, 0, batch)
	for {
		select {
		case s := <-p.spans:
			taken = p.drain(append(taken, ofSDK(s)))
			p.store.add(taken)
			taken = taken[:0]
		case <-p.stop:
			for len(p.spans) > 0 {
				p.store.add(p.drain(nil))
			}
			return
		}
	}
}

// drain appends what is queued, up to a batch.
func (p *Processor) drain(taken []*span) []*span {
	for len(taken) < batch {
		select {
		case s := <-p.spans:
			taken = append(taken, ofSDK(s))
		default:
			return taken
		}
	}
	return taken
}

// ofSDK keeps what is shown of a span.
func ofSDK(s sdktrace.ReadOnlySpan) *span {
	service, _ := s.Resource().Set().Value("service.name")
	sc := s.SpanContext()
	out := &span{
		trace: sc.TraceID(), id: sc.SpanID(), parent: s.Parent().SpanID(), name: unique.Make(s.Name()), service: unique.Make(service.AsString()),
		kind: s.SpanKind(), failed: s.Status().Code == codes.Error, message: cut(s.Status().Description),
		start: s.StartTime().UnixNano(), end: s.EndTime().UnixNano(), attributes: ofAttributes(s.Attributes()),
	}
	events := s.Events()
	if events = events[:min(len(events), maxEvents)]; len(events) > 0 {
		out.events = make([]event, len(events))
		for i, e := range events {
			out.events[i] = event{name: unique.Make(e.Name), at: e.Time.UnixNano(), attributes: ofAttributes(e.Attributes)}
		}
	}
	links := s.Links()
	if links = links[:min(len(links), maxEvents)]; len(links) > 0 {
		out.links = make([]traces.Link, len(links))
		for i, l := range links {
			out.links[i] = traces.Link{TraceID: l.SpanContext.TraceID().String(), SpanID: l.SpanContext.SpanID().String()}
		}
	}
	return out
}

func ofAttributes(list []attribute.KeyValue) []attr {
	list = list[:min(len(list), maxAttributes)]
	if len(list) == 0 {
		return nil
	}
	out := make([]attr, len(list))
	for i, a := range list {
		out[i] = attr{key: unique.Make(string(a.Key)), value: cut(a.Value.String())}
	}
	return out
}
