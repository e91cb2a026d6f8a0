package consistency_test

import (
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/consistency"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "catalog:1/16B", "catalog:1/16B.order:A/2A", "order:FFFFFFFF/7FFFFFFFFFFFFFFF"} {
		token, err := consistency.Parse(text)
		if err != nil || token.String() != text {
			t.Errorf("%q is read as %q, %v", text, token, err)
		}
	}
	for name, text := range map[string]string{
		"no position":      "catalog",
		"no LSN":           "catalog:1",
		"no timeline":      "catalog:/1",
		"timeline zero":    "catalog:0/1",
		"not hexadecimal":  "catalog:1/xyz",
		"a sign":           "catalog:1/-1",
		"too large":        "catalog:1/8000000000000000",
		"a large timeline": "catalog:100000000/1",
		"a second slash":   "catalog:1/1/1",
		"twice":            "catalog:1/1.catalog:1/2",
		"no name":          ":1/1",
		"upper case":       "Catalog:1/1",
		"an end too many":  "catalog:1/1.",
		"a line":           "catalog:1/1\r\nX: y",
		"too long":         strings.Repeat("a", 513),
		"too many":         "a:1/1.b:1/1.c:1/1.d:1/1.e:1/1.f:1/1.g:1/1.h:1/1.i:1/1.j:1/1.k:1/1.l:1/1.m:1/1.n:1/1.o:1/1.p:1/1.q:1/1",
	} {
		token, err := consistency.Parse(text)
		if err == nil {
			t.Errorf("%s: %q is read as %q", name, text, token)
		} else if !strings.HasPrefix(err.Error(), "Souk-Consistency: ") {
			t.Errorf("%s: the error does not name the header: %v", name, err)
		}
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	at := func(timeline uint32, lsn uint64) consistency.Position {
		return consistency.Position{Timeline: timeline, LSN: lsn}
	}
	for _, c := range []struct {
		server, wrote consistency.Position
		covers        bool
	}{
		{at(1, 100), at(1, 100), true},
		{at(1, 99), at(1, 100), false},
		{at(2, 100), at(1, 100), true},  // promoted after the write
		{at(2, 99), at(1, 100), false},  // not there yet, or the write was lost
		{at(1, 900), at(2, 100), false}, // went another way than the new primary
		{at(1, 0), at(0, 0), true},
	} {
		if c.server.Covers(c.wrote) != c.covers {
			t.Errorf("%s covers %s: %v", c.server, c.wrote, !c.covers)
		}
	}
	a := consistency.Token{"catalog": at(1, 5), "order": at(2, 1)}
	merged := a.Merge(consistency.Token{"catalog": at(1, 7), "order": at(1, 9), "cart": at(1, 1)})
	if merged.String() != "cart:1/1.catalog:1/7.order:2/1" {
		t.Errorf("merged: %s", merged)
	}
	if a.String() != "catalog:1/5.order:2/1" {
		t.Errorf("a token was changed: %s", a)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	if _, ok := consistency.FromContext(t.Context()).Floor("catalog"); ok {
		t.Error("without a session a replica may answer")
	}
	ctx, s := consistency.Begin(t.Context(), consistency.Token{"catalog": {Timeline: 1, LSN: 10}})
	if consistency.FromContext(ctx) != s {
		t.Error("the session is not in its context")
	}
	floor := func(database, want string) {
		t.Helper()
		if at, ok := s.Floor(database); !ok || at.String() != want {
			t.Errorf("%s: %s, %v; want %s", database, at, ok, want)
		}
	}
	floor("catalog", "1/A")
	floor("order", "0/0")
	s.Gain(consistency.Token{"order": {Timeline: 1, LSN: 32}})
	floor("order", "1/20")
	s.Saw("catalog", consistency.Position{Timeline: 1, LSN: 11})
	floor("catalog", "1/B")
	if got := s.Token().String(); got != "catalog:1/A.order:1/20" {
		t.Errorf("the token is %s: what reads saw is not part of it", got)
	}
	if got := s.Gained().String(); got != "order:1/20" {
		t.Errorf("gained %s", got)
	}
	s.SawPrimary("catalog")
	if _, ok := s.Floor("catalog"); ok {
		t.Error("a replica may answer after the primary has")
	}
	s.Write("order")
	if _, ok := s.Floor("order"); ok || !s.Written("order") || s.Written("catalog") {
		t.Error("a replica may answer after a write")
	}
}

func FuzzToken(f *testing.F) {
	f.Add("catalog:1/16B.order:1/2A")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := consistency.Parse(text)
		if err != nil {
			return
		}
		again, err := consistency.Parse(token.String())
		if err != nil || again.String() != token.String() {
			t.Errorf("%q: %q, %v", token, again, err)
		}
	})
}
