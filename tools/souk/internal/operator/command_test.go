package operator

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/tools/internal/state"
)

// souk runs the command.
func souk(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, said bytes.Buffer
	err = Command(t.Context(), args, &out, &said)
	return out.String(), said.String(), err
}

func must(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	out, said, err := souk(t, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, said)
	}
	return out, said
}

func TestAddRotateRevoke(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "operators.json")
	// Not on a terminal: the token is in a file of its own.
	out, said := must(t, "add", "ada", "--scopes", "read,catalog", "--file", file)
	tokens, err := filepath.Glob(filepath.Join(dir, "ada-*.token"))
	if err != nil || len(tokens) != 1 || out != "" || strings.Contains(said, operators.Prefix) || !strings.Contains(said, tokens[0]) {
		t.Fatalf("%v: %q, %q", tokens, out, said)
	}
	first, err := state.ReadToken(tokens[0])
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(tokens[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// With --print it is all of standard output.
	out, _ = must(t, "rotate", "ada", "--print", "--overlap", "30m", "--file", file)
	second := strings.TrimSuffix(out, "\n")
	f, err := operators.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if id, ok := operators.TokenID(second); !ok || len(f.Tokens) != 2 || f.Tokens[1].ID != id || f.Tokens[0].SHA256 != operators.Hash(first) || f.Tokens[1].SHA256 != operators.Hash(second) ||
		f.Tokens[1].Scope != operators.Read|operators.Catalog || !f.Tokens[0].Works(now.Add(29*time.Minute)) || f.Tokens[0].Works(now.Add(31*time.Minute)) {
		t.Errorf("%q: %+v", second, f.Tokens)
	}
	// Flags before the name; a file that is named.
	own := filepath.Join(dir, "own")
	must(t, "add", "--scopes", "money", "--expires", "12h", "--file", file, "--token-file", own, "bob")
	if _, err := state.ReadToken(own); err != nil {
		t.Error(err)
	}
	if out, _ = must(t, "revoke", f.Tokens[0].ID, "--file", file); out != "revoked "+f.Tokens[0].ID+" of ada\n" {
		t.Errorf("revoked: %q", out)
	}
	must(t, "revoke", "ada", "--file", file)
	out, _ = must(t, "list", "--file", file)
	for _, want := range []string{"ada       " + f.Tokens[0].ID + "  read,catalog", "revoked ", "bob ", "  money ", "expires in 12h0m"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, operators.Prefix) || len(strings.Split(out, "\n")) != 5 {
		t.Error(out)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "operators.json")
	for _, tc := range []struct{ want, args string }{
		{"want add NAME", ""},
		{"want add NAME", "grant ada"},
		{"want add NAME", "add"},
		{"want add NAME", "list ada"},
		{"say what ada may do", "add ada"},
		{`no scope "all"`, "add ada --scopes all"},
		{"--expires: \"soon\"", "add ada --scopes read --expires soon"},
		{"never work", "add ada --scopes read --expires 2020-01-01"},
		{"366 days at most", "add ada --scopes read --expires 400d"},
		{"want 1 to 63", "add Ada --scopes read"},
		{"exclude each other", "add ada --scopes read --print --token-file x"},
		{"no operator and no token", "rotate nobody"},
		{"there are no operators", "revoke ada"},
		{"are no operators", "list"},
		{"no such file", "add ada --scopes read --token-file " + filepath.Join(dir, "none", "token")},
	} {
		if _, _, err := souk(t, append(strings.Fields(tc.args), "--file", file)...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.args, err, tc.want)
		}
		if _, err := os.Stat(file); err == nil {
			t.Fatalf("%s made the file", tc.args)
		}
	}
	if _, _, err := souk(t, "list", "--data", filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "no shop of `souk up`") {
		t.Error(err)
	}
	if _, said, err := souk(t, "-h"); !errors.Is(err, flag.ErrHelp) || !strings.Contains(said, "usage: souk operator add") {
		t.Errorf("%v: %s", err, said)
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"30d": 30 * 24 * time.Hour, "12h": 12 * time.Hour, "2026-11-28": 12 * time.Hour, "2026-12-01": 84 * time.Hour,
	} {
		if got, err := lifetime(text, now); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}
