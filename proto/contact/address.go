package contact

import (
	"strings"
)

// Address is where goods go.
type Address struct {
	// Name is who receives.
	Name string `json:"name"`
	// Line1 is street and number, Line2 anything more.
	Line1 string `json:"line1"`
	Line2 string `json:"line2,omitempty"`
	// City is the town; needed where the country's addresses have one.
	City string `json:"city,omitempty"`
	// Region is the state, province, prefecture or county; needed where mail is sorted
	// by it.
	Region string `json:"region,omitempty"`
	// PostalCode is needed in most countries.
	PostalCode string `json:"postal_code,omitempty"`
	// Country is a code of ISO 3166-1 alpha-2 in upper case, or XK for Kosovo.
	Country string `json:"country"`
}

// Check returns the address in normal form and what is wrong with it, in the order of
// the fields; nothing is if there are no problems. Which fields a country needs, and
// the form of its postal codes and regions, is what libaddressinput knows of it.
func (a Address) Check() (Address, []Problem) {
	var problems []Problem
	add := func(field, detail string) {
		problems = append(problems, Problem{field, detail})
	}
	country, known := Lookup(clean(a.Country))
	needs := func(letter string) bool { return known && strings.Contains(country.required, letter) }
	text := func(field string, s *string, most int, missing string) bool {
		*s = clean(*s)
		switch wrong := textProblem(*s, most); {
		case wrong != "":
			add(field, wrong)
		case *s == "" && missing != "":
			add(field, missing)
		default:
			return *s != ""
		}
		return false
	}
	where := "Addresses in " + country.inText() + " need "

	text("name", &a.Name, MaxName, "A name is needed: who receives the goods?")
	text("line1", &a.Line1, MaxLine, "A street and number is needed.")
	text("line2", &a.Line2, MaxLine, "")

	missing := ""
	if needs("C") {
		missing = where + "a town."
	}
	text("city", &a.City, MaxCity, missing)

	missing = ""
	if needs("S") {
		missing = where + article(country.RegionName) + country.regionExample() + "."
	}
	if text("region", &a.Region, MaxRegion, missing) && known {
		if key, ok := country.region(a.Region); ok {
			a.Region = key
		} else if needs("S") && len(country.Regions) > 0 {
			add("region", "This is no "+country.RegionName+" of "+country.inText()+country.regionExample()+".")
		}
	}

	missing = ""
	if needs("Z") {
		missing = where + article(country.PostalCodeName) + country.postalExample() + "."
	}
	if text("postal_code", &a.PostalCode, MaxPostalCode, missing) && known {
		code := strings.ToUpper(strings.Join(strings.Fields(a.PostalCode), " "))
		if short := strings.TrimSpace(strings.TrimPrefix(code, country.postalPrefix)); country.postalCode(short) {
			a.PostalCode = short
		} else if country.postalCode(code) {
			a.PostalCode = code
		} else {
			add("postal_code", "This is no "+country.PostalCodeName+" of "+country.inText()+country.postalExample()+".")
		}
	}

	switch a.Country = clean(a.Country); {
	case a.Country == "":
		add("country", "A country is needed.")
	case !known && len(a.Country) == 2:
		add("country", "There is no country with this code. The United Kingdom, for example, is GB.")
	case !known:
		add("country", "A country is two capital letters, such as GB (ISO 3166-1).")
	}
	return a, problems
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeio") {
		return "an " + noun
	}
	return "a " + noun
}
