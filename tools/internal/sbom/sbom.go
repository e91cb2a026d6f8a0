// Package sbom says what a program of the shop is made of: the modules that the Go
// linker recorded in it, with their versions, checksums and licenses, as a CycloneDX
// 1.6 document (ECMA-424), and the texts of those licenses.
package sbom

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// own begins the paths of the shop's own modules, and license is theirs.
const (
	own     = "github.com/souk-shop/souk/"
	license = "Apache-2.0"
)

// Document is a program's.
type Document struct {
	// BOM is the bill of materials, JSON.
	BOM []byte
	// Licenses are the texts that the licenses of the modules ask to be shipped.
	Licenses []byte
}

// Of returns the document of a program. Modules whose license is not known or not
// allowed are the error. The same program gives the same bytes.
func Of(file string) (*Document, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var texts bytes.Buffer
	var components []cdx.Component
	var unclear []error
	golang := strings.TrimPrefix(info.GoVersion, "go")
	components = append(components, component("std", golang, "@"+golang, "BSD-3-Clause"))
	for _, m := range slices.SortedFunc(slices.Values(info.Deps), func(a, b *debug.Module) int { return cmp.Compare(a.Path, b.Path) }) {
		if strings.HasPrefix(m.Path, own) {
			components = append(components, component(m.Path, "", "", license))
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		terms, err := legalOf(m.Path, m.Version)
		if err != nil {
			unclear = append(unclear, err)
		}
		c := component(m.Path, m.Version, "@"+m.Version, terms.ids...)
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) > 0 {
			// That of go.sum, over all files of the module.
			c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
		}
		components = append(components, c)
		fmt.Fprintf(&texts, "======== %s %s\n\n%s\n\n", m.Path, m.Version, strings.Join(terms.texts, "\n\n"))
	}
	if len(unclear) > 0 {
		return nil, errors.Join(unclear...)
	}
	program := component(info.Path, "", "", license)
	program.Type, program.Name = cdx.ComponentTypeApplication, path.Base(info.Path)
	needs := make([]string, len(components))
	for i, c := range components {
		needs[i] = c.BOMRef
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &program}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &needs}}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, err
	}
	return &Document{BOM: out.Bytes(), Licenses: texts.Bytes()}, nil
}

func component(name, version, at string, licenses ...string) cdx.Component {
	purl := "pkg:golang/" + name + at
	var choices cdx.Licenses
	for _, id := range licenses {
		choices = append(choices, cdx.LicenseChoice{License: licenseOf(id)})
	}
	return cdx.Component{
		BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: purl, Licenses: &choices,
	}
}

// licenseOf names what is in SPDX's list by its identifier, as the format asks.
func licenseOf(id string) *cdx.License {
	if strings.HasPrefix(id, "LicenseRef-") {
		return &cdx.License{Name: strings.TrimPrefix(id, "LicenseRef-")}
	}
	return &cdx.License{ID: id}
}

// The endings of the files that Write makes of a program's name.
const (
	BOMFile      = ".cdx.json"
	LicensesFile = ".licenses.txt"
)

// Write writes the document of a program into files beside it.
func Write(program string) error {
	doc, err := Of(program)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	if err := os.WriteFile(program+BOMFile, doc.BOM, 0o644); err != nil {
		return err
	}
	return os.WriteFile(program+LicensesFile, doc.Licenses, 0o644)
}
