package localshop

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// Names in a data folder. The lock also marks a folder as one.
const (
	lockName    = "souk.lock"
	secretsName = "secrets.json"
	seededName  = "seeded"
)

// RunningError means that another process has a shop on the same data.
type RunningError struct {
	Dir string
	PID int    // 0 when unknown
	URL string // empty while it starts
}

// Error implements error.
func (e *RunningError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "a shop already runs on the data in %s", e.Dir)
	if e.URL != "" {
		fmt.Fprintf(&b, ": %s", e.URL)
	}
	if e.PID != 0 {
		fmt.Fprintf(&b, " (process id %d)", e.PID)
	}
	b.WriteString("; stop it first, or choose another folder")
	return b.String()
}

// folder is a data folder that is locked for this process.
type folder struct {
	path string
	lock *os.File
}

// owner is what the lock file says about its holder.
type owner struct {
	PID int    `json:"pid"`
	URL string `json:"url,omitempty"`
}

// openFolder makes the folder if need be and locks it. The lock is the
// kernel's and ends with the process, however it ends. A folder that holds
// other things is refused: the shop would litter it, and --fresh empty it.
func openFolder(path string, fresh bool) (_ *folder, err error) {
	if path == "" {
		return nil, errors.New("no data folder")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, lockName)); errors.Is(err, fs.ErrNotExist) && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty and no data folder of souk: name another", path)
	}
	if err := os.MkdirAll(path, 0o711); err != nil { // PostgreSQL's user passes through
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, lock: lock}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
		}
		var o owner
		if b, err := os.ReadFile(lock.Name()); err == nil {
			_ = json.Unmarshal(b, &o) // empty while the other one writes it
		}
		return nil, &RunningError{Dir: path, PID: o.PID, URL: o.URL}
	}
	if fresh {
		if err := f.empty(); err != nil {
			return nil, fmt.Errorf("empty %s: %w", path, err)
		}
	}
	// What a shop that was killed has left.
	if err := state.Remove(path); err != nil {
		return nil, err
	}
	return f, errors.Join(f.announce(""), os.MkdirAll(f.join("logs"), 0o755))
}

func (f *folder) join(names ...string) string {
	return filepath.Join(append([]string{f.path}, names...)...)
}

// announce tells a second shop on this folder who has it.
func (f *folder) announce(url string) error {
	b, err := json.Marshal(owner{os.Getpid(), url})
	if err != nil {
		return err
	}
	if err := f.lock.Truncate(0); err != nil {
		return err
	}
	_, err = f.lock.WriteAt(append(b, '\n'), 0)
	return err
}

// empty removes everything but the lock, and the database where it had to be
// kept elsewhere.
func (f *folder) empty() error {
	if b, err := os.ReadFile(f.join("postgres", "location")); err == nil {
		// The file could name anything; only what pgserver makes is removed.
		if elsewhere := strings.TrimSpace(string(b)); strings.HasPrefix(filepath.Base(elsewhere), "souk-postgres-") {
			if err := os.RemoveAll(elsewhere); err != nil {
				return err
			}
		}
	}
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != lockName {
			err = errors.Join(err, os.RemoveAll(f.join(e.Name())))
		}
	}
	return err
}

// close gives the folder back. Closing alone would leave the lock to a process
// that is just being forked, until it has become another program.
func (f *folder) close() error {
	return errors.Join(syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN), f.lock.Close())
}

// secrets are made once for each data folder.
type secrets struct {
	Gateway  string            `json:"gateway_secret"`
	Stripe   string            `json:"stripe_key"`
	Webhooks string            `json:"webhook_secret"`
	Events   string            `json:"events_password"`
	Outgoing string            `json:"outgoing_webhook_key"`
	Postgres map[string]string `json:"postgres"` // passwords by role
}

