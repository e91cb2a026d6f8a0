package cli

import (
	"io"
	"testing"

	"github.com/souk-shop/souk/tools/internal/state"
)

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := state.Write(dir, &state.State{URL: "http://127.0.0.1:1", OperatorToken: "own"}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args             []string
		url, token, fail string
	}{
		{args: []string{"--data", dir}, url: "http://127.0.0.1:1", token: "own"},
		{args: []string{"--url", "http://shop", "--token", "t"}, url: "http://shop", token: "t"},
		{args: []string{"--url", "http://shop"}, fail: "want --data, or --url and --token"},
		{args: []string{"--token", "t"}, fail: "want --data, or --url and --token"},
	} {
		f := Flags("test", "usage", io.Discard)
		s := Operator(f)
		if err := f.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		got, err := s.Find()
		if tt.fail != "" {
			if err == nil || err.Error() != tt.fail {
				t.Errorf("%v: %v, want %s", tt.args, err, tt.fail)
			}
			continue
		}
		if err != nil || got.URL != tt.url || got.OperatorToken != tt.token {
			t.Errorf("%v: %+v, %v", tt.args, got, err)
		}
	}
}
