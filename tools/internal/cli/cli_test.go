package cli

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/state"
)

func TestFind(t *testing.T) {
	dir, bare, own := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "mine")
	for _, folder := range []string{dir, bare} {
		if err := state.Write(folder, &state.State{URL: "http://127.0.0.1:1"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(state.WriteFile(state.OperatorToken(dir), []byte("folder\n")), state.WriteFile(own, []byte("own\n"))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args                  []string
		env, url, token, fail string
	}{
		{args: []string{"--data", dir}, env: "env", url: "http://127.0.0.1:1", token: "folder"},
		{args: []string{"--data", dir, "--operator-token-file", own}, url: "http://127.0.0.1:1", token: "own"},
		{args: []string{"--data", bare, "--operator-token-file", own}, url: "http://127.0.0.1:1", token: "own"},
		{args: []string{"--data", bare}, env: "env", fail: "there is none in " + state.OperatorToken(bare)},
		{args: []string{"--url", "http://shop"}, env: "env", url: "http://shop", token: "env"},
		{args: []string{"--url", "http://shop", "--operator-token-file", own}, env: "env", url: "http://shop", token: "own"},
		{args: []string{"--url", "http://shop"}, fail: "or set SOUK_OPERATOR_TOKEN"},
		{args: []string{"--url", "http://shop", "--operator-token-file", own + "x"}, fail: "no such file"},
	} {
		t.Setenv(tokenVariable, tt.env)
		f := Flags("test", "usage", io.Discard)
		s := Operator(f)
		if err := f.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		got, err := s.Find()
		if tt.fail != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fail) {
				t.Errorf("%v: %v, want %s", tt.args, err, tt.fail)
			}
			continue
		}
		if err != nil || got.URL != tt.url || got.OperatorToken != tt.token {
			t.Errorf("%v: %+v, %v", tt.args, got, err)
		}
	}
}
