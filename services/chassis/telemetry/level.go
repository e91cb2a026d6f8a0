package telemetry

import (
	"log/slog"
	"sync"
	"time"
)

// Level is the least severe level that a log writes: the configured one, or another one until
// a time. There is always such a time, so that a level chosen to look at a fault does not fill a
// disk for weeks. Safe for concurrent use; the zero value is INFO.
type Level struct {
	configured slog.Level

	mu     sync.RWMutex
	chosen slog.Level
	until  time.Time // zero while the configured level holds
}

// Level is the level that holds now.
func (l *Level) Level() slog.Level { return l.Status().Level }

// Set has a level hold until a time; one in the past, such as the zero time, has the configured
// one hold again.
func (l *Level) Set(level slog.Level, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chosen, l.until = level, until
}

// LevelStatus is what holds of a level.
type LevelStatus struct {
	// Level holds now.
	Level slog.Level
	// Configured is what the process was started with.
	Configured slog.Level
	// Until is when the configured level holds again; zero where it holds.
	Until time.Time
}

// Status says what holds.
func (l *Level) Status() LevelStatus {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.until.IsZero() || !time.Now().Before(l.until) {
		return LevelStatus{Level: l.configured, Configured: l.configured}
	}
	return LevelStatus{Level: l.chosen, Configured: l.configured, Until: l.until}
}
