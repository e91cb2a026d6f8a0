package localshop

import (
	"context"
	"crypto/rand"
	"net"
	"os"

	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/internal/tracestore"
)

// recorder keeps the shop's recent traces, with Options.Traces.
type recorder struct {
	store     *tracestore.Store
	processor *tracestore.Processor // nil with Options.Processes
	lis       net.Listener
	token     string // of readers and exporters, anew at each start
}

func (s *Shop) openRecorder(ctx context.Context) error {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.recorder = &recorder{store: tracestore.New(tracestore.DefaultBytes), lis: lis, token: rand.Text()}
	if !s.opts.Processes {
		s.recorder.processor = tracestore.NewProcessor(s.recorder.store)
		s.opts.SpanProcessors = append(s.opts.SpanProcessors[:len(s.opts.SpanProcessors):len(s.opts.SpanProcessors)], s.recorder.processor)
	}
	return nil
}

func (r *recorder) url() string { return "http://" + r.lis.Addr().String() }

// run answers until ctx is done.
func (r *recorder) run(ctx context.Context) error {
	return tracestore.NewServer(r.store, r.token).Serve(ctx, r.lis)
}

func (r *recorder) close() {
	if r.processor != nil {
		r.processor.Close()
	}
	r.lis.Close() // run has closed it, if it ran
}

// TracesURL is where the shop's recent traces are asked for, with TracesToken; "" where it
// keeps none.
func (s *Shop) TracesURL() string {
	if s.recorder == nil {
		return ""
	}
	return s.recorder.url()
}

// TracesToken is for what TracesURL answers.
func (s *Shop) TracesToken() string {
	if s.recorder == nil {
		return ""
	}
	return s.recorder.token
}

// ExportsElsewhere reports that the environment has spans sent to a collector. A process
// has one exporter, so with Options.Processes the shop then keeps no traces.
func ExportsElsewhere() bool {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// exporter are the variables with which a part's process sends its spans to the recorder.
func (s *Shop) exporter(part topology.Part) []string {
	if s.recorder == nil || !s.opts.Processes || part.Kind == topology.Store {
		return nil
	}
	out := []string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + s.recorder.url() + tracestore.ExportPath,
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS=authorization=Bearer%20" + s.recorder.token,
	}
	if os.Getenv("OTEL_BSP_SCHEDULE_DELAY") == "" {
		out = append(out, "OTEL_BSP_SCHEDULE_DELAY=1000") // ms: who looks at a trace waits for it
	}
	return out
}
