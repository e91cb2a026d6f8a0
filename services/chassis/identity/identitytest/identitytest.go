// Package identitytest gives tests certificates.
package identitytest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Authority is a new authority for a test.
func Authority(tb testing.TB) *authority.Authority {
	tb.Helper()
	a, err := authority.New(time.Now().Add(24 * time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// Issue makes a certificate of a part that is valid for an hour from now.
func Issue(tb testing.TB, a *authority.Authority, part string) []byte {
	tb.Helper()
	text, err := a.Issue(part, time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Files writes a certificate and authorities, and returns where they are.
func Files(tb testing.TB, certificate []byte, authorities ...*authority.Authority) identity.Config {
	tb.Helper()
	dir := tb.TempDir()
	cfg := identity.Config{TLSCert: filepath.Join(dir, "certificate.pem"), TLSCA: filepath.Join(dir, "authorities.pem")}
	cfg.TLSKey = cfg.TLSCert
	Write(tb, cfg.TLSCert, certificate)
	Write(tb, cfg.TLSCA, Bundle(authorities...))
	return cfg
}

// Bundle is the authorities' certificates as one text.
func Bundle(authorities ...*authority.Authority) []byte {
	var out []byte
	for _, a := range authorities {
		out = append(out, a.Certificate()...)
	}
	return out
}

// Write replaces a file at once.
func Write(tb testing.TB, path string, text []byte) {
	tb.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

// Open is the identity of a part with a certificate of the authority.
func Open(tb testing.TB, a *authority.Authority, part string) *identity.Identity {
	tb.Helper()
	id, err := identity.Open(part, Files(tb, Issue(tb, a, part), a), telemetry.Discard())
	if err != nil {
		tb.Fatal(err)
	}
	return id
}
