//go:build unix

package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/souk-shop/souk/services/chassis/process"
)

// clusterVersion returns the major version of the cluster in data, "15", or ""
// when there is none.
func clusterVersion(data string) string {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// initialize makes the cluster if there is none, and reads or makes the
// superuser's password.
func (s *Server) initialize(ctx context.Context, bin binaries, home string, as *Account) error {
	passwordFile := filepath.Join(home, "password")
	if clusterVersion(s.data) != "" {
		b, err := os.ReadFile(passwordFile)
		if err != nil {
			return fmt.Errorf("read the superuser's password: %w", err)
		}
		s.password = strings.TrimSpace(string(b))
		return nil
	}
	if entries, err := os.ReadDir(s.data); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty and not a database cluster", s.data)
	}
	s.password = rand.Text()
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	// Under another name until it is whole: an interrupted start begins anew.
	fresh := s.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if err := as.Own(passwordFile, fresh); err != nil {
		return err
	}
	args := []string{
		"-D", fresh, "--username=" + superuser, "--encoding=UTF8", "--locale=C",
		"--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--pwfile=" + passwordFile,
	}
	if s.opts.Disposable {
		args = append(args, "--no-sync", "--auth-local=trust", "--auth-host=trust")
	}
	cmd := exec.CommandContext(ctx, bin.initdb, args...)
	as.Prepare(cmd)
	process.OwnGroup(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w\n%s", bin.initdb, err, strings.TrimSpace(string(out))), os.RemoveAll(fresh))
	}
	if err := os.Remove(s.data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, s.data)
}
