package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLevel: another level holds for its time, for loggers that were made before, too, and never
// silences the security log.
func TestLevel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		lines, err := newHandler(Config{LogFormat: "json", LogOutput: &out})
		if err != nil {
			t.Fatal(err)
		}
		level := &Level{configured: slog.LevelWarn}
		log := slog.New(handler{Handler: lines, level: level}).With("a", 1).WithGroup("g")
		expect := func(want ...string) {
			t.Helper()
			log.Debug("debugged")
			log.Warn("warned")
			log.Error("failed")
			var got []string
			for line := range strings.Lines(out.String()) {
				_, msg, _ := strings.Cut(line, `"msg":"`)
				msg, _, _ = strings.Cut(msg, `"`)
				got = append(got, msg)
			}
			out.Reset()
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("lines %q, want %q", got, want)
			}
		}
		expect("warned", "failed")
		level.Set(slog.LevelDebug, time.Now().Add(time.Minute))
		expect("debugged", "warned", "failed")
		<-time.After(time.Minute)
		expect("warned", "failed")
		level.Set(slog.LevelError, time.Now().Add(time.Minute))
		expect("failed")
		level.Set(0, time.Time{})
		expect("warned", "failed")
		if s := level.Status(); s.Level != slog.LevelWarn || s.Configured != slog.LevelWarn || !s.Until.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

func TestTheSecurityLogKeepsItsLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tel, err := Start(t.Context(), "shop", Config{LogFormat: "json", LogOutput: &out})
	if err != nil {
		t.Fatal(err)
	}
	tel.Level.Set(slog.LevelError, time.Now().Add(time.Hour))
	tel.Log.Warn("silent")
	tel.Security.Record(t.Context(), AuthnFail, "operator_token")
	if got := out.String(); strings.Contains(got, "silent") || !strings.Contains(got, `"log":"security"`) || !strings.Contains(got, `"service":"shop"`) {
		t.Errorf("lines: %s", got)
	}
}
