package render

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
)

// hostile are words that would do harm, if they were not escaped, or be no XML.
var hostile = []string{
	"Red Retrospot Jumbo Bag", "", "</svg><script>alert(1)</script>", `SIGN " onload="alert(1) & ' <b>`, "]]><!--", "&#0;&lt;", "\x00\x01\ufffe",
	"日&本の傘 <b>", strings.Repeat("LETTER ", 290), "javascript:alert(1) METAL SIGN",
}

func get(query string) Request { return Request{Method: http.MethodGet, Path: Path, Query: query} }

// TestTheSameBytes: the renderer draws what the gateway draws, harmless whatever the words are.
func TestTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, words := range hostile {
		a := Renderer{}.Answer(get(query("85123A", words, picture.Version("85123A", words), nil)))
		if a.Status != http.StatusOK || !bytes.Equal(a.Body, picture.SVG("85123A", words)) {
			t.Fatalf("%.30q: %d, %d bytes", words, a.Status, len(a.Body))
		}
		if a.Header["Cache-Control"] != forGood || a.Header["Content-Type"] != contentType || !strings.Contains(a.Header["Content-Security-Policy"], "sandbox") {
			t.Errorf("%.30q: %v", words, a.Header)
		}
		harmless(t, a.Body)
	}
}

// harmless fails for a picture that is no XML, or has what could run or be fetched.
func harmless(t *testing.T, svg []byte) {
	t.Helper()
	for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v: %.200s", err, svg)
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch el.Name.Local {
		case "script", "foreignObject", "a", "image", "use", "style", "iframe", "animate", "set":
			t.Errorf("element %s: %.200s", el.Name.Local, svg)
		}
		for _, a := range el.Attr {
			if strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Name.Local, "href") {
				t.Errorf("attribute %s: %.200s", a.Name.Local, svg)
			}
		}
	}
}

// TestBadRequests: what is wrong is said, with the field.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxWords+1)
	for name, c := range map[string]struct {
		r      Request
		status int
		field  string
	}{
		"another path":    {Request{Method: "GET", Path: "/", Query: "seed=1&words=Mug"}, 404, "path"},
		"another method":  {Request{Method: "POST", Path: Path, Query: "seed=1&words=Mug"}, 405, "method"},
		"no seed":         {get("words=Mug"), 400, "seed"},
		"an empty seed":   {get("seed=&words=Mug"), 400, "seed"},
		"no words":        {get("seed=1"), 400, "words"},
		"many words":      {get("seed=1&words=" + long), 400, "words"},
		"a long seed":     {get("seed=" + long[:MaxSeed+1] + "&words=Mug"), 400, "seed"},
		"no UTF-8":        {get("seed=1&words=%ff"), 400, "words"},
		"words twice":     {get("seed=1&words=Mug&words=Cup"), 400, "words"},
		"something else":  {get("seed=1&words=Mug&size=10000"), 400, "size"},
		"no query":        {get("seed=1&words=%"), 400, "query"},
		"a long query":    {get("seed=1&words=" + strings.Repeat("%41", maxQuery)), 400, "query"},
		"another edition": {get("seed=1&words=Mug&v=old"), 409, "v"},
	} {
		a := Renderer{}.Answer(c.r)
		var p struct {
			Status int
			Detail string
			Errors []struct{ Field, Detail string }
		}
		if err := json.Unmarshal(a.Body, &p); err != nil || a.Status != c.status || p.Status != c.status || len(p.Errors) != 1 || p.Errors[0].Field != c.field || !strings.HasPrefix(p.Detail, c.field+": ") {
			t.Errorf("%s: %d %s (%v), want %d and %s", name, a.Status, a.Body, err, c.status, c.field)
		}
		if a.Header["Cache-Control"] != never {
			t.Errorf("%s: kept: %v", name, a.Header)
		}
	}
}

