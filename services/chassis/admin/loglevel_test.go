package admin

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestLogLevel(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	tel, err := telemetry.Start(t.Context(), "order", telemetry.Config{LogFormat: "json", LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	h := handler(Config{}, tel, nil)
	ask := func(method, body string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/loglevel", strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	expect := func(method, body, level string, within time.Duration) {
		t.Helper()
		code, answer := ask(method, body)
		var got LogLevel
		if err := json.Unmarshal([]byte(answer), &got); err != nil || code != http.StatusOK || got.Service != "order" || got.Level != level || got.Configured != "info" {
			t.Fatalf("%s %s: %d %s, %v", method, body, code, answer, err)
		}
		if within == 0 {
			if got.Until != nil {
				t.Errorf("%s: until %v", body, got.Until)
			}
			return
		}
		if left := time.Until(*got.Until); left > within || left < within-time.Minute {
			t.Errorf("%s: holds for another %v, want %v", body, left, within)
		}
	}
	expect(http.MethodGet, "", "info", 0)
	expect(http.MethodPut, `{"level":"debug"}`, "debug", defaultFor)
	expect(http.MethodGet, "", "debug", defaultFor)
	expect(http.MethodPut, `{"level":"ERROR","for":"2h"}`, "error", 2*time.Hour)
	for body, want := range map[string]string{
		`{"level":"loud"}`:                    `level "loud": want debug, info, warn, error or configured`,
		`{}`:                                  `level "": want debug`,
		`{"level":"debug","for":"25h"}`:       `for "25h": want a duration such as 10m, at most 24h`,
		`{"level":"debug","for":"-1m"}`:       `for "-1m"`,
		`{"level":"debug","for":"soon"}`:      `for "soon"`,
		`{"level":"configured","for":"1m"}`:   "leave it out",
		`{"level":"debug","forever":true}`:    `unknown field "forever"`,
		`{"level":"debug"} {}`:                "more than one value",
		`debug`:                               `want JSON such as {"level":"debug","for":"10m"}`,
		`"` + strings.Repeat("x", 2000) + `"`: "too large",
	} {
		if code, answer := ask(http.MethodPut, body); code != http.StatusBadRequest || !strings.Contains(answer, want) {
			t.Errorf("%.60s: %d %s, want %s", body, code, answer, want)
		}
	}
	expect(http.MethodGet, "", "error", 2*time.Hour)
	if tel.Log.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the log is as before")
	}
	expect(http.MethodPut, `{"level":"configured"}`, "info", 0)
	if code, _ := ask(http.MethodPost, `{"level":"debug"}`); code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", code)
	}
	var told []string
	for line := range strings.Lines(log.String()) {
		var l struct{ Log, Event, Subject, Client, Before, After, Until string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Log == "security" && l.Event == "authz_admin" && l.Subject == "log_level" && l.Client != "" && (l.Until == "") == (l.After == "info") {
			told = append(told, l.Before+">"+l.After)
		}
	}
	if got := strings.Join(told, " "); got != "info>debug debug>error error>info" {
		t.Errorf("the security log has %q in\n%s", got, &log)
	}
}
