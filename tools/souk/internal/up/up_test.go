package up_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/souk/internal/up"
)

// TestUp runs the command as a user does, without a terminal.
func TestUp(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(pgtest.Folder(t), "data")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, w := io.Pipe()
	var progress bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		err := up.Command(ctx, []string{"--data", dir, "--addr", "127.0.0.1:0", "--empty"}, w, &progress)
		w.Close()
		ended <- err
	}()
	var said strings.Builder
	url := ""
	lines := bufio.NewScanner(out)
	for url == "" && lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if rest, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			url = rest
		}
	}
	if url == "" {
		t.Fatalf("not ready: %v\n%s%s", <-ended, said.String(), progress.String())
	}
	st, err := state.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st.URL != url || strings.Contains(said.String(), st.OperatorToken) || !strings.Contains(said.String(), state.OperatorToken(dir)) || !strings.Contains(said.String(), url+"/docs") {
		t.Errorf("said\n%s\nstate %+v", said.String(), st)
	}

	// An empty shop is filled by hand, twice without harm.
	for _, want := range []string{"2978 products created, 0 updated\n", "0 products created, 2978 updated\n"} {
		var result, bar bytes.Buffer
		if err := up.Seed(t.Context(), []string{"--data", dir}, &result, &bar); err != nil {
			t.Fatal(err)
		}
		if result.String() != want || !strings.Contains(bar.String(), "catalog    2978 of 2978\n") {
			t.Errorf("seed said %q and %q, want %q", result.String(), bar.String(), want)
		}
	}
	if _, err := shopclient.New(url).Product(t.Context(), "85123A"); err != nil {
		t.Error(err)
	}

	err = up.Command(t.Context(), []string{"--data", filepath.Join(t.TempDir(), "other"), "--addr", strings.TrimPrefix(url, "http://")}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "in use by another program") {
		t.Errorf("up on a busy address: %v", err)
	}
	err = up.Command(t.Context(), []string{"--data", dir, "--addr", "127.0.0.1:0"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), url) {
		t.Errorf("a second up: %v", err)
	}

	interrupt()
	select {
	case err := <-ended:
		if err != nil || !strings.HasSuffix(progress.String(), "stopped\n") || !strings.Contains(progress.String(), "  postgres ") {
			t.Errorf("end: %v\n%s", err, progress.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not stop")
	}
	if err := up.Seed(t.Context(), []string{"--data", dir}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "no shop is running") {
		t.Errorf("seed without a shop: %v", err)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--nonsense"}, {"extra"}, {"--addr", "nowhere", "--data", filepath.Join(t.TempDir(), "d")}} {
		if err := up.Command(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("up %v succeeded", args)
		}
	}
	for _, args := range [][]string{{"extra"}, {"--url", "http://localhost"}, {"--token", "x"}} {
		if err := up.Seed(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("seed %v succeeded", args)
		}
	}
}
