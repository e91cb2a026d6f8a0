package sbom

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are the licenses that a program under Apache-2.0 may be shipped with, by
// their SPDX identifiers: they ask for their text and notices, which are shipped, too.
var allowed = []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "CC0-1.0", "Unlicense", "MIT-0", "MPL-2.0", publicDomain}

// publicDomain is what has no identifier in SPDX's list.
const publicDomain = "LicenseRef-Public-Domain"

// declared are the licenses of modules whose files are in no known words.
var declared = map[string]string{
	"github.com/xi2/xz": publicDomain, // "This package ... has been put into the public domain."
}

// covered is the share of a file, in percent of its words, that must be text of
// known licenses for the file to count as one.
const covered = 75

// legal is what a module says of its license.
type legal struct {
	ids   []string
	texts []string // of its files of licenses and notices
}

// legalOf reads the files of a module in the module cache. It fails if no license is
// there, or one that is not allowed.
func legalOf(module, version string) (l legal, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("license of %s: %w", module, err)
		}
	}()
	dir, err := folder(module, version)
	if err != nil {
		return l, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, err
	}
	for _, e := range entries {
		notice, license := named(e.Name(), "NOTICE"), named(e.Name(), "LICENSE", "LICENCE", "COPYING", "UNLICENSE") //nolint:misspell // the name of a file
		if !e.Type().IsRegular() || !notice && !license {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return l, err
		}
		l.texts = append(l.texts, strings.TrimSpace(string(text)))
		scanned := licensecheck.Scan(text)
		if !license || scanned.Percent < covered {
			continue
		}
		for _, match := range scanned.Match {
			l.ids = append(l.ids, match.ID)
		}
	}
	if id := declared[module]; id != "" {
		l.ids = append(l.ids, id)
	}
	slices.Sort(l.ids)
	l.ids = slices.Compact(l.ids)
	if len(l.ids) == 0 {
		return l, fmt.Errorf("none was recognized in %s", dir)
	}
	for _, id := range l.ids {
		if !slices.Contains(allowed, id) {
			return l, fmt.Errorf("%s is not among those that the shop may be shipped with: %s", id, strings.Join(allowed, ", "))
		}
	}
	return l, nil
}

// named reports whether a file has one of the names, with or without an ending.
func named(file string, names ...string) bool {
	base := strings.FieldsFunc(strings.ToUpper(file), func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	return len(base) > 0 && slices.Contains(names, base[0]) && base[len(base)-1] != "GO"
}

// folder returns where the module cache has a module; it is downloaded if it has not.
func folder(module, version string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	var is struct{ Dir, Error string }
	if bad := json.Unmarshal(out, &is); bad == nil && is.Error != "" {
		err = errors.New(is.Error)
	}
	if err != nil {
		return "", fmt.Errorf("go mod download: %w", err)
	}
	return is.Dir, nil
}
