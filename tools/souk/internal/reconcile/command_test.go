package reconcile_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/souk/internal/reconcile"
)

const report = `{"id":"r1","from_time":"2026-11-25T00:00:00Z","to_time":"2026-11-26T00:00:00Z","done":DONE,"in_flight":2,
	"totals":[{"currency":"GBP","captured_here":1250,"captured_there":1950,"refunded_here":250,"refunded_there":250,"movements_here":2,"movements_there":3}],
	"difference_count":COUNT,"differences":[DIFFERENCES]}`

// TestCommand asks a shop whose comparison is done at the second look.
func TestCommand(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		count, differences, want, wrong string
	}{
		{"0", "", "No difference.", ""},
		{"1001", `{"kind":"missing here","what":"capture","subject":"pi_1","there":{"amount":700,"currency":"GBP"}}`, "pi_1", "differ in 1001 places"},
	} {
		looks := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer secret" {
				t.Errorf("authorization %q", r.Header.Get("Authorization"))
			}
			looks++
			done := "false"
			switch {
			case looks == 1 && r.Method+r.URL.Path != "POST/v1/reconciliations", looks > 1 && r.Method+r.URL.Path != "GET/v1/reconciliations/r1":
				t.Errorf("%d: %s %s", looks, r.Method, r.URL.Path)
			case looks == 2:
				done = "true"
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, strings.NewReplacer("DONE", done, "COUNT", c.count, "DIFFERENCES", c.differences).Replace(report))
		}))
		t.Cleanup(server.Close)
		var out strings.Builder
		err := reconcile.Command(t.Context(), []string{"--url", server.URL, "--operator-token-file", token}, &out, io.Discard)
		if (err == nil) != (c.wrong == "") || (err != nil && !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%v, want %q", err, c.wrong)
		}
		for _, want := range []string{c.want, "In flight: 2", "19.50"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
	}
	if err := reconcile.Command(t.Context(), []string{"--url", "http://127.0.0.1:1"}, io.Discard, io.Discard); err == nil {
		t.Error("a URL without a token was taken")
	}
}
