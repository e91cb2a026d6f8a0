package edge

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// browserPolicy are the words of a policy for browsers.
var browserPolicy = regexp.MustCompile(`http\.Cookie\{|http\.SetCookie|default-src|SameSite|"(Referrer-Policy|Strict-Transport-Security|X-Frame-Options)"`)

// The policy for browsers stands in policy.go and nowhere else in the gateway.
func TestPolicyIsInOnePlace(t *testing.T) {
	t.Parallel()
	found := 0
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		if browserPolicy.Match(source) {
			if found++; path != "internal/edge/policy.go" {
				t.Errorf("%s has a policy for browsers: %s", path, browserPolicy.Find(source))
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d files with a policy, %v", found, err)
	}
}

// A cookie is Secure wherever the shop is reached by HTTPS, and hidden from scripts
// unless it is for them.
func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy       BrowserPolicy
		url          string
		cookie       Cookie
		secure, http bool
	}{
		{BrowserPolicy{}, "http://shop.example/", Cookie{Name: "a"}, false, true},
		{BrowserPolicy{}, "https://shop.example/", Cookie{Name: "a"}, true, true},
		{BrowserPolicy{HTTPSOnly: true}, "http://shop.example/", Cookie{Name: "a", Scripts: true}, true, false},
	} {
		w := httptest.NewRecorder()
		tc.policy.SetCookie(w, httptest.NewRequest("POST", tc.url, nil), tc.cookie)
		c := w.Result().Cookies()[0]
		if c.Secure != tc.secure || c.HttpOnly != tc.http || c.Path != "/" || !strings.Contains(w.Header().Get("Set-Cookie"), "SameSite=Lax") {
			t.Errorf("%+v at %s: %s", tc.policy, tc.url, w.Header().Get("Set-Cookie"))
		}
	}
}
