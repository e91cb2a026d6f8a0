package natsserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// logger passes on what the server warns of. Its notices are of no use to a shop.
type logger struct {
	log  *slog.Logger
	mu   sync.Mutex
	last string
}

func (l *logger) Noticef(string, ...any)            {}
func (l *logger) Debugf(string, ...any)             {}
func (l *logger) Tracef(string, ...any)             {}
func (l *logger) Warnf(format string, args ...any)  { l.write(slog.LevelWarn, format, args) }
func (l *logger) Errorf(format string, args ...any) { l.write(slog.LevelError, format, args) }

func (l *logger) Fatalf(format string, args ...any) {
	l.mu.Lock()
	l.last = fmt.Sprintf(format, args...)
	l.mu.Unlock()
	l.write(slog.LevelError, format, args)
}

// fatal is why the server gave up, or "".
func (l *logger) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *logger) write(level slog.Level, format string, args []any) {
	if l.log != nil {
		l.log.Log(context.Background(), level, "nats server", "said", fmt.Sprintf(format, args...))
	}
}
