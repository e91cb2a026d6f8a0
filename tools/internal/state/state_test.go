package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/state"
)

func TestWriteReadRemove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := state.Read(dir); !errors.Is(err, state.ErrNotRunning) {
		t.Fatalf("read of nothing: %v", err)
	}
	want := &state.State{URL: "http://127.0.0.1:1", OperatorToken: "secret", Postgres: map[string]string{"order": "dsn"}, PIDs: map[string]int{"up": 1}}
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
	if b, err := os.ReadFile(filepath.Join(dir, entries[0].Name())); err != nil || strings.Contains(string(b), "secret") {
		t.Errorf("the token is in the state: %s, %v", b, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := state.WriteFile(state.OperatorToken(dir), []byte("t\n")); err != nil {
		t.Fatal(err)
	}
	if got, err = state.Read(dir); err != nil || got.OperatorToken != "t" {
		t.Errorf("the token: %+v, %v", got, err)
	}
	if err := errors.Join(state.Remove(dir), state.Remove(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Read(dir); !errors.Is(err, state.ErrNotRunning) {
		t.Errorf("read after removal: %v", err)
	}
}

func TestReadToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	for _, tc := range []struct {
		content string
		mode    os.FileMode
		fail    string
	}{
		{"t", 0o600, ""},
		{" t\r\n", 0o440, ""},
		{"t", 0o644, "mode 0644"},
		{"", 0o600, "one token"},
		{"t\nu", 0o600, "one token"},
	} {
		if err := errors.Join(os.WriteFile(path, []byte(tc.content), 0o600), os.Chmod(path, tc.mode)); err != nil {
			t.Fatal(err)
		}
		got, err := state.ReadToken(path)
		if tc.fail == "" && (err != nil || got != "t") || tc.fail != "" && (err == nil || !strings.Contains(err.Error(), tc.fail)) {
			t.Errorf("%q, %04o: %q, %v", tc.content, tc.mode, got, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
