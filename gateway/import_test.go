package gateway

import (
	"fmt"
	"strings"
	"testing"
)

const csvHeader = "code,sku,name,variant,description,category,category_name,price,currency,stock,popularity\n"

func row(sku string) string {
	return sku + "," + sku + ",Name,,,lighting,Lighting,2.95,GBP,5,1\n"
}

func TestImport(t *testing.T) {
	t.Parallel()
	s := start(t)
	const csvType = header("Content-Type: text/csv; charset=utf-8")
	for name, body := range map[string]string{
		"plain":          csvHeader + row("NEW1") + row("NEW2"),
		"BOM and CRLF":   "\xef\xbb\xbf" + strings.ReplaceAll(csvHeader+row("NEW1")+row("NEW2"), "\n", "\r\n"),
		"other order":    "price,currency,SKU,code, name ,category\n1.00,GBP,NEW1,NEW1,Name,lighting\n1.00,GBP,NEW2,NEW2,\"A \"\"quoted\"\", name\",lighting\n",
		"no final line":  strings.TrimSuffix(csvHeader+row("NEW1")+row("NEW2"), "\n"),
		"blank lines":    csvHeader + "\n" + row("NEW1") + "\n\n" + row("NEW2"),
		"several lines":  csvHeader + "NEW1,NEW1,\"Two\nlines\",,,lighting,,1.00,GBP,,\n" + row("NEW2"),
		"yen, no stock":  csvHeader + "NEW1,NEW1,Name,,,lighting,,295,JPY,,\nNEW2,NEW2,Name,,,lighting,,1,JPY,,\n",
		"rows of commas": csvHeader + row("NEW1") + ",,,,,,,,,,\n" + row("NEW2") + " , ,,,,,,,,,\n,,,\n,,,,,,,,,,\n",
		"semicolons":     strings.ReplaceAll(csvHeader+"NEW1,NEW1,Name,,,lighting,,2.95,GBP,,\n"+row("NEW2"), ",", ";"),
		"decimal commas": strings.ReplaceAll(csvHeader+"NEW1,NEW1,Name,,,lighting,,2_95,GBP,,\n"+row("NEW2"), ",", ";"),
		"tabs":           "\xef\xbb\xbf" + strings.ReplaceAll(csvHeader+row("NEW1")+row("NEW2"), ",", "\t"),
		"sep=":           "sep=;\r\n" + strings.ReplaceAll(csvHeader+row("NEW1")+row("NEW2"), ",", ";"),
		"three variants": csvHeader + "NEW1,A,Name,Red,,lighting,,1.00,GBP,,\n" + row("NEW2") + "NEW1,B,,Blue,,,,1.00,GBP,,\nNEW1,C,Name,Green,,lighting,,1.00,GBP,,\n",
	} {
		s.catalog.mu.Lock()
		s.catalog.products = s.catalog.products[:30]
		s.catalog.mu.Unlock()
		a := s.want(200, "POST", "/v1/products/import", strings.ReplaceAll(body, "2_95", "2,95"), asOperator, csvType)
		if !strings.Contains(string(a.body), `"created":2`) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	p := s.refuses(409, "sku-taken", "POST", "/v1/products/import", "sep=,\n"+csvHeader+row("NEW3")+row("TAKEN"), asOperator, csvType)
	if len(p.Errors) != 1 || p.Errors[0].Field != "line 4" || !strings.Contains(p.Errors[0].Detail, "TAKEN") {
		t.Errorf("errors: %+v", p.Errors)
	}
	p = s.refuses(409, "code-taken", "POST", "/v1/products/import", csvHeader+row("NEW3")+row("TAKEN-CODE"), asOperator, csvType)
	if len(p.Errors) != 1 || p.Errors[0].Field != "line 3" || !strings.Contains(p.Errors[0].Detail, "TAKEN-CODE") {
		t.Errorf("errors: %+v", p.Errors)
	}
}

func TestBadImports(t *testing.T) {
	t.Parallel()
	s := start(t)
	good := csvHeader + row("NEW1")
	many := csvHeader
	for i := range 50 {
		many += fmt.Sprintf("M%d,M%d,Name,,,lighting,,-1,GBP,,\n", i, i)
	}
	for _, tc := range []struct {
		name, body  string
		line, about string // of the first error
		errors      int
	}{
		{"empty", "\n", "line 1", "empty", 1},
		{"JSON", `{"products":[]}`, "line 1", "not CSV", 1},
		{"picture", "\x89PNG\r\n\x1a\n\x00\x00", "line 1", "not a CSV", 1},
		{"HTML", "<html><body>Not found</body></html>", "line 1", "not a CSV", 1},
		{"only a header", csvHeader, "line 2", "no products", 1},
		{"no header", row("NEW1"), "line 1", "not a CSV", 1},
		{"missing column", "code,sku,name,category,currency\n", "line 1", `lacks the column "price"`, 1},
		{"unknown column", "code,sku,name,category,price,currency,colour\n", "line 1", `unknown column "colour"`, 1},
		{"column twice", "code,sku,name,category,price,currency,price\n", "line 1", "twice", 1},
		{"semicolons", strings.ReplaceAll(good, ",", ";") + "NEW2;NEW2\n", "line 3", "2 columns", 1},
		{"decimal comma with commas", csvHeader + "A,A,Name,,,lighting,,\"2,95\",GBP,,\n", "line 2", "price must be a decimal", 1},
		{"thousands", strings.ReplaceAll(csvHeader, ",", ";") + "A;A;Name;;;lighting;;1,234;GBP;;\n", "line 2", "price must be a decimal", 1},
		{"bars", strings.ReplaceAll(good, ",", "|"), "line 1", "between commas, semicolons or tabs", 1},
		{"after sep", "sep=;\n" + strings.ReplaceAll(csvHeader, ",", ";") + "a b;A;Name;;;lighting;;2.95;GBP;;\n", "line 3", "code must be", 1},
		{"too few cells", good + "NEW2,NEW2\n", "line 3", "2 columns", 1},
		{"stray quote", good + "NEW2,NEW2,Na\"me,,,lighting,,1.00,GBP,,\n", "line 3", "not CSV", 1},
		{"open quote", good + "NEW2,NEW2,\"Name,,,lighting,,1.00,GBP,,\n", "line 3", "not CSV", 1},
		{"Latin-1", good + "NEW2,NEW2,Caf\xe9,,,lighting,,1.00,GBP,,\n", "line 3", "not UTF-8", 1},
		{"UTF-16", "\xff\xfec\x00o\x00d\x00e\x00", "line 1", "not a CSV", 1},
		{"NUL", good + "NEW2,NEW2,Na\x00me,,,lighting,,1.00,GBP,,\n", "line 3", "name must be text", 1},
		{"negative price", csvHeader + "A,A,Name,,,lighting,,-2.95,GBP,,\n", "line 2", "price must be greater than zero", 1},
		{"zero price", csvHeader + "A,A,Name,,,lighting,,0.00,GBP,,\n", "line 2", "price must be greater than zero", 1},
		{"price text", csvHeader + "A,A,Name,,,lighting,,cheap,GBP,,\n", "line 2", "price must be a decimal", 1},
		{"price fractions", csvHeader + "A,A,Name,,,lighting,,2.955,GBP,,\n", "line 2", "price must be a decimal", 1},
		{"price huge", csvHeader + "A,A,Name,,,lighting,,99999999999999999999,GBP,,\n", "line 2", "price must be a decimal", 1},
		{"currency", csvHeader + "A,A,Name,,,lighting,,2.95,pounds,,\n", "line 2", "price must be a decimal", 1},
		{"negative stock", csvHeader + "A,A,Name,,,lighting,,2.95,GBP,-1,\n", "line 2", "stock must be", 1},
		{"stock 1.5", csvHeader + "A,A,Name,,,lighting,,2.95,GBP,1.5,\n", "line 2", "stock must be", 1},
		{"code", csvHeader + "a b,A,Name,,,lighting,,2.95,GBP,,\n", "line 2", "code must be", 1},
		{"name missing", csvHeader + "A,A,,,,lighting,,2.95,GBP,,\n", "line 2", "name must not be empty", 1},
		{"category", csvHeader + "A,A,Name,,,Big Things,,2.95,GBP,,\n", "line 2", "category must be", 1},
		{"sku twice", good + row("NEW1"), "line 3", "SKU \"NEW1\" of line 2", 1},
		{"code of another product", csvHeader + "LAMP,LAMP-S,Lamp,,,lighting,,2.95,GBP,,\nLAMP,LAMP-L,,,,,,3.95,GBP,,\nBULB,LAMP,Bulb,,,lighting,,2.95,GBP,,\n", "line 4", `sku "LAMP" names the product "LAMP" of line 2`, 1},
		{"SKU of another product", csvHeader + "BULB,LAMP,Bulb,,,lighting,,2.95,GBP,,\nLAMP,LAMP-S,Lamp,,,lighting,,2.95,GBP,,\n", "line 3", `code "LAMP" names the product "BULB" of line 2`, 1},
		{"lower case", csvHeader + "lamp,LAMP,Lamp,,,lighting,,2.95,GBP,,\n", "line 2", `code must be 1 to 64 characters of A-Z`, 1},
		{"full width", csvHeader + "LAMP,ＬＡＭＰ,Lamp,,,lighting,,2.95,GBP,,\n", "line 2", `sku must be 1 to 64 characters of A-Z`, 1},
		{"contradiction", good + "NEW1,NEW9,Other,,,lighting,,2.95,GBP,,\n", "line 3", "differs from line 2", 1},
		{"many", many, "line 2", "price", 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sub := sub(s, t)
			p := sub.refuses(400, "invalid-csv", "POST", "/v1/products/import", tc.body, asOperator, "Content-Type: text/csv")
			if len(p.Errors) != tc.errors || p.Errors[0].Field != tc.line || !strings.Contains(p.Errors[0].Detail, tc.about) {
				t.Errorf("errors: %+v", p.Errors)
			}
		})
	}
	big := csvHeader + strings.Repeat(row("NEW1"), 16<<20/len(row("NEW1"))+1)
	s.refuses(413, "content-too-large", "POST", "/v1/products/import", big, asOperator, "Content-Type: text/csv")
	if s.catalog.upserts != 0 || len(s.catalog.products) != 30 {
		t.Error("something was changed")
	}
}