// secrets reads the folder's secrets, and makes those that there are not. Those that only
// an earlier version had are taken out of the file.
func (f *folder) secrets(databases []string) (*secrets, error) {
	path := f.join(secretsName)
	s := &secrets{}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if err := json.Unmarshal(b, s); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	before := b
	for _, secret := range []struct {
		at     *string
		prefix string
	}{{&s.Gateway, ""}, {&s.Stripe, "sk_test_"}, {&s.Webhooks, "whsec_"}, {&s.Events, ""}, {&s.Outgoing, ""}} {
		if *secret.at == "" {
			// Two texts, for those who ask for 32 bytes of key.
			*secret.at = secret.prefix + rand.Text() + rand.Text()
		}
	}
	if s.Postgres == nil {
		s.Postgres = map[string]string{}
	}
	for _, name := range databases {
		for _, role := range []string{name, topology.RuntimeRole(name)} {
			if s.Postgres[role] == "" {
				s.Postgres[role] = rand.Text()
			}
		}
	}
	if b, err = json.MarshalIndent(s, "", "  "); err != nil {
		return nil, err
	}
	b = append(b, '\n')
	if bytes.Equal(b, before) {
		return s, nil
	}
	return s, state.WriteFile(path, b)
}

// The operator of the shop's own tools. Others are added by `souk operator`.
const (
	toolsOperator = "admin"
	toolsLife     = operators.MaxLife
	toolsRenewal  = 30 * 24 * time.Hour // before the end
)

// operator returns the token of the tools' operator, with every scope. It is made at the
// first start, and replaced where it is gone, was revoked, is about to expire or lacks a
// scope that this version has.
func (f *folder) operator(now time.Time) (string, error) {
	token, err := state.ReadToken(state.OperatorToken(f.path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	hash := operators.Hash(token)
	err = operators.Edit(state.Operators(f.path), func(file *operators.File) error {
		for _, t := range file.Tokens {
			if t.SHA256 == hash && t.Works(now.Add(toolsRenewal)) && t.Scope.Has(operators.Everything) {
				return nil
			}
		}
		_, _ = file.Revoke(toolsOperator, now) // an error says that none works
		if token, _, err = file.Add(toolsOperator, operators.Everything, toolsLife, now); err != nil {
			return err
		}
		// Before the file has it: one that does not work is made anew by the next start.
		return state.WriteFile(state.OperatorToken(f.path), []byte(token+"\n"))
	})
	return token, err
}

// cellsName is the file that says in how many cells the shop of the folder is.
const cellsName = "cells"

// cells is in how many cells the shop of the folder is.
func (f *folder) cells() (int, error) {
	b, err := os.ReadFile(f.join(cellsName))
	if errors.Is(err, fs.ErrNotExist) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", f.join(cellsName), err)
	}
	return n, nil
}

// keepCells notes the number of cells of a new folder, and fails for one that has another.
func (f *folder) keepCells(n int) error {
	has, err := f.cells()
	if err != nil || has == n {
		return err
	}
	if _, err := os.Stat(f.join(secretsName)); err == nil {
		return fmt.Errorf("the shop in %s is in %d cells, and not in %d: its buckets are spread over these; start it with --cells %[2]d, or another with --fresh", f.path, has, n)
	}
	return os.WriteFile(f.join(cellsName), []byte(strconv.Itoa(n)+"\n"), 0o600)
}

// checkCells refuses what does not go with cells.
func checkCells(opts Options) error {
	switch {
	case opts.Cells < 0 || opts.Cells > maxCells:
		return fmt.Errorf("%d cells: there are 1 to %d", opts.Cells, maxCells)
	case opts.Cells <= 1:
		return nil
	case opts.Replica || opts.Postgres != "" || opts.Backups != "" && opts.Backups != NoBackups:
		return errors.New("cells go with one PostgreSQL: not with a replica, three servers or backups")
	}
	return nil
}

// maxCells bounds what one machine runs.
const maxCells = 8

// seeded says whether the catalog was imported.
func (f *folder) seeded() bool {
	_, err := os.Stat(f.join(seededName))
	return err == nil
}

func (f *folder) markSeeded() error { return os.WriteFile(f.join(seededName), nil, 0o600) }
