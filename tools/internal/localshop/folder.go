package localshop

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
	OperatorToken string            `json:"operator_token"`
	Gateway       string            `json:"gateway_secret"`
	Stripe        string            `json:"stripe_key"`
	Webhooks      string            `json:"webhook_secret"`
	Postgres      map[string]string `json:"postgres"` // passwords by service
}

// secrets reads the folder's secrets, and makes those that there are not.
func (f *folder) secrets() (*secrets, error) {
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
	made := false
	for _, secret := range []struct {
		at     *string
		prefix string
	}{{&s.OperatorToken, "op_"}, {&s.Gateway, ""}, {&s.Stripe, "sk_test_"}, {&s.Webhooks, "whsec_"}} {
		if *secret.at == "" {
			// Two texts, for those who ask for 32 bytes of key.
			*secret.at, made = secret.prefix+rand.Text()+rand.Text(), true
		}
	}
	if s.Postgres == nil {
		s.Postgres = map[string]string{}
	}
	for _, name := range topology.Databases() {
		if s.Postgres[name] == "" {
			s.Postgres[name], made = rand.Text(), true
		}
	}
	if !made {
		return s, nil
	}
	if b, err = json.MarshalIndent(s, "", "  "); err != nil {
		return nil, err
	}
	return s, state.WriteFile(path, append(b, '\n'))
}

// seeded says whether the catalog was imported.
func (f *folder) seeded() bool {
	_, err := os.Stat(f.join(seededName))
	return err == nil
}

func (f *folder) markSeeded() error { return os.WriteFile(f.join(seededName), nil, 0o600) }
