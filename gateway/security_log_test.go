package gateway

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// What another site's page made a browser send is in the security log, and an event that
// the payment provider did not sign.
func TestForgedRequestsAreInTheSecurityLog(t *testing.T) {
	t.Parallel()
	s := start(t)
	var log bytes.Buffer
	tel, err := telemetry.Start(t.Context(), "gateway", telemetry.Config{LogFormat: "json", LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	h := handlerOver(t, complete(t, Config{}), s.conn, tel)
	for _, site := range []string{"same-origin", "cross-site"} {
		r := httptest.NewRequest("POST", "/cart/lines", strings.NewReader("sku=SKU01&quantity=1"))
		r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {site}}
		r.RemoteAddr = "192.0.2.7:1234"
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got, want := strings.Count(log.String(), `"log":"security"`), map[string]int{"same-origin": 0, "cross-site": 1}[site]; got != want {
			t.Errorf("%s: %d lines: %s", site, got, log.String())
		}
	}
	forged := httptest.NewRequest("POST", "/webhooks/stripe", strings.NewReader("{}"))
	h.ServeHTTP(httptest.NewRecorder(), forged)
	for _, want := range []string{`"event":"authz_fail"`, `"subject":"cross_origin"`, `"client":"192.0.2.7"`, `"subject":"webhooks-forged"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %s", want, log.String())
		}
	}
}
