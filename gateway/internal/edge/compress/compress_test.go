package compress

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
)

func TestAccept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lines []string
		want  Accepted
	}{
		{nil, Accepted{}},
		{[]string{""}, Accepted{}},
		{[]string{"identity"}, Accepted{}},
		{[]string{"gzip, deflate, br, zstd"}, Accepted{Brotli, Gzip, false}},
		{[]string{"br , GZIP"}, Accepted{Brotli, Gzip, false}},
		{[]string{"x-gzip"}, Accepted{Gzip, Gzip, false}},
		{[]string{"br"}, Accepted{Brotli, Brotli, false}},
		{[]string{"gzip", "br"}, Accepted{Brotli, Gzip, false}},
		{[]string{"*"}, Accepted{Brotli, Gzip, false}},
		{[]string{"zstd, deflate"}, Accepted{}},
		{[]string{"br;q=0.8, gzip;q=1.0"}, Accepted{Gzip, Gzip, false}},
		{[]string{"br;q=0.8, gzip;q=0.5"}, Accepted{Brotli, Brotli, false}},
		{[]string{"gzip;q=0"}, Accepted{}},
		{[]string{"gzip; q = 0.000, br;Q=0"}, Accepted{}},
		{[]string{"gzip;q=0, *"}, Accepted{Brotli, Brotli, false}},
		{[]string{"*;q=0, gzip"}, Accepted{Gzip, Gzip, true}},
		{[]string{"identity;q=0, br"}, Accepted{Brotli, Brotli, true}},
		{[]string{"identity;q=0"}, Accepted{Identity, Identity, true}},
		{[]string{"*;q=0"}, Accepted{Identity, Identity, true}},
		{[]string{"gzip;q=0.5, identity"}, Accepted{}},
		{[]string{"gzip;q=0.001"}, Accepted{Gzip, Gzip, false}},
		{[]string{"gzip;q=high, br;q=-1"}, Accepted{}},
		{[]string{"gzip;q=2"}, Accepted{}},
		{[]string{"gzip;q=NaN"}, Accepted{}},
		{[]string{",,;q=1,gzip;;"}, Accepted{Gzip, Gzip, false}},
	} {
		if got := Accept(http.Header{"Accept-Encoding": c.lines}); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.lines, got, c.want)
		}
	}
	// What is decided in short is decided the same at length.
	for _, line := range []string{"gzip, deflate, br, zstd", "gzip, deflate, br", "gzip", "gzip, deflate", "", "identity"} {
		if short, long := Accept(http.Header{"Accept-Encoding": {line}}), accept([]string{line}); short != long {
			t.Errorf("%q: %+v, and %+v", line, short, long)
		}
	}
}

func decode(t *testing.T, coding string, b []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	case "br":
		r = brotli.NewReader(r)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%q: %v", coding, err)
	}
	return string(out)
}

