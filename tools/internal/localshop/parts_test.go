package localshop

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/topology"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	foreign := t.TempDir()
	precious := filepath.Join(foreign, "thesis.txt")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(foreign, true); err == nil || !strings.Contains(err.Error(), "no data folder of souk") {
		t.Errorf("open a folder of something else: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Fatal(err)
	}

	f, err := openFolder(filepath.Join(t.TempDir(), "data"), false)
	if err != nil {
		t.Fatal(err)
	}
	first, err := f.secrets()
	if err != nil {
		t.Fatal(err)
	}
	if first.OperatorToken == "" || len(first.Gateway) < 32 || len(first.Postgres) != len(topology.Databases()) {
		t.Errorf("secrets %+v", first)
	}
	again, err := f.secrets()
	if err != nil || again.OperatorToken != first.OperatorToken || again.Postgres["order"] != first.Postgres["order"] {
		t.Errorf("secrets read again: %+v, %v", again, err)
	}
	if info, err := os.Stat(f.join(secretsName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the secrets: %v, %v", info.Mode(), err)
	}
	if err := errors.Join(f.markSeeded(), f.close()); err != nil {
		t.Fatal(err)
	}
	if f, err = openFolder(f.path, true); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if f.seeded() {
		t.Error("the emptied folder has a catalog")
	}
	fresh, err := f.secrets()
	if err != nil || fresh.OperatorToken == first.OperatorToken {
		t.Errorf("secrets of the emptied folder: %+v, %v", fresh, err)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "souk.log")
	var console bytes.Buffer
	l, err := openLog(path, &console, slog.LevelWarn)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(l, nil)).With("service", "order")
	log.Info("placed", "order", "o1")
	log.Warn("slow", "took", 1500*time.Millisecond, "why", "a b", "span_id", "s")
	l.quiet.Store(true)
	log.Error("hidden")
	l.quiet.Store(false)
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if have := console.String(); !strings.HasSuffix(have, ` WARN order: slow took=1.5s why="a b"`+"\n") || strings.Count(have, "\n") != 1 {
		t.Errorf("console: %s", have)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Count(string(b), "\n") != 3 || !strings.Contains(string(b), `"order":"o1"`) {
		t.Errorf("file: %s, %v", b, err)
	}

	if err := os.Truncate(path, maxLog+1); err != nil {
		t.Fatal(err)
	}
	if l, err = openLog(path, nil, 0); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path + ".old"); err != nil || info.Size() <= maxLog {
		t.Errorf("old log: %v, %v", info, err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("new log: %v, %v", info, err)
	}
}
