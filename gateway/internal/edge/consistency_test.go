package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/consistency"
)

// What a request has to see goes with its calls, and what it wrote comes with the answer: in
// a header of the API, in a cookie for browsers.
func TestConsistent(t *testing.T) {
	t.Parallel()
	wrote := consistency.Token{"order": {Timeline: 1, LSN: 0x20}}
	for name, tc := range map[string]struct {
		path, header, cookie string
		writes               bool
		saw, answered, kept  string
		status               int
	}{
		"a client that knows nothing":   {path: "/v1/orders", status: 200},
		"a write by the API":            {path: "/v1/orders", writes: true, answered: "order:1/20", status: 200},
		"a read after it":               {path: "/v1/orders", header: "order:1/20", saw: "order:1/20", status: 200},
		"a later write":                 {path: "/v1/orders", header: "catalog:1/5.order:1/10", writes: true, saw: "catalog:1/5.order:1/10", answered: "catalog:1/5.order:1/20", status: 200},
		"no token":                      {path: "/v1/orders", header: "order", status: 400},
		"a form":                        {path: "/cart", writes: true, kept: "order:1/20", status: 200},
		"a page after it":               {path: "/orders", cookie: "order:1/20", saw: "order:1/20", status: 200},
		"a cookie that is no token":     {path: "/orders", cookie: "order", status: 200},
		"a page with a client's header": {path: "/orders", header: "order", status: 200},
		"a script's call":               {path: "/v1/orders", cookie: "cart:1/1", writes: true, saw: "cart:1/1", answered: "cart:1/1.order:1/20", kept: "cart:1/1.order:1/20", status: 200},
	} {
		c := Consistent{
			API:    func(path string) bool { return strings.HasPrefix(path, "/v1/") },
			Refuse: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadRequest) },
		}
		handler := c.Follow(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session := consistency.FromContext(r.Context())
			if got := session.Token().String(); got != tc.saw {
				t.Errorf("%s: services are asked with %q, want %q", name, got, tc.saw)
			}
			if tc.writes {
				session.Gain(wrote)
			}
			_, _ = w.Write([]byte("ok"))
		}))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tc.path, nil)
		if tc.header != "" {
			r.Header.Set(consistency.Header, tc.header)
		}
		if tc.cookie != "" {
			r.AddCookie(&http.Cookie{Name: consistencyCookie, Value: tc.cookie})
		}
		got := httptest.NewRecorder()
		handler.ServeHTTP(got, r)
		kept, _ := c.Policy.SetValue(got.Header(), consistencyCookie)
		if got.Code != tc.status || got.Header().Get(consistency.Header) != tc.answered || kept != tc.kept {
			t.Errorf("%s: %d, header %q, cookie %q", name, got.Code, got.Header().Get(consistency.Header), kept)
		}
	}
}

// A request without a token has a session, too: without one services ask their primaries alone,
// and not their replicas.
func TestEveryRequestHasASession(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ method, header, value string }{
		"an anonymous read":      {http.MethodGet, "Accept", "*/*"},
		"its head":               {http.MethodHead, "Accept", "*/*"},
		"a write":                {http.MethodPost, "Accept", "*/*"},
		"a read after a write":   {http.MethodGet, consistency.Header, "order:1/20"},
		"a browser that is back": {http.MethodGet, "Cookie", "theme=dark"},
		"a client with a token":  {http.MethodGet, "Authorization", "Bearer t"},
	} {
		c := Consistent{API: func(string) bool { return true }}
		r := httptest.NewRequestWithContext(t.Context(), tc.method, "/v1/products", nil)
		r.Header.Set(tc.header, tc.value)
		c.Follow(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if consistency.FromContext(r.Context()) == nil {
				t.Errorf("%s has no session", name)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}
