package replay

import (
	"github.com/souk-shop/souk/proto/contact"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// countries maps the data set's country names to ISO 3166-1 alpha-2 codes.
// Names that are no country ("Unspecified", "European Community") and the
// unknown ship to the shop's own.
var countries = map[string]string{
	"Australia":            "AU",
	"Austria":              "AT",
	"Bahrain":              "BH",
	"Belgium":              "BE",
	"Brazil":               "BR",
	"Canada":               "CA",
	"Channel Islands":      "JE",
	"Cyprus":               "CY",
	"Czech Republic":       "CZ",
	"Denmark":              "DK",
	"EIRE":                 "IE",
	"Finland":              "FI",
	"France":               "FR",
	"Germany":              "DE",
	"Greece":               "GR",
	"Hong Kong":            "HK",
	"Iceland":              "IS",
	"Israel":               "IL",
	"Italy":                "IT",
	"Japan":                "JP",
	"Lebanon":              "LB",
	"Lithuania":            "LT",
	"Malta":                "MT",
	"Netherlands":          "NL",
	"Norway":               "NO",
	"Poland":               "PL",
	"Portugal":             "PT",
	"RSA":                  "ZA",
	"Saudi Arabia":         "SA",
	"Singapore":            "SG",
	"Spain":                "ES",
	"Sweden":               "SE",
	"Switzerland":          "CH",
	"USA":                  "US",
	"United Arab Emirates": "AE",
	"United Kingdom":       "GB",
}

// address is one that the country of an invoice could have: the data has none.
func address(name, country string) shopclient.Address {
	code, ok := countries[country]
	if !ok {
		code = "GB"
	}
	a := shopclient.Address{Name: name, Line1: "1 High Street", City: "Town", Country: code}
	if c, ok := contact.Lookup(code); ok {
		if len(c.PostalCodes) > 0 {
			a.PostalCode = c.PostalCodes[0]
		}
		if len(c.Regions) > 0 {
			a.Region = c.Regions[0].Key
		}
	}
	return a
}
