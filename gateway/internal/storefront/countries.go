package storefront

// countries are those the shop sends to, the home country first.
var countries = []country{
	{Code: "GB", Name: "United Kingdom"},
	{Code: "AU", Name: "Australia"}, {Code: "AT", Name: "Austria"}, {Code: "BH", Name: "Bahrain"}, {Code: "BE", Name: "Belgium"},
	{Code: "BR", Name: "Brazil"}, {Code: "CA", Name: "Canada"}, {Code: "CY", Name: "Cyprus"}, {Code: "CZ", Name: "Czechia"},
	{Code: "DK", Name: "Denmark"}, {Code: "FI", Name: "Finland"}, {Code: "FR", Name: "France"}, {Code: "DE", Name: "Germany"},
	{Code: "GR", Name: "Greece"}, {Code: "HK", Name: "Hong Kong"}, {Code: "IS", Name: "Iceland"}, {Code: "IE", Name: "Ireland"},
	{Code: "IL", Name: "Israel"}, {Code: "IT", Name: "Italy"}, {Code: "JP", Name: "Japan"}, {Code: "LB", Name: "Lebanon"},
	{Code: "LT", Name: "Lithuania"}, {Code: "MT", Name: "Malta"}, {Code: "NL", Name: "Netherlands"}, {Code: "NZ", Name: "New Zealand"},
	{Code: "NO", Name: "Norway"}, {Code: "PL", Name: "Poland"}, {Code: "PT", Name: "Portugal"}, {Code: "SA", Name: "Saudi Arabia"},
	{Code: "SG", Name: "Singapore"}, {Code: "ZA", Name: "South Africa"}, {Code: "ES", Name: "Spain"}, {Code: "SE", Name: "Sweden"},
	{Code: "CH", Name: "Switzerland"}, {Code: "AE", Name: "United Arab Emirates"}, {Code: "US", Name: "United States"},
}

func knownCountry(code string) bool { return countryName(code) != "" }

// countryName is what people call a country; empty for one we don't send to.
func countryName(code string) string {
	for _, n := range countries {
		if n.Code == code {
			return n.Name
		}
	}
	return ""
}
