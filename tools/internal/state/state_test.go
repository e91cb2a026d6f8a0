package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/souk-shop/souk/tools/internal/state"
)

func TestWriteReadRemove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := state.Read(dir); !errors.Is(err, state.ErrNotRunning) {
		t.Fatalf("read of nothing: %v", err)
	}
	want := &state.State{URL: "http://127.0.0.1:1", OperatorToken: "t", Postgres: map[string]string{"order": "dsn"}, PIDs: map[string]int{"up": 1}}
	if err := state.Write(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := state.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.URL != want.URL || got.Postgres["order"] != "dsn" || got.PIDs["up"] != 1 {
		t.Errorf("read %+v", got)
	}
	if have, want := got.ProviderJournal(), filepath.Join(dir, "stripesim", "journal.jsonl"); have != want {
		t.Errorf("journal %s, want %s", have, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("files %v, %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := errors.Join(state.Remove(dir), state.Remove(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Read(dir); !errors.Is(err, state.ErrNotRunning) {
		t.Errorf("read after removal: %v", err)
	}
}
