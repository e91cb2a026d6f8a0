package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/services/chassis/filewatch"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

// give adds a token to a file.
func give(t testing.TB, f *operators.File, name string, scope operators.Scope) string {
	t.Helper()
	token, _, err := f.Add(name, scope, operators.DefaultLife, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// fixed adds a token that is always the same to a file.
func fixed(f *operators.File, name string, scope operators.Scope, revoked time.Time) string {
	id := name + "00000"
	body := operators.Prefix + id + "_" + strings.Repeat("A", 43)
	token := fmt.Sprintf("%s%x", body, sha256.Sum256([]byte(body)))[:len(body)+8]
	f.Tokens = append(f.Tokens, operators.Token{
		ID: id, Operator: name, Scope: scope, SHA256: operators.Hash(token), Created: begun, Expires: begun.Add(operators.DefaultLife), Revoked: revoked,
	})
	return token
}

// write writes a file to a folder of its own and returns its path.
func write(t testing.TB, f *operators.File) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "operators.json")
	rewrite(t, path, f)
	return path
}

func rewrite(t testing.TB, path string, f *operators.File) {
	t.Helper()
	data, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *Operators {
	t.Helper()
	o, err := OpenOperators(OperatorsConfig{Path: path, Telemetry: telemetry.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// is returns who the bearer of a token is: the operator's name, or why there is none.
func is(o *Operators, token string) string {
	op, why := o.identify(context.Background(), token, "192.0.2.1")
	if op != nil {
		return op.Name
	}
	return why
}

func TestOperators(t *testing.T) {
	t.Parallel()
	file := operators.New()
	ada, bob := give(t, file, "ada", operators.Read|operators.Money), give(t, file, "bob", operators.Catalog)
	again := give(t, file, "ada", operators.Read)
	if _, err := file.Revoke("bob", time.Now()); err != nil {
		t.Fatal(err)
	}
	late := time.Now().Add(operators.DefaultLife + time.Hour)
	now := time.Now()
	o, err := OpenOperators(OperatorsConfig{Path: write(t, file), Telemetry: telemetry.Discard(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	stranger := give(t, operators.New(), "ada", operators.Everything)
	for token, want := range map[string]string{
		ada: "ada", again: "ada", bob: whyRevoked, stranger: whyUnknown, ada[:len(ada)-1]: whyUnknown, "": whyUnknown, operators.Prefix: whyUnknown,
	} {
		if got := is(o, token); got != want {
			t.Errorf("%q is %q, want %q", token, got, want)
		}
	}
	op, _ := o.identify(t.Context(), ada, "")
	if !op.Has(operators.Money) || op.Has(operators.Catalog) || (*Operator)(nil).Has(operators.Read) || len(op.Token) != 8 {
		t.Errorf("%+v", op)
	}
	now = late
	if got := is(o, ada); got != whyExpired {
		t.Errorf("after its expiry: %q", got)
	}
}

// The checksum of a token that was made up is right, and its id is one that the shop gave:
// only the hash tells.
func TestForgedOperator(t *testing.T) {
	t.Parallel()
	file := operators.New()
	give(t, file, "ada", operators.Everything)
	other := give(t, operators.New(), "ada", operators.Everything)
	id, _ := operators.TokenID(other)
	file.Tokens[0].ID = id
	if got := is(open(t, write(t, file)), other); got != whyUnknown {
		t.Errorf("another secret under the same id: %q", got)
	}
}

func TestOperatorsAtStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "operators.json")
	if o := open(t, path); is(o, "x") != whyUnknown {
		t.Error("a shop without a file has an operator")
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOperators(OperatorsConfig{Path: path, Telemetry: telemetry.Discard()}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that makes no sense: %v", err)
	}
}

// The file is followed as Kubernetes changes it: a link to a folder is swapped. What is no
// file of operators changes nothing and is logged once.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	swap := func(name string, f *operators.File, mode os.FileMode) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name, "operators.json")
		rewrite(t, path, f)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "operators.json")
	if err := os.Symlink("..data/operators.json", path); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log telemetrytest.Log
		tel := telemetry.Discard()
		tel.Log = slog.New(slog.NewTextHandler(&log, nil))
		o, err := OpenOperators(OperatorsConfig{Path: path, Telemetry: tel})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = o.Run(t.Context()) }()
		later := func() {
			_ = retry.Sleep(t.Context(), 3*filewatch.Interval)
			synctest.Wait()
		}
		file := operators.New()
		ada := give(t, file, "ada", operators.Read)
		swap("..1", file, 0o440)
		later()
		if got := is(o, ada); got != "ada" {
			t.Fatalf("the file came: %q", got)
		}
		bob := give(t, file, "bob", operators.Read)
		swap("..2", file, 0o644)
		later()
		if got := is(o, bob); got != whyUnknown || is(o, ada) != "ada" {
			t.Errorf("everybody can read the file: %q", got)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d lines about it: %s", n, &log)
		}
		if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		later()
		if got := is(o, ada); got != "ada" {
			t.Errorf("the file is gone: %q", got)
		}
		if _, err := file.Revoke("ada", time.Now()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := o.while(t.Context(), &Operator{Token: file.Tokens[0].ID})
		defer cancel()
		later()
		if ctx.Err() != nil {
			t.Error("the request of an operator whose token works was ended")
		}
		swap("..3", file, 0o400)
		later()
		if is(o, ada) != whyRevoked || is(o, bob) != "bob" {
			t.Errorf("revoked: %q, %q", is(o, ada), is(o, bob))
		}
		if ctx.Err() == nil {
			t.Error("a request goes on after the token was revoked")
		}
		later()
		if n := strings.Count(log.String(), "operators loaded"); n != 2 {
			t.Errorf("loaded %d times: %s", n, &log)
		}
	})
}

// A token works as soon as the file has it, before the file is read again by itself; guesses
// do not have it read each time.
func TestNewTokenWorksAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := operators.New()
		path := write(t, file)
		o := open(t, path)
		_ = retry.Sleep(t.Context(), reloadPause)
		stranger := give(t, operators.New(), "x", operators.Read)
		if got := is(o, stranger); got != whyUnknown {
			t.Errorf("a stranger is %q", got)
		}
		ada := give(t, file, "ada", operators.Read)
		rewrite(t, path, file)
		if got := is(o, ada); got != whyUnknown {
			t.Errorf("the file is read for each guess: %q", got)
		}
		_ = retry.Sleep(t.Context(), reloadPause)
		if got := is(o, ada); got != "ada" {
			t.Errorf("a new token: %q", got)
		}
	})
}

