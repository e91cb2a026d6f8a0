// Package docstest compares the documents with the code: the tests that promises name, and the
// files that links lead to.
package docstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

var (
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	link     = regexp.MustCompile(`\]\(([^)\s#]+)[^)\s]*\)`)
	repoPath = regexp.MustCompile("`((?:services|gateway|tools|proto|helm|docs|k8s)/[A-Za-z0-9_./-]+)`")
	testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// TestReferences: each relative link, each path of the repository and each test
// that a document names exists.
func TestReferences(t *testing.T) {
	t.Parallel()
	tests := testsInCode(t)
	documents := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "docs/runbooks/*.md", "helm/souk/*.md", "k8s/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			documents++
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := string(source)
			for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(text, ""), -1) {
				if !strings.Contains(m[1], "://") && !exists(filepath.Join(filepath.Dir(file), m[1])) {
					t.Errorf("%s links to %s", file, m[1])
				}
			}
			for _, m := range repoPath.FindAllStringSubmatch(text, -1) {
				if !exists(filepath.Join(root, m[1])) {
					t.Errorf("%s names the path %s", file, m[1])
				}
			}
			for _, m := range testName.FindAllStringSubmatch(text, -1) {
				if !tests[m[1]] {
					t.Errorf("%s names the test %s", file, m[1])
				}
			}
		}
	}
	if documents < 15 {
		t.Errorf("only %d documents", documents)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// testsInCode returns the names of all tests and fuzz targets.
func testsInCode(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, module := range []string{"proto", "services", "gateway", "tools", "helm"} {
		err := filepath.WalkDir(filepath.Join(root, module), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range testFunc.FindAllSubmatch(source, -1) {
				names[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}
