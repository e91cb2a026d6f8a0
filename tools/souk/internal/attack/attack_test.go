package attack

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

var update = flag.Bool("update", false, "write the table of docs/security.md")

// TestAttacksAreDocumented: docs/security.md has a row for each attack, with what it did, what it
// does and its test.
func TestAttacksAreDocumented(t *testing.T) {
	t.Parallel()
	const file, begin, end = "../../../../docs/security.md", "<!-- attacks -->\n", "<!-- /attacks -->\n"
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| attack | what it would do | before | now | test |\n|---|---|---|---|---|\n")
	names := map[string]bool{}
	for _, a := range Attacks() {
		if names[a.Name] || a.Would == "" || a.Now == "" || a.Test == "" {
			t.Errorf("%+v", a)
		}
		names[a.Name] = true
		before := a.Before
		if before == "" {
			before = "the same"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | `%s` |\n", a.Name, a.Would, before, a.Now, strings.ReplaceAll(a.Test, ", ", "`, `"))
	}
	before, rest, ok := strings.Cut(string(was), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no table between %q and %q", file, begin, end)
	}
	if old == table.String() {
		return
	}
	if !*update {
		t.Fatalf("the table of attacks in %s is old: go test ./tools/souk/internal/attack -run %s -update", file, t.Name())
	}
	if err := os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyOnesOwnShopIsAttacked, or one whose host was named.
func TestOnlyOnesOwnShopIsAttacked(t *testing.T) {
	t.Parallel()
	for host, ok := range map[string]bool{"127.0.0.1": true, "localhost": true, "::1": true, "198.51.100.1": false, "203.0.113.9": false} {
		if err := permitted([]string{host}, ""); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := permitted([]string{"198.51.100.1"}, "198.51.100.1"); err != nil {
		t.Errorf("a host that is named: %v", err)
	}
	if err := permitted([]string{"198.51.100.1", "198.51.100.2"}, "198.51.100.2, 198.51.100.1"); err != nil {
		t.Errorf("two hosts that are named: %v", err)
	}
	for _, named := range []string{"198.51.100.1", "198.51.100.1,", "198.51.100.1,198.51.100.20"} {
		if err := permitted([]string{"198.51.100.1", "198.51.100.2"}, named); err == nil {
			t.Errorf("a service on a host that is not in %q is attacked", named)
		}
	}
	for _, args := range [][]string{{"extra"}, {"--time", "1h"}, {"--attack", "nothing"}, {"--url", "http://198.51.100.1"}, {"--url", "http://127.0.0.1:1", "--services", "catalog=198.51.100.1:9090"}, {"--url", "http://127.0.0.1:1", "--services", "catalog"},
		{"--url", "http://127.0.0.1:1", "--from", "127.0.0.2"}, {"--url", "http://127.0.0.1:1", "--from", "127.0.0.2,127.0.0.3,127.0.0.2"}, {"--url", "http://127.0.0.1:1", "--from", "127.0.0.2,127.0.0.3,localhost"}} {
		if err := Command(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

// TestAttacks makes all of them on a shop, and those of HTTP/2 on a gateway of it that ends TLS.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	dir := pgtest.Folder(t)
	limits := []string{"SOUK_GATEWAY_RATE_LIMIT=200"}
	shop, err := localshop.Start(t.Context(), localshop.Options{Dir: dir, Disposable: true, Env: func(string, int) []string { return limits }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := shop.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	operator := shopclient.New(shop.URL).WithToken(shop.OperatorToken)
	const goods = "code,sku,name,variant,description,category,category_name,price,currency,stock,popularity\nMUG,MUG-1,Mug,,,tableware,Tableware,4.95,GBP,100000,1\n"
	if _, err := operator.ImportProducts(t.Context(), strings.NewReader(goods)); err != nil {
		t.Fatal(err)
	}
	target := targetOf(t, shop.URL)
	target.operator, target.dir, target.services = shop.OperatorToken, dir, map[string]string{}
	for _, part := range topology.Names(topology.Of(topology.Service)) {
		target.services[part] = shop.Addr(part)
	}
	secured := *target
	secured.url = mustParse(t, secure(t, target, dir))
	all := run(t.Context(), target, slicesWithout(Attacks(), "http2-"), t.Output())
	all = append(all, run(t.Context(), &secured, frames, t.Output())...)
	for _, r := range all {
		switch {
		case r.Verdict == Broken:
			t.Errorf("%s got through: %s", r.Name, r.Did)
		case r.Verdict == NotTried && r.Name != "http2-clear" && target.apart:
			t.Errorf("%s was not tried: %s", r.Name, r.Did)
		default:
			t.Logf("%s: %s", r.Name, r.Did)
		}
	}
}

func slicesWithout(all []Attack, prefix string) (out []Attack) {
	for _, a := range all {
		if !strings.HasPrefix(a.Name, prefix) || a.Name == "http2-clear" {
			out = append(out, a)
		}
	}
	return out
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func targetOf(t *testing.T, shop string) *target {
	t.Helper()
	target := &target{url: mustParse(t, shop), time: 700 * time.Millisecond}
	if err := target.survey(t.Context()); err != nil {
		t.Fatal(err)
	}
	return target
}

// secure runs another gateway of the shop, which ends TLS, and returns its URL.
func secure(t *testing.T, target *target, dir string) string {
	t.Helper()
	id := localshop.Identity(dir, topology.Edge)
	env := map[string]string{
		"SOUK_GATEWAY_LISTEN": "127.0.0.1:0", "SOUK_GATEWAY_SECRET": strings.Repeat("s", 32), "SOUK_GATEWAY_LOG_LEVEL": "error",
		"SOUK_GATEWAY_HTTPS_CERT": id.TLSCert, "SOUK_GATEWAY_HTTPS_KEY": id.TLSKey,
		"SOUK_GATEWAY_TLS_CERT": id.TLSCert, "SOUK_GATEWAY_TLS_KEY": id.TLSKey, "SOUK_GATEWAY_TLS_CA": id.TLSCA,
	}
	for part, address := range target.services {
		env["SOUK_GATEWAY_"+strings.ToUpper(part)+"_TARGET"] = address
	}
	lis := listen(t)
	part, _ := topology.Find(topology.Edge)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part.Run(ctx, topology.Process{Env: envconfig.MapLookuper(env), Listener: lis}) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "https://" + lis.Addr().String()
}

// A shop that withstands nothing is found out: each of these attacks gets through.
func TestAWeakShopIsBroken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(weak())
	defer server.Close()
	target := targetOf(t, server.URL)
	target.operator = "operator"
	want := map[string]bool{}
	for _, name := range strings.Fields(`methods paths oversized header-fields smuggling cross-origin cache-poisoning traceparent forwarded-for
		big-import altered-tokens another's planted-cookie operator-guessing operators-calls event-streams webhooks carts-without-end card-testing`) {
		want[name] = true
	}
	for _, a := range Attacks() {
		if want[a.Name] {
			if o := a.try(t.Context(), target); o.verdict != Broken {
				t.Errorf("%s: %s, %s", a.Name, o.verdict, o.did)
			}
			delete(want, a.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("not made: %v", want)
	}
}

// weak answers everything, echoes what it was sent, and knows neither callers nor limits.
func weak() http.Handler {
	var ids atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/products", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit-Limit", "100")
		w.Header().Set("RateLimit-Remaining", "100")
		fmt.Fprintf(w, `{"products":[{"code":"MUG","variants":[{"sku":"MUG-1","available":1000}]}],"echo":%q}`, fmt.Sprint(r.Host, r.Header))
	})
	mux.HandleFunc("POST /v1/carts", func(w http.ResponseWriter, r *http.Request) {
		id := ids.Add(1)
		w.Header().Set("Location", fmt.Sprintf("/v1/carts/%d", id))
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": fmt.Sprint(id), "token": "an-unsigned-token-of-" + fmt.Sprint(id)})
	})
	mux.HandleFunc("POST /v1/orders", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/v1/orders/1")
		_, _ = io.WriteString(w, `{"id":"1","state":"CANCELLED","decline_code":"stolen_card"}`)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit-Limit", "10000")
		w.Header().Set("RateLimit-Remaining", "10000")
		http.SetCookie(w, &http.Cookie{Name: "souk", Value: "1"}) // a weak one, as it is to be
		fmt.Fprintf(w, "root: A Victim victim@example.com %s %s %v", r.Method, r.Host, r.Header)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != strings.ReplaceAll(r.URL.Path, "//", "/") || strings.Contains(r.URL.Path, "..") {
			r.URL.Path = "/"
		}
		mux.ServeHTTP(w, r)
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return lis
}
