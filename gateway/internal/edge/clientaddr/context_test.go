package clientaddr_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/edge/clientaddr"
)

// What changes something has the client's address in its context, behind a proxy that of
// its client.
func TestRemember(t *testing.T) {
	t.Parallel()
	r, err := clientaddr.New(clientaddr.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]netip.Addr{http.MethodPost: netip.MustParseAddr("203.0.113.7"), http.MethodGet: {}} {
		var got netip.Addr
		h := r.Remember(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = clientaddr.FromContext(r.Context()) }))
		req := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
		req.RemoteAddr = "10.1.2.3:4567"
		req.Header.Set("X-Forwarded-For", "203.0.113.7:51234")
		h.ServeHTTP(httptest.NewRecorder(), req)
		if got != want {
			t.Errorf("%s: %v, want %v", method, got, want)
		}
	}
}
