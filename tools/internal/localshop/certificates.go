package localshop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
)

const (
	// certificateLife is how long a certificate of a local shop is valid. It is replaced
	// once a third of that is left.
	certificateLife = 24 * time.Hour
	// authorityLife is how long the authority is, which is replaced at a start in its
	// last year.
	authorityLife = 10 * 365 * 24 * time.Hour
	// renewEvery is how often the clock is looked at: a timer for the whole time would
	// stand still while a laptop sleeps.
	renewEvery = time.Second
)

// The folder of certificates in a data folder, and what is in it besides a file for
// each part.
const (
	tlsName         = "tls"
	authorityName   = "authority-with-key.pem"
	authoritiesName = "authorities.pem"
)

// Identity is where the certificate of a part is in a data folder: of a process, or of
// topology.Ops for tools that call services. The shop replaces it while it runs.
func Identity(dir, part string) identity.Config {
	file := filepath.Join(dir, tlsName, part+".pem")
	return identity.Config{TLSCert: file, TLSKey: file, TLSCA: filepath.Join(dir, tlsName, authoritiesName)}
}

// certificates is a shop's own authority and the certificates of its parts.
type certificates struct {
	dir string // the data folder
	log *slog.Logger
	ca  *authority.Authority

	mu      sync.Mutex
	expires map[string]time.Time // by part
	kept    map[string]bool      // parts whose certificates are not replaced
}

// openCertificates makes the certificates of all parts. The authority is the folder's,
// or a new one; nothing else keeps what it has signed, and no part runs yet.
func openCertificates(dir string, log *slog.Logger) (*certificates, error) {
	c := &certificates{dir: dir, log: log, expires: map[string]time.Time{}, kept: map[string]bool{}}
	if err := os.MkdirAll(filepath.Join(dir, tlsName), 0o700); err != nil {
		return nil, err
	}
	if err := c.openAuthority(time.Now()); err != nil {
		return nil, err
	}
	return c, c.renew(time.Now())
}

func (c *certificates) openAuthority(now time.Time) error {
	path := filepath.Join(c.dir, tlsName, authorityName)
	text, err := os.ReadFile(path)
	if err == nil {
		c.ca, err = authority.Parse(text)
		if err != nil {
			return fmt.Errorf("%s: %w; remove it, and the shop makes another", path, err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.ca == nil || c.ca.NotAfter().Sub(now) < authorityLife/10 {
		if c.ca, err = authority.New(now.Add(authorityLife)); err != nil {
			return err
		}
		if err := state.WriteFile(path, c.ca.PEM()); err != nil {
			return err
		}
	}
	return state.WriteFile(filepath.Join(c.dir, tlsName, authoritiesName), c.ca.Certificate())
}

// renew replaces the certificates of which a third of the life is left, or less.
func (c *certificates) renew(now time.Time) error {
	now = now.Round(0) // the time of day: the monotonic clock stands still in a sleep, too
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, part := range topology.Identities() {
		if c.kept[part] || c.expires[part].Sub(now) > certificateLife/3 {
			continue
		}
		if err := c.issue(part, now, certificateLife); err != nil {
			return err
		}
	}
	return nil
}

// issue writes a certificate of a part that is valid from now on.
func (c *certificates) issue(part string, now time.Time, life time.Duration) error {
	expires := now.Add(life)
	text, err := c.ca.Issue(part, now, expires)
	if err != nil {
		return err
	}
	if err := state.WriteFile(Identity(c.dir, part).TLSCert, text); err != nil {
		return err
	}
	c.expires[part] = expires
	return nil
}

// LetExpire replaces the certificate of a part by one that is valid for life, and renews it no
// more until RenewCertificate.
func (s *Shop) LetExpire(part string, life time.Duration) error {
	s.certs.mu.Lock()
	defer s.certs.mu.Unlock()
	s.certs.kept[part] = true
	return s.certs.issue(part, time.Now(), life)
}

// RenewCertificate replaces the certificate of a part, and renews it from then on.
func (s *Shop) RenewCertificate(part string) error {
	s.certs.mu.Lock()
	defer s.certs.mu.Unlock()
	delete(s.certs.kept, part)
	return s.certs.issue(part, time.Now(), certificateLife)
}

// all are the times at which certificates expire, by part.
func (c *certificates) all() map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.expires)
}

// run renews certificates until ctx is done.
func (c *certificates) run(ctx context.Context) error {
	for retry.Sleep(ctx, renewEvery) == nil {
		before := c.all()
		err := c.renew(time.Now())
		switch {
		case err != nil:
			c.log.ErrorContext(ctx, "cannot renew certificates", "error", err)
		case !maps.Equal(before, c.all()):
			c.log.InfoContext(ctx, "certificates renewed", "parts", len(c.expires))
		}
	}
	return nil
}
