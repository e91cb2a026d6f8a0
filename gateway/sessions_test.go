package gateway

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

// A shopper signs out everywhere, once; the answer has the browser forget its cookie. An
// operator ends a shopper's sessions as often as is asked for.
func TestSessionsEndOverREST(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	s.want(204, "DELETE", "/v1/session", "", me)
	if a := s.want(401, "DELETE", "/v1/session", "", me); !strings.Contains(string(a.body), "/problems/session-ended") {
		t.Errorf("the second time: %s", a.body)
	}
	s.want(401, "DELETE", "/v1/session", "")
	s.want(403, "DELETE", "/v1/session", "", asOperator)

	_, other := s.newCart(`{"lines":[]}`)
	_, token, _ := strings.Cut(string(other), "Bearer ")
	a := s.want(204, "DELETE", "/v1/session", "", header("Cookie: souk_shopper="+token))
	if line := a.Header.Get("Set-Cookie"); !strings.HasPrefix(line, "souk_shopper=;") {
		t.Errorf("the browser keeps its cookie: %q", line)
	}

	path := "/v1/customers/" + uuid.NewString() + "/sessions"
	s.want(204, "DELETE", path, "", asOperator)
	s.want(204, "DELETE", path, "", asOperator)
	s.want(403, "DELETE", path, "", me)
	s.want(401, "DELETE", path, "")
	s.want(400, "DELETE", "/v1/customers/x/sessions", "", asOperator)
}
