package domain_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

func TestCursor(t *testing.T) {
	t.Parallel()
	c := domain.Cursors{Key: []byte("key")}
	low, high := int64(1), int64(2)
	l := domain.Listing{Filter: domain.Filter{Query: "jam", MinPrice: &low}, Sort: domain.SortName, Size: 5}
	p := &domain.Position{Match: domain.MatchClose, Key: -3, Text: "ä\"<", ID: "01900000-0000-7000-8000-000000000000"}
	text := c.Encode(l, p)
	l.Size, l.Facets = 7, true // neither is part of what is listed
	got, err := c.Decode(l, text)
	if err != nil || *got != *p {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := c.Decode(l, ""); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if c.Encode(l, nil) != "" {
		t.Error("no position has a cursor")
	}
	others := []domain.Listing{
		{Filter: l.Filter, Sort: domain.SortNewest},
		{Filter: domain.Filter{Query: "jams", MinPrice: &low}, Sort: l.Sort},
		{Filter: domain.Filter{Query: "jam", MinPrice: &high}, Sort: l.Sort},
		{Filter: domain.Filter{Query: "jam", MaxPrice: &low}, Sort: l.Sort},
		{Filter: domain.Filter{Query: "jam", MinPrice: &low, InStock: true}, Sort: l.Sort},
		{Filter: domain.Filter{Query: "jam", MinPrice: &low, Category: "c"}, Sort: l.Sort},
	}
	for _, other := range others {
		if _, err := c.Decode(other, text); !errors.Is(err, domain.ErrInvalidCursor) {
			t.Errorf("accepted for %+v: %v", other, err)
		}
	}
	if _, err := (domain.Cursors{Key: []byte("other")}).Decode(l, text); !errors.Is(err, domain.ErrInvalidCursor) {
		t.Error("accepted under another key")
	}
	longest := c.Encode(l, &domain.Position{Match: domain.MatchWords, Key: -1 << 62, Text: strings.Repeat("<", 100), ID: strings.Repeat("x", 36)})
	if len(longest) > 1000 {
		t.Errorf("a cursor of %d characters", len(longest))
	}
}

func TestForgedCursor(t *testing.T) {
	t.Parallel()
	c := domain.Cursors{Key: []byte("key")}
	l := domain.Listing{Sort: domain.SortPopularity}
	good := c.Encode(l, &domain.Position{Match: domain.MatchAll, Key: 7, ID: "01900000-0000-7000-8000-000000000000"})
	raw, _ := base64.RawURLEncoding.DecodeString(good)
	for i := range raw {
		changed := append([]byte(nil), raw...)
		changed[i] ^= 1
		if _, err := c.Decode(l, base64.RawURLEncoding.EncodeToString(changed)); !errors.Is(err, domain.ErrInvalidCursor) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "cursor")
		if p, err := c.Decode(l, text); text != "" && !errors.Is(err, domain.ErrInvalidCursor) {
			t.Fatalf("%q is accepted: %+v", text, p)
		}
	})
}

// FuzzCursor: every place that a listing can have comes back from its cursor,
// and nothing else is taken for one, though the key is known.
func FuzzCursor(f *testing.F) {
	const id = "01900000-0000-7000-8000-000000000000"
	f.Add("", int8(domain.SortName), "all", int64(0), "jam", id, "")
	f.Add("jam", int8(domain.SortRelevance), "words", int64(-1)<<63, "", id, "AAAA")
	f.Add("jam", int8(domain.SortPopularity), "close", int64(7), "\x00", "42", "%%%")
	f.Add("jam", int8(0), "all", int64(7), "\xff", strings.ToUpper("0190000a-0000-7000-8000-000000000000"), strings.Repeat("A", 100))
	c := domain.Cursors{Key: []byte("souk catalog cursor")}
	f.Fuzz(func(t *testing.T, query string, sort int8, match string, key int64, text, id, cursor string) {
		l := domain.Listing{Filter: domain.Filter{Query: query}, Sort: domain.Sort(sort)}
		if p, err := c.Decode(l, cursor); err != nil && !errors.Is(err, domain.ErrInvalidCursor) {
			t.Errorf("%q: %v", cursor, err)
		} else if p != nil && c.Encode(l, p) != cursor {
			t.Errorf("%q is a cursor, and %+v has %q", cursor, p, c.Encode(l, p))
		}
		p := domain.Position{Match: domain.Match(match), Key: key, Text: text, ID: id}
		got, err := c.Decode(l, c.Encode(l, &p))
		storable := domain.CheckText("text", text) == nil
		switch {
		case err == nil && *got != p && storable:
			t.Errorf("%+v came back as %+v", p, *got)
		case err == nil && (len(got.ID) != 36 || strings.Trim(got.ID, "0123456789abcdef-") != "" || domain.CheckText("text", got.Text) != nil ||
			(got.Match == domain.MatchAll) != (query == "")):
			t.Errorf("%+v is taken for a place of %+v", *got, l)
		case err != nil && !errors.Is(err, domain.ErrInvalidCursor):
			t.Errorf("%+v: %v", p, err)
		}
	})
}
