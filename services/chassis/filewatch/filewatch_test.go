package filewatch_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/services/chassis/filewatch"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

// pair is a value of two files, which belong together when they are equal.
func pair(dir string) filewatch.Config[string] {
	return filewatch.Config[string]{
		Name:  "pair",
		Files: []filewatch.File{{Variable: "SOUK_LEFT", Path: filepath.Join(dir, "left")}, {Variable: "SOUK_RIGHT", Path: filepath.Join(dir, "right")}},
		Make: func(contents [][]byte) (string, error) {
			if string(contents[0]) != string(contents[1]) {
				return "", errors.New("they do not fit")
			}
			return string(contents[0]), nil
		},
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func logging(t *testing.T) (*telemetry.Telemetry, *telemetrytest.Log) {
	t.Helper()
	log := &telemetrytest.Log{}
	tel, err := telemetry.Start(t.Context(), "test", telemetry.Config{LogOutput: log, LogFormat: "json", LogLevel: slog.LevelInfo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel, log
}

func open[T any](t *testing.T, cfg filewatch.Config[T], tel *telemetry.Telemetry) *filewatch.Value[T] {
	t.Helper()
	v, err := filewatch.Open(cfg, tel)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// metric is the value of a metric with a label of this value.
func metric(t *testing.T, from prometheus.Gatherer, name, label string) float64 {
	t.Helper()
	value, _ := telemetrytest.Metric(t, from, name, label)
	return value
}

// TestAHalfWrittenPairKeepsTheOldOne: the first look that finds it says nothing, the
// following ones one line, until it is another fault.
func TestAHalfWrittenPairKeepsTheOldOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "left"), "a")
	write(t, filepath.Join(dir, "right"), "a")
	tel, log := logging(t)
	v := open(t, pair(dir), tel)
	lines := func(want int, when string) {
		t.Helper()
		if got := strings.Count(log.String(), "what was read before stays"); got != want {
			t.Errorf("%s: %d lines, want %d: %s", when, got, want, log)
		}
	}
	if v.Look(t.Context()) {
		t.Error("nothing has changed")
	}
	write(t, filepath.Join(dir, "left"), "b")
	if v.Look(t.Context()) || v.Now() != "a" {
		t.Errorf("half of it is written: %q", v.Now())
	}
	lines(0, "one look")
	write(t, filepath.Join(dir, "right"), "b")
	if !v.Look(t.Context()) || v.Now() != "b" {
		t.Errorf("the whole is written: %q", v.Now())
	}
	write(t, filepath.Join(dir, "left"), "c")
	for range 3 {
		v.Look(t.Context())
	}
	lines(1, "three looks")
	if metric(t, tel.Registry, "souk_file_broken_seconds", "pair") <= 0 || metric(t, tel.Registry, "souk_file_age_seconds", "pair") <= 0 {
		t.Error("the metrics do not tell")
	}
	if err := os.Remove(filepath.Join(dir, "right")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		v.Look(t.Context())
	}
	lines(2, "another fault")
	if text := log.String(); v.Now() != "b" || !strings.Contains(text, "environment variable SOUK_RIGHT is") || !strings.Contains(text, "no such file") {
		t.Errorf("%q: %s", v.Now(), text)
	}
	write(t, filepath.Join(dir, "right"), "c")
	if !v.Look(t.Context()) || v.Now() != "c" || !strings.Contains(log.String(), "can be used again") {
		t.Errorf("it is whole again: %q", v.Now())
	}
	for label, want := range map[string]float64{"SOUK_LEFT": 4, "SOUK_RIGHT": 3} {
		if got := metric(t, tel.Registry, "souk_file_reloads_total", label); got != want {
			t.Errorf("%s: %v failed looks, want %v", label, got, want)
		}
	}
	if got := metric(t, tel.Registry, "souk_file_broken_seconds", "pair"); got != 0 {
		t.Errorf("broken for %v s", got)
	}
}

// TestLinksAreFollowed as Kubernetes swaps those of a mounted secret, and Run ends with
// its context.
func TestLinksAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	swap := func(folder, content string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"left", "right"} {
			write(t, filepath.Join(dir, folder, name), content)
		}
		next := filepath.Join(dir, "..next")
		if err := errors.Join(os.Symlink(folder, next), os.Rename(next, filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	swap("..1", "a")
	for _, name := range []string{"left", "right"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		v := open(t, pair(dir), telemetry.Discard())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- v.Run(ctx) }()
		swap("..2", "b")
		if err := retry.Sleep(t.Context(), filewatch.Interval+time.Millisecond); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v.Now() != "b" {
			t.Errorf("%q an interval later", v.Now())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "left"), "a")
	tel, log := logging(t)
	if _, err := filewatch.Open(pair(dir), tel); err == nil || !strings.Contains(err.Error(), "environment variable SOUK_RIGHT is") {
		t.Errorf("a missing file: %v", err)
	}
	optional := pair(dir)
	optional.Optional = true
	v := open(t, optional, tel)
	for range 3 {
		v.Look(t.Context())
	}
	if text := log.String(); v.Now() != "" || strings.Count(text, "a file is missing") != 1 || strings.Contains(text, "stays") {
		t.Errorf("a file that may be missing: %q, %s", v.Now(), text)
	}
	write(t, filepath.Join(dir, "right"), "b")
	if _, err := filewatch.Open(optional, tel); err == nil || !strings.Contains(err.Error(), "they do not fit") {
		t.Errorf("a broken one: %v", err)
	}
	write(t, filepath.Join(dir, "right"), "a")
	if !v.Look(t.Context()) || v.Now() != "a" {
		t.Errorf("it came: %q", v.Now())
	}
	if v := open(t, filewatch.Config[string]{Name: "none"}, tel); v.Look(t.Context()) || v.Now() != "" {
		t.Errorf("no files: %q", v.Now())
	}
}

// TestLookAfter reads nothing within the pause: callers cannot make the process read
// without end. Remake makes the value of the same files again.
func TestLookAfter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "left"), "a")
	write(t, filepath.Join(dir, "right"), "a")
	synctest.Test(t, func(t *testing.T) {
		v := open(t, pair(dir), telemetry.Discard())
		write(t, filepath.Join(dir, "left"), "b")
		write(t, filepath.Join(dir, "right"), "b")
		if v.LookAfter(t.Context(), time.Second) {
			t.Error("it looked within the pause")
		}
		if err := retry.Sleep(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if !v.LookAfter(t.Context(), time.Second) || v.Now() != "b" {
			t.Errorf("after the pause: %q", v.Now())
		}
		v.Remake()
		if !v.Look(t.Context()) {
			t.Error("the value was not made again")
		}
	})
}

func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "large")
	for size, want := range map[int]string{filewatch.MaxSize: "", filewatch.MaxSize + 1: "more than"} {
		write(t, path, strings.Repeat("x", size))
		if _, err := filewatch.Read(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := filewatch.Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a folder: %v", err)
	}
}
