package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"time"

	"github.com/lmittmann/tint"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"
)

// newHandler makes the handler that formats and writes lines of every level.
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
			Level:      everyLevel,
			TimeFormat: time.TimeOnly + ".000",
			NoColor:    !isTerminal(out) || os.Getenv("NO_COLOR") != "",
		}), nil
	}
	return slog.NewJSONHandler(out, &slog.HandlerOptions{Level: everyLevel}), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// everyLevel has the handler below handler write all that it is handed: handler decides.
const everyLevel = slog.Level(math.MinInt)

// handler leaves out what is below its level and adds the ids of the span in the context
// to every line, at its top level also where the logger has opened a group.
type handler struct {
	slog.Handler
	level slog.Leveler
	// ungrouped is the handler as it was before the first group, and since is
	// what was done to it from there on; nil and empty without a group.
	ungrouped slog.Handler
	since     []func(slog.Handler) slog.Handler
}

func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return h.Handler.Handle(ctx, r)
	}
	ids := []slog.Attr{slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String())}
	if h.ungrouped == nil {
		r.AddAttrs(ids...)
		return h.Handler.Handle(ctx, r)
	}
	next := h.ungrouped.WithAttrs(ids)
	for _, step := range h.since {
		next = step(next)
	}
	return next.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

func (h handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	if h.ungrouped == nil {
		h.ungrouped = h.Handler
	}
	return h.with(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h handler) with(step func(slog.Handler) slog.Handler) handler {
	h.Handler = step(h.Handler)
	if h.ungrouped != nil {
		h.since = append(slices.Clip(h.since), step)
	}
	return h
}