func TestServe(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("A lantern for the garden, and another. ", 200)
	b := NewFile([]byte(text))
	ask := func(method string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/f", nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		b.Serve(w, r)
		return w
	}
	tags := map[string]string{}
	for accept, want := range map[string]string{"": "", "gzip": "gzip", "br, gzip": "br"} {
		get := ask("GET", "Accept-Encoding", accept)
		h := get.Header()
		if get.Code != 200 || h.Get("Content-Encoding") != want || decode(t, want, get.Body.Bytes()) != text || h.Get("Vary") != "Accept-Encoding" || h.Get("Accept-Ranges") != "bytes" {
			t.Errorf("%q: %d %v", accept, get.Code, h)
		}
		head := ask("HEAD", "Accept-Encoding", accept)
		for _, name := range []string{"Content-Length", "ETag", "Content-Encoding", "Vary"} {
			if head.Header().Get(name) != h.Get(name) {
				t.Errorf("%q: HEAD differs in %s: %q, %q", accept, name, head.Header().Get(name), h.Get(name))
			}
		}
		if head.Body.Len() != 0 {
			t.Errorf("HEAD has a body")
		}
		tag := h.Get("ETag")
		tags[tag] = want
		for _, same := range []string{tag, `"other", W/` + tag, "*"} {
			if not := ask("GET", "Accept-Encoding", accept, "If-None-Match", same); not.Code != 304 || not.Body.Len() != 0 || not.Header().Get("ETag") != tag || not.Header().Get("Content-Encoding") != "" {
				t.Errorf("%q If-None-Match %s: %d %v", accept, same, not.Code, not.Header())
			}
		}
		// A range is one of the coded form.
		part := ask("GET", "Accept-Encoding", accept, "Range", "bytes=10-19", "If-Range", tag)
		if part.Code != 206 || !bytes.Equal(part.Body.Bytes(), get.Body.Bytes()[10:20]) || part.Header().Get("Content-Encoding") != want || part.Header().Get("Content-Length") != "10" {
			t.Errorf("%q: range: %d %v", accept, part.Code, part.Header())
		}
		if whole := ask("GET", "Accept-Encoding", accept, "Range", "bytes=10-19", "If-Range", `"old"`); whole.Code != 200 || !bytes.Equal(whole.Body.Bytes(), get.Body.Bytes()) {
			t.Errorf("%q: range of another: %d", accept, whole.Code)
		}
		if past := ask("GET", "Accept-Encoding", accept, "Range", "bytes=999999-"); past.Code != 416 {
			t.Errorf("%q: range past the end: %d", accept, past.Code)
		}
		// A refusal is no form of the body: it has none of its headers, and no cache keeps
		// it in the body's place.
		for _, old := range []string{`"old"`, "W/" + tag, ""} {
			other := ask("GET", "Accept-Encoding", accept, "If-Match", old, "Range", "bytes=0-9")
			want := 412
			if old == "" {
				want = 206
			}
			if other.Code != want {
				t.Errorf("%q: If-Match %q: %d", accept, old, other.Code)
			}
			if h := other.Header(); want == 412 && (h.Get("Content-Length") != "" || h.Get("Content-Encoding") != "" || h.Get("Content-Type") != "" || h.Get("Cache-Control") != "no-store" || other.Body.Len() != 0) {
				t.Errorf("%q: If-Match %q: %v", accept, old, h)
			}
		}
		for _, same := range []string{tag, `"old", ` + tag, "*"} {
			if got := ask("GET", "Accept-Encoding", accept, "If-Match", same); got.Code != 200 || !bytes.Equal(got.Body.Bytes(), get.Body.Bytes()) {
				t.Errorf("%q: If-Match %s: %d", accept, same, got.Code)
			}
		}
	}
	if len(tags) != 3 {
		t.Errorf("forms share an entity tag: %v", tags)
	}
	if weak := NewBody([]byte(text), `W/"1"`); weak.form(Brotli).ETag[0] != `W/"1"` {
		t.Errorf("a weak tag is that of all forms: %v", weak.form(Brotli).ETag)
	}
	noise := make([]byte, 4000)
	_, _ = rand.Read(noise)
	if h := (http.Header{}); NewFile(noise).For(h, Accepted{Kept: Brotli}).coding != Identity || h.Get("Content-Encoding") != "" {
		t.Errorf("what does not get smaller is sent as %v", h)
	}
	if Matches(`"1-br"`, `"11"`) || Matches(`"1-zstd"`, `"1"`) || Matches("", `"1"`) || !Matches(`"1-br"`, `"1"`) {
		t.Error("tags are compared wrongly")
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	long, short := []byte(strings.Repeat("a cart of things ", 200)), []byte("a cart")
	for accept, want := range map[string]string{"": "", "br": "br", "gzip, br": "gzip", "*;q=0, gzip": "gzip"} {
		for _, body := range [][]byte{long, short} {
			h := http.Header{}
			want := want
			if len(body) < MinSize && !strings.Contains(accept, "*;q=0") {
				want = ""
			}
			sent := body
			Encode(h, Accept(http.Header{"Accept-Encoding": {accept}}), body, func(b []byte) { sent = bytes.Clone(b) })
			if h.Get("Content-Encoding") != want || decode(t, want, sent) != string(body) {
				t.Errorf("%q: %v, %d bytes of %d", accept, h, len(sent), len(body))
			}
		}
	}
}

func FuzzAccept(f *testing.F) {
	for _, s := range []string{"gzip;q=0.5, br", "*;q=0", "identity;q=0, x-gzip;q=1.000", ";,=", "br;q=;q=1"} {
		f.Add(s)
	}
	body := NewBody([]byte(strings.Repeat("x", MinSize)), `"x"`)
	f.Fuzz(func(t *testing.T, s string) {
		h := http.Header{"Accept-Encoding": {s}}
		a := Accept(h)
		answer := http.Header{}
		form := body.For(answer, a)
		coding := answer.Get("Content-Encoding")
		if coding != "" && !strings.Contains(strings.ToLower(s), coding) && !strings.Contains(s, "*") {
			t.Errorf("%q is answered with %s", s, coding)
		}
		if decode(t, coding, form.Bytes) != string(body.Plain.Bytes) {
			t.Errorf("%q: another body", s)
		}
	})
}
