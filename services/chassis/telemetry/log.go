package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"
)

func newHandler(cfg Config) (slog.Handler, error) {
	out := cfg.LogOutput
	if out == nil {
		out = os.Stderr
	}
	pretty := false
	switch cfg.LogFormat {
	case "json":
	case "pretty":
		pretty = true
	case "auto", "":
		pretty = isTerminal(out)
	default:
		return nil, fmt.Errorf("log format %q: want auto, json or pretty", cfg.LogFormat)
	}
	if pretty {
		return tint.NewHandler(out, &tint.Options{
			Level:      cfg.LogLevel,
			TimeFormat: time.TimeOnly + ".000",
			NoColor:    !isTerminal(out) || os.Getenv("NO_COLOR") != "",
		}), nil
	}
	return slog.NewJSONHandler(out, &slog.HandlerOptions{Level: cfg.LogLevel}), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// traceHandler adds the ids of the span in the context to every line.
type traceHandler struct{ slog.Handler }

func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}
