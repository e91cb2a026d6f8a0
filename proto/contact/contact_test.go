package contact_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/proto/contact"
)

func TestEmail(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ada@example.com":                "ada@example.com",
		" ada@example.com\n":             "ada@example.com",
		"Ada.Lovelace+souk@EXAMPLE.com":  "Ada.Lovelace+souk@example.com",
		"o'brien@example.co.uk":          "o'brien@example.co.uk",
		"ada@exämple.de":                 "ada@exämple.de",
		"ada@EXÄMPLE.de":                 "ada@exämple.de",
		"ada@xn--exmple-cua.de":          "ada@exämple.de",
		"ada@exa\u0308mple.de":           "ada@exämple.de",
		"用户@例子.广告":                       "用户@例子.广告",
		"пример@почта.рф":                "пример@почта.рф",
		"ada@straße.de":                  "ada@straße.de",
		strings.Repeat("a", 64) + "@a.b": strings.Repeat("a", 64) + "@a.b",
	} {
		if got, detail := contact.Email(in); got != want || detail != "" {
			t.Errorf("%q: got %q, %q", in, got, detail)
		}
	}
}

func TestEmailRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                 "needed",
		" ":                                "needed",
		"ada":                              "has an @",
		"ada@":                             "no domain",
		"@example.com":                     "before the @ is missing",
		"ada@localhost":                    "no dot",
		"ada@example.com.":                 "no domain",
		"ada@.com":                         "no domain",
		"ada@example..com":                 "no domain",
		"ada@-example.com":                 "no domain",
		"ada@exa_mple.com":                 "no domain",
		"ada@exam ple.com":                 "no domain",
		"ada@192.0.2.1":                    "no domain",
		"ada@[192.0.2.1]":                  "no domain",
		"ada@example.123":                  "no domain",
		"ada@xn--a.com":                    "no domain",
		"a b@example.com":                  "a space",
		"a\u00a0b@example.com":             "a space",
		"ada@home@example.com":             "do not have: @",
		`"ada"@example.com`:                `do not have: "`,
		"Ada <ada@example.com>":            "do not have: a space",
		".ada@example.com":                 "a dot too many",
		"ada.@example.com":                 "a dot too many",
		"a..b@example.com":                 "a dot too many",
		"ada\r\nBcc: eve@example.com":      "control",
		"ada@example.com\x00":              "control",
		"\u202eada@example.com":            "control",
		"ada@\xff.com":                     "control",
		strings.Repeat("a", 65) + "@a.b":   "longer than 64",
		strings.Repeat("é", 33) + "@a.b":   "longer than 64",
		"ada@" + strings.Repeat("a.", 200): "no domain",
		"ada@" + strings.Repeat("a", 64) + ".com":                        "no domain",
		strings.Repeat("a", 60) + "@" + strings.Repeat("a.", 99) + "com": "at most 254",
	} {
		if got, detail := contact.Email(in); !strings.Contains(detail, want) {
			t.Errorf("%q: got %q, %q, want %q", in, got, detail, want)
		}
	}
}

// TestEmailStays: the normal form is one.
func TestEmailStays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringMatching(`[A-Za-zäß.用]{1,9}@[A-Za-zäßÀ用]{1,9}\.[A-Za-zé]{1,5}`).Draw(t, "address")
		once, detail := contact.Email(in)
		if detail != "" {
			return
		}
		if twice, detail := contact.Email(once); twice != once || detail != "" || len(once) > contact.MaxEmail {
			t.Fatalf("%q: %q, then %q, %q", in, once, twice, detail)
		}
	})
}

var london = contact.Address{Name: "Ada Lovelace", Line1: "12 St James's Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"}

func with(change func(*contact.Address)) contact.Address {
	a := london
	change(&a)
	return a
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[contact.Address]contact.Address{
		london: london,
		with(func(a *contact.Address) { a.PostalCode = " sw1y  4jh" }):                                            london,
		with(func(a *contact.Address) { a.Name, a.Line2 = " Ada Lovelace\t", "\n" }):                              london,
		with(func(a *contact.Address) { a.Region = "Westminster" }):                                               with(func(a *contact.Address) { a.Region = "Westminster" }),
		with(func(a *contact.Address) { a.City = "Bad Du\u0308ben" }):                                             with(func(a *contact.Address) { a.City = "Bad Düben" }),
		{Name: "A", Line1: "1 Main St", City: "Austin", Region: "texas", PostalCode: "73301-0001", Country: "US"}: {Name: "A", Line1: "1 Main St", City: "Austin", Region: "TX", PostalCode: "73301-0001", Country: "US"},
		{Name: "花子", Line1: "1-1", Region: "Tokyo", PostalCode: "100-0001", Country: "JP"}:                        {Name: "花子", Line1: "1-1", Region: "東京都", PostalCode: "100-0001", Country: "JP"},
		{Name: "B", Line1: "Gasse 1", City: "Zürich", PostalCode: "CH-8001", Country: "CH"}:                       {Name: "B", Line1: "Gasse 1", City: "Zürich", PostalCode: "8001", Country: "CH"},
		{Name: "C", Line1: "1 Orchard Road", PostalCode: "238801", Country: "SG"}:                                 {Name: "C", Line1: "1 Orchard Road", PostalCode: "238801", Country: "SG"},
		{Name: "D", Line1: "1 Main St", City: "Dublin", Country: "IE"}:                                            {Name: "D", Line1: "1 Main St", City: "Dublin", Country: "IE"},
		{Name: "E", Line1: "Rr. 1", City: "Prishtina", Country: "XK"}:                                             {Name: "E", Line1: "Rr. 1", City: "Prishtina", Country: "XK"},
		{Name: "F", Line1: "Lofoten 1", City: "Bodø", PostalCode: "8006", Country: "NO"}:                          {Name: "F", Line1: "Lofoten 1", City: "Bodø", PostalCode: "8006", Country: "NO"},
	} {
		if got, problems := in.Check(); got != want || problems != nil {
			t.Errorf("%+v: got %+v, %v", in, got, problems)
		}
	}
}

func TestAddressRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field, detail string
		address       contact.Address
	}{
		{"name", "needed", with(func(a *contact.Address) { a.Name = "\u00a0" })},
		{"name", "control", with(func(a *contact.Address) { a.Name = "Ada\nLovelace" })},
		{"name", "control", with(func(a *contact.Address) { a.Name = "Ada\x00" })},
		{"name", "control", with(func(a *contact.Address) { a.Name = "Ada\u202eecalevoL" })},
		{"name", "UTF-8", with(func(a *contact.Address) { a.Name = "\xff" })},
		{"name", "longer than 100", with(func(a *contact.Address) { a.Name = strings.Repeat("é", 101) })},
		{"line1", "needed", with(func(a *contact.Address) { a.Line1 = "" })},
		{"line1", "longer than 200", with(func(a *contact.Address) { a.Line1 = strings.Repeat("x", 201) })},
		{"line2", "longer than 200", with(func(a *contact.Address) { a.Line2 = strings.Repeat("x", 201) })},
		{"city", "Addresses in the United Kingdom need a town.", with(func(a *contact.Address) { a.City = "" })},
		{"postal_code", "Addresses in the United Kingdom need a postal code, such as EC1Y 8SY.", with(func(a *contact.Address) { a.PostalCode = "" })},
		{"postal_code", "This is no postal code of the United Kingdom, such as", with(func(a *contact.Address) { a.PostalCode = "12345" })},
		{"postal_code", "longer than 20", with(func(a *contact.Address) { a.PostalCode = strings.Repeat("1", 21) })},
		{"region", "longer than 100", with(func(a *contact.Address) { a.Region = strings.Repeat("x", 101) })},
		{"region", "need a state, such as AL for Alabama", contact.Address{Name: "A", Line1: "1", City: "Austin", PostalCode: "73301", Country: "US"}},
		{"region", "This is no state of the United States", contact.Address{Name: "A", Line1: "1", City: "Austin", Region: "Bavaria", PostalCode: "73301", Country: "US"}},
		{"postal_code", "ZIP code of the United States, such as 95014", contact.Address{Name: "A", Line1: "1", City: "Austin", Region: "TX", PostalCode: "7330", Country: "US"}},
		{"country", "needed", with(func(a *contact.Address) { a.Country = "" })},
		{"country", "for example, is GB", with(func(a *contact.Address) { a.Country = "UK" })},
		{"country", "no country", with(func(a *contact.Address) { a.Country = "ZZ" })},
		{"country", "no country", with(func(a *contact.Address) { a.Country = "gb" })},
		{"country", "two capital letters", with(func(a *contact.Address) { a.Country = "GBR" })},
	} {
		_, problems := c.address.Check()
		if len(problems) != 1 || problems[0].Field != c.field || !strings.Contains(problems[0].Detail, c.detail) {
			t.Errorf("%s, %s: got %v", c.field, c.detail, problems)
		}
	}
	if _, problems := (contact.Address{}).Check(); len(problems) != 3 { // name, line1, country: no country, no more rules
		t.Errorf("got %v", problems)
	}
}

// TestCountries: each country of the table takes its own examples and refuses to miss
// what it needs.
func TestCountries(t *testing.T) {
	t.Parallel()
	all := contact.Countries()
	if len(all) != 250 {
		t.Errorf("%d countries, want the 249 of ISO 3166-1 and XK", len(all))
	}
	for _, c := range all {
		found, ok := contact.Lookup(c.Code)
		if !ok || found != c || c.Name == "" || c.Name == c.Code {
			t.Errorf("%s: %q", c.Code, c.Name)
		}
		a := contact.Address{Name: "A", Line1: "1", City: "B", Region: "C", Country: c.Code}
		if len(c.Regions) > 0 {
			a.Region = c.Regions[0].Name
		}
		if c.PostalCodes == nil {
			c.PostalCodes = []string{""}
		}
		for _, code := range c.PostalCodes {
			a.PostalCode = code
			got, problems := a.Check()
			if problems != nil {
				t.Errorf("%s %q: %v", c.Code, code, problems)
			}
			if again, problems := got.Check(); again != got || problems != nil {
				t.Errorf("%s: %+v, then %+v, %v", c.Code, got, again, problems)
			}
			if len(c.Regions) > 0 && got.Region != c.Regions[0].Key {
				t.Errorf("%s: region %q", c.Code, got.Region)
			}
			if utf8.RuneCountInString(got.Region) > contact.MaxRegion {
				t.Errorf("%s: %q is too long", c.Code, got.Region)
			}
		}
	}
	byName := func(a, b *contact.Country) int { return strings.Compare(a.Name[:1], b.Name[:1]) }
	if _, ok := slices.BinarySearchFunc(all, &contact.Country{Name: "Japan"}, byName); !ok {
		t.Error("not sorted by name")
	}
}
