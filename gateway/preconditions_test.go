package gateway

import (
	"strings"
	"testing"
)

const lantern = `{"name":"N","category":"c","variants":[{"sku":"LANTERN","price":{"amount":1,"currency":"GBP"}}]}`

// PUT answers with the product, as the operator's GET has it, and makes and changes it
// only as the preconditions ask.
func TestPutProduct(t *testing.T) {
	t.Parallel()
	s := start(t)
	const path = "/v1/products/LANTERN"
	get := func() *answer { t.Helper(); return s.want(200, "GET", path, "", asOperator) }
	s.refuses(412, "precondition-failed", "PUT", path, lantern, asOperator, "If-Match: *")
	s.refuses(412, "precondition-failed", "PUT", path, lantern, asOperator, `If-Match: "1-a"`)
	made := s.want(201, "PUT", path, lantern, asOperator, "If-None-Match: *")
	if made.Header.Get("Location") != path || made.Header.Get("ETag") != get().Header.Get("ETag") || string(made.body) != string(get().body) {
		t.Errorf("%v %s, GET has %s", made.Header, made.body, get().body)
	}
	var p struct{ Code string }
	if made.decode(t, &p); p.Code != "LANTERN" {
		t.Errorf("%s", made.body)
	}
	s.refuses(412, "precondition-failed", "PUT", path, lantern, asOperator, "If-None-Match: *")
	tag := header("If-Match: " + made.Header.Get("ETag"))
	changed := s.want(200, "PUT", path, strings.ReplaceAll(lantern, `"N"`, `"M"`), asOperator, tag)
	if changed.Header.Get("Location") != "" || changed.Header.Get("ETag") == made.Header.Get("ETag") {
		t.Errorf("%v", changed.Header)
	}
	s.refuses(412, "precondition-failed", "PUT", path, lantern, asOperator, tag)
	// Several lines are one list.
	s.want(200, "PUT", path, lantern, asOperator, tag, header("If-Match: "+changed.Header.Get("ETag")))
	s.refuses(412, "precondition-failed", "PUT", path, lantern, asOperator, tag, header("If-Match: "+changed.Header.Get("ETag")))
	s.refuses(412, "precondition-failed", "PUT", path, lantern, asOperator, header("If-Match: W/"+get().Header.Get("ETag")))
	if p := s.refuses(400, "invalid", "PUT", path, lantern, asOperator, "If-None-Match: \"1-a\""); p.Errors[0].Field != "If-None-Match" {
		t.Errorf("%+v", p)
	}
	s.want(200, "PUT", path, lantern, asOperator, "If-Match: *")
	// A sale changes the ETag, and does not fail an edit.
	seen := get().Header.Get("ETag")
	s.catalog.mu.Lock()
	s.catalog.find("LANTERN").Variants[0].Stock.Total++
	s.catalog.mu.Unlock()
	if get().Header.Get("ETag") == seen {
		t.Error("another stock has the same ETag")
	}
	s.want(200, "PUT", path, lantern, asOperator, header("If-Match: "+seen))
	// A shopper's ETag is as good.
	seen = s.want(200, "GET", path, "").Header.Get("ETag")
	s.want(200, "PUT", path, lantern, asOperator, header("If-Match: "+seen))
}

// What cannot check a precondition refuses it.
func TestPreconditionsAreNotPassedOver(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, r := range s.keyed() {
		method, path, _ := strings.Cut(name, " ")
		op := document.Paths.Find(path).Operations()[method]
		contentType := header("Content-Type: application/json")
		if strings.HasSuffix(r.path, "/import") {
			contentType = "Content-Type: text/csv"
		}
		for _, precondition := range []string{"If-Match", "If-None-Match"} {
			taken := false
			for _, p := range op.Parameters {
				taken = taken || p.Value.Name == precondition
			}
			a := s.do(method, r.path, r.body, r.as, contentType, header(precondition+": \"0-x\""), "Idempotency-Key: 5f1c2a9b-e3d4-4a77-9d1e-0c2a9be3d45b")
			if refused := strings.Contains(string(a.body), `"field":"`+precondition+`","detail":"is not taken here`); refused == taken {
				t.Errorf("%s with %s: %d %s", name, precondition, a.StatusCode, a.body)
			}
		}
	}
}
