package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// defaultFor is how long a level holds that is set without a duration.
	defaultFor = 15 * time.Minute
	// longestFor is the longest that one may hold; a level for good is configuration.
	longestFor = 24 * time.Hour
)

// LogLevel is what GET /loglevel and PUT /loglevel answer.
type LogLevel struct {
	Service string `json:"service"`
	// Level holds now.
	Level string `json:"level"`
	// Configured holds again after Until, which is absent where it holds.
	Configured string     `json:"configured"`
	Until      *time.Time `json:"until,omitempty"`
}

// SetLogLevel is the body of PUT /loglevel.
type SetLogLevel struct {
	// Level is debug, info, warn, error, or configured for the one that the process was
	// started with.
	Level string `json:"level"`
	// For is for how long, as in "10m"; 15 minutes when empty.
	For string `json:"for,omitempty"`
}

// configured as a level means the one that the process was started with.
const configured = "configured"

// levels are those that can be set.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// parse returns the level and the time that s asks for, zero for the configured level.
func (s SetLogLevel) parse(now time.Time) (slog.Level, time.Time, error) {
	level, known := levels[strings.ToLower(s.Level)]
	restore := strings.EqualFold(s.Level, configured)
	if !known && !restore {
		return 0, time.Time{}, fmt.Errorf("level %.20q: want debug, info, warn, error or %s", s.Level, configured)
	}
	if restore {
		if s.For != "" {
			return 0, time.Time{}, errors.New("for: the configured level holds for good; leave it out")
		}
		return 0, time.Time{}, nil
	}
	d := defaultFor
	if s.For != "" {
		var err error
		if d, err = time.ParseDuration(s.For); err != nil || d <= 0 || d > longestFor {
			return 0, time.Time{}, fmt.Errorf("for %.20q: want a duration such as 10m, at most %v", s.For, longestFor)
		}
	}
	return level, now.Add(d), nil
}

// readLevel answers what holds.
func readLevel(tel *telemetry.Telemetry) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answerLevel(w, tel) }
}

// setLevel changes the level, and has that in the security log: who may read the log has to know
// that it was silent. The security log itself keeps its level.
func setLevel(tel *telemetry.Telemetry) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body SetLogLevel
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10))
		dec.DisallowUnknownFields()
		err := dec.Decode(&body)
		if err == nil {
			if _, more := dec.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("there is more than one value")
			}
		}
		if err != nil {
			http.Error(w, fmt.Sprintf(`the body: %v; want JSON such as {"level":"debug","for":"10m"}`, err), http.StatusBadRequest)
			return
		}
		level, until, err := body.parse(time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		before := tel.Level.Status()
		tel.Level.Set(level, until)
		after := tel.Level.Status()
		attrs := []slog.Attr{
			slog.String("client", r.RemoteAddr), slog.String("before", name(before.Level)), slog.String("after", name(after.Level)),
		}
		if !after.Until.IsZero() {
			attrs = append(attrs, slog.Time("until", after.Until))
		}
		tel.Security.Record(r.Context(), telemetry.AuthzAdmin, "log_level", attrs...)
		answerLevel(w, tel)
	}
}

func answerLevel(w http.ResponseWriter, tel *telemetry.Telemetry) {
	status := tel.Level.Status()
	body := LogLevel{Service: tel.Service, Level: name(status.Level), Configured: name(status.Configured)}
	if !status.Until.IsZero() {
		until := status.Until.UTC().Truncate(time.Second)
		body.Until = &until
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(body) // the asker may be gone
}

func name(l slog.Level) string { return strings.ToLower(l.String()) }
