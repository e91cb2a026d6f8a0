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

	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/tools/internal/state"
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
	first, err := f.secrets(topology.Databases())
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Gateway) < 32 || len(first.Postgres) != 2*len(topology.Databases()) {
		t.Errorf("secrets %+v", first)
	}
	again, err := f.secrets(topology.Databases())
	if err != nil || again.Gateway != first.Gateway || again.Postgres["order"] != first.Postgres["order"] {
		t.Errorf("secrets read again: %+v, %v", again, err)
	}
	// An earlier version kept the operator's token here.
	text, err := os.ReadFile(f.join(secretsName))
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Replace(string(text), "{", `{"operator_token": "souk_op_old", `, 1)
	if err := os.WriteFile(f.join(secretsName), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err = f.secrets(topology.Databases()); err != nil || again.Gateway != first.Gateway {
		t.Errorf("secrets of an earlier version: %+v, %v", again, err)
	}
	if text, err = os.ReadFile(f.join(secretsName)); err != nil || strings.Contains(string(text), "souk_op_old") {
		t.Errorf("the old token is still there: %v", err)
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
	fresh, err := f.secrets(topology.Databases())
	if err != nil || fresh.Gateway == first.Gateway {
		t.Errorf("secrets of the emptied folder: %+v, %v", fresh, err)
	}
}

// The tools' token is made once, is in a file of its own, and is made anew when it works no
// longer. Other operators stay.
func TestOperator(t *testing.T) {
	t.Parallel()
	f, err := openFolder(filepath.Join(t.TempDir(), "data"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	now := time.Now()
	operator := func(at time.Time) string {
		t.Helper()
		token, err := f.operator(at)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	edit := func(change func(*operators.File)) *operators.File {
		t.Helper()
		file, err := operators.Load(state.Operators(f.path))
		if err != nil {
			t.Fatal(err)
		}
		change(file)
		data, err := file.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := state.WriteFile(state.Operators(f.path), data); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first := operator(now)
	if got := operator(now.Add(time.Hour)); got != first {
		t.Error("every start makes a token")
	}
	if got, err := state.ReadToken(state.OperatorToken(f.path)); err != nil || got != first {
		t.Errorf("in the file is %q, %v", got, err)
	}
	edit(func(file *operators.File) {
		if _, _, err := file.Add("ada", operators.Read, operators.MaxLife, now); err != nil {
			t.Error(err)
		}
		if _, err := file.Revoke(toolsOperator, now); err != nil {
			t.Error(err)
		}
	})
	second := operator(now)
	third := operator(now.Add(toolsLife - toolsRenewal + time.Hour))
	if second == first || third == second {
		t.Error("a token that was revoked, or is about to expire, is kept")
	}
	file := edit(func(*operators.File) {})
	if n := len(file.Tokens); n != 4 || file.Tokens[1].Operator != "ada" || file.Tokens[3].Scope != operators.Everything {
		t.Errorf("%+v", file.Tokens)
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
