package localshop

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/topology"
)

func openCerts(t *testing.T, dir string) *certificates {
	t.Helper()
	c, err := openCertificates(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// of is a part's certificate in a folder.
func of(t *testing.T, dir, part string) *x509.Certificate {
	t.Helper()
	files := Identity(dir, part)
	pair, err := tls.LoadX509KeyPair(files.TLSCert, files.TLSKey)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func TestCertificatesAreTheirOwners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openCerts(t, dir)
	err := filepath.WalkDir(filepath.Join(dir, "tls"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range topology.Identities() {
		if _, err := identity.Open(part, Identity(dir, part), telemetry.Discard()); err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// TestCertificatesAreRenewed when a third of their life is left, while the shop runs and
// after the machine has slept for longer than they are valid, by the same authority.
func TestCertificatesAreRenewed(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	c := openCerts(t, dir)
	for part, at := range c.expires {
		if at != at.Round(0) {
			t.Errorf("%s expires at %v: a sleep would not bring that nearer", part, at)
		}
	}
	first := of(t, dir, "order")
	if left := first.NotAfter.Sub(now); left < 23*time.Hour || left > 25*time.Hour {
		t.Errorf("valid for %v", left)
	}
	for _, at := range []struct {
		in      time.Duration
		renewed bool
	}{{15 * time.Hour, false}, {17 * time.Hour, true}, {18 * time.Hour, false}, {72 * time.Hour, true}} {
		before := of(t, dir, "order")
		if err := c.renew(now.Add(at.in)); err != nil {
			t.Fatal(err)
		}
		after := of(t, dir, "order")
		if renewed := !after.Equal(before); renewed != at.renewed {
			t.Errorf("after %v: renewed %v", at.in, renewed)
		}
		if after.NotAfter.Before(now.Add(at.in + 8*time.Hour - time.Minute)) {
			t.Errorf("after %v it is valid until %v", at.in, after.NotAfter)
		}
	}
	again := openCerts(t, dir) // the shop starts again
	if string(again.ca.Certificate()) != string(c.ca.Certificate()) {
		t.Error("another start has another authority")
	}
	if got := of(t, dir, "order"); got.NotAfter.Sub(now) > 25*time.Hour {
		t.Errorf("it keeps what it found: valid until %v", got.NotAfter)
	}
}

func TestTheAuthorityIsReplacedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openCerts(t, dir)
	path := filepath.Join(dir, "tls", authorityName)
	old, err := authority.New(time.Now().Add(100 * 24 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, old.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := openCerts(t, dir); time.Until(c.ca.NotAfter()) < authorityLife/2 {
		t.Errorf("valid until %v", c.ca.NotAfter())
	}
	if _, err := identity.Open("cart", Identity(dir, "cart"), telemetry.Discard()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openCertificates(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged authority: %v", err)
	}
}