// TestConditions: a client that has the picture is told so, and without a version it is kept
// for an hour.
func TestConditions(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(Renderer{})
	t.Cleanup(server.Close)
	do := func(method, tag string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+Path+"?seed=1&words=Mug", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("If-None-Match", tag)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return res, body
	}
	first, body := do(http.MethodGet, "")
	tag := first.Header.Get("ETag")
	if first.StatusCode != http.StatusOK || tag == "" || first.Header.Get("Cache-Control") != forNow || !bytes.Equal(body, picture.SVG("1", "Mug")) {
		t.Fatalf("%d %v", first.StatusCode, first.Header)
	}
	if again, body := do(http.MethodGet, `"other", W/`+tag); again.StatusCode != http.StatusNotModified || len(body) > 0 {
		t.Errorf("again: %d, %d bytes", again.StatusCode, len(body))
	}
	if head, body := do(http.MethodHead, ""); head.StatusCode != http.StatusOK || len(body) > 0 || head.Header.Get("ETag") != tag {
		t.Errorf("HEAD: %d, %d bytes, %v", head.StatusCode, len(body), head.Header)
	}
	if other := (Renderer{}).Answer(get("seed=1&words=Umbrella")); other.Header["Etag"] == tag {
		t.Error("another picture has the same tag")
	}
}

// TestSignature: a renderer with a key draws what the gateway signed, and nothing else.
func TestSignature(t *testing.T) {
	t.Parallel()
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := parseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	d := Renderer{}
	if d.Key, err = ParsePublicKey(public); err != nil {
		t.Fatal(err)
	}
	signed := query("85123A", "Mug & Cup", picture.Version("85123A", "Mug & Cup"), key)
	if a := d.Answer(get(signed)); a.Status != http.StatusOK {
		t.Errorf("signed: %d %s", a.Status, a.Body)
	}
	_, other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	stranger := Renderer{}
	if stranger.Key, err = ParsePublicKey(other); err != nil {
		t.Fatal(err)
	}
	if a := stranger.Answer(get(signed)); a.Status != http.StatusForbidden {
		t.Errorf("of another key: %d", a.Status)
	}
	for what, change := range map[string]func(url.Values){
		"other words": func(q url.Values) { q.Set("words", "Buy elsewhere") }, "another seed": func(q url.Values) { q.Set("seed", "2") },
		"no version": func(q url.Values) { q.Del("v") }, "no signature": func(q url.Values) { q.Del("sig") }, "no base64": func(q url.Values) { q.Set("sig", "?") },
		// What moves from one parameter to the next must not be the same text.
		"moved": func(q url.Values) { q.Set("seed", "85123A&words=Mug"); q.Set("words", " & Cup") },
	} {
		q, err := url.ParseQuery(signed)
		if err != nil {
			t.Fatal(err)
		}
		change(q)
		if a := d.Answer(get(q.Encode())); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", what, a.Status)
		}
	}
	for _, text := range []string{"", "x", private + "AAAA"} {
		if _, err := ParsePublicKey(text); err == nil || strings.Contains(err.Error(), private) {
			t.Errorf("%q is a key: %v", text, err)
		}
	}
}

// FuzzAnswer: whatever is asked, the answer is a picture that is harmless or a problem.
func FuzzAnswer(f *testing.F) {
	for _, words := range hostile {
		f.Add(http.MethodGet, query("85123A", words, "", nil), "")
	}
	f.Add(http.MethodHead, "seed=1&words=Mug&v=x", `"a"`)
	f.Add(http.MethodGet, "seed=%ff&words=;", "*")
	f.Fuzz(func(t *testing.T, method, query, tag string) {
		a := Renderer{}.Answer(Request{Method: method, Path: Path, Query: query, IfNoneMatch: tag})
		switch a.Status {
		case http.StatusOK:
			harmless(t, a.Body)
			if len(a.Body) > maxBody {
				t.Errorf("%d bytes", len(a.Body))
			}
		case http.StatusNotModified:
		case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusConflict:
			if !json.Valid(a.Body) {
				t.Errorf("%s", a.Body)
			}
		default:
			t.Errorf("status %d", a.Status)
		}
	})
}
