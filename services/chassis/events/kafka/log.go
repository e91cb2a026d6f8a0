package kafka

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// logger passes on the client's errors. What it warns of, each attempt to connect among them,
// this driver says once.
type logger struct{ log *slog.Logger }

// Level implements kgo.Logger.
func (logger) Level() kgo.LogLevel { return kgo.LogLevelError }

// Log implements kgo.Logger.
func (l logger) Log(_ kgo.LogLevel, msg string, attrs ...any) {
	l.log.LogAttrs(context.Background(), slog.LevelWarn, "broker", slog.String("said", msg), slog.Group("about", attrs...))
}
