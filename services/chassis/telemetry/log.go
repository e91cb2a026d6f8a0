package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
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
		return tint.NewTextHandler(out, &tint.Options{
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

// traceHandler adds the ids of the span in the context to every line, at its
// top level also where the logger has opened a group.
type traceHandler struct {
	slog.Handler
	// ungrouped is the handler as it was before the first group, and since is
	// what was done to it from there on; nil and empty without a group.
	ungrouped slog.Handler
	since     []func(slog.Handler) slog.Handler
}

func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return h.Handler.Handle(ctx, r)
	}
	ids := []slog.Attr{slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String())}
	if h.ungrouped == nil {
		r.AddAttrs(ids...)
		return h.Handler.Handle(ctx, r)
	}
	handler := h.ungrouped.WithAttrs(ids)
	for _, step := range h.since {
		handler = step(handler)
	}
	return handler.Handle(ctx, r)
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	if h.ungrouped == nil {
		h.ungrouped = h.Handler
	}
	return h.with(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h traceHandler) with(step func(slog.Handler) slog.Handler) traceHandler {
	h.Handler = step(h.Handler)
	if h.ungrouped != nil {
		h.since = append(slices.Clip(h.since), step)
	}
	return h
}