// Of 300 wrong tokens the metric has each, and the log a few lines without any of them.
func TestWrongTokensAreRecorded(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	tel, err := telemetry.Start(t.Context(), "gateway", telemetry.Config{LogOutput: &log, LogFormat: "json"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Stop(t.Context()) }()
	file := operators.New()
	give(t, file, "ada", operators.Read)
	bob := give(t, file, "bob", operators.Read)
	if _, err := file.Revoke("bob", time.Now()); err != nil {
		t.Fatal(err)
	}
	o, err := OpenOperators(OperatorsConfig{Path: write(t, file), Telemetry: tel})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(Config{Secrets: Secrets{Signing: secret}, Security: tel.Security, Operators: o})
	if err != nil {
		t.Fatal(err)
	}
	send := func(token string) (id Identity) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		m.Identify(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { id = FromContext(r.Context()) })).ServeHTTP(httptest.NewRecorder(), r)
		return id
	}
	var wrong string
	for range 300 {
		wrong = give(t, operators.New(), "x", operators.Read)
		if id := send(wrong); id.Operator != nil || !id.Forged || id.Why != whyUnknown {
			t.Fatalf("%+v", id)
		}
	}
	if id := send(bob); id.Why != whyRevoked {
		t.Errorf("%+v", id)
	}
	for range 3 {
		if id := send("op_guessed"); !id.Forged {
			t.Errorf("%+v", id)
		}
	}
	if n := counted(t, tel, "authn_login_fail", "shopper_token"); n != 3 {
		t.Errorf("%v forged tokens of shoppers are counted, want 3", n)
	}
	if fail, reuse := counted(t, tel, "authn_login_fail", "operator_token"), counted(t, tel, "authn_token_reuse", "operator_token"); fail != 300 || reuse != 1 {
		t.Errorf("%v wrong tokens and %v revoked ones are counted, want 300 and 1", fail, reuse)
	}
	id, _ := operators.TokenID(bob)
	if n := strings.Count(log.String(), "authn_login_fail"); n < 1 || n > 10 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(log.String(), `"client":"192.0.2.1"`) || !strings.Contains(log.String(), `"operator":"bob"`) || !strings.Contains(log.String(), `"token_id":"`+id+`"`) {
		t.Errorf("the log does not say who: %s", &log)
	}
	if strings.Contains(log.String(), operators.Prefix) {
		t.Errorf("a token is in the log: %s", &log)
	}
}

// counted is how many events of a kind and subject are counted.
func counted(t *testing.T, tel *telemetry.Telemetry, event, subject string) (n float64) {
	t.Helper()
	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if family.GetName() == "souk_security_events_total" && labels["souk_security_event"] == event && labels["souk_security_subject"] == subject {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
