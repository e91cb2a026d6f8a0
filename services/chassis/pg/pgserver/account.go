//go:build unix

package pgserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Account is the user that servers run as; nil is the current one.
type Account struct {
	uid, gid uint32
	caps     []uintptr // what it needs to reach the data
}

// Prepare makes cmd run as the account, in a clean environment.
func (a *Account) Prepare(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	if a == nil {
		return
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
	setCapabilities(cmd.SysProcAttr, a.caps)
}

// Own gives files to the account.
func (a *Account) Own(names ...string) error {
	if a == nil {
		return nil
	}
	for _, name := range names {
		if err := os.Lchown(name, int(a.uid), int(a.gid)); err != nil {
			return err
		}
	}
	return nil
}

// home returns the folder of the cluster and who runs it.
func (s *Server) home() (string, *Account, error) {
	home := s.opts.Dir
	elsewhere := false
	if b, err := os.ReadFile(filepath.Join(home, "location")); err == nil {
		home, elsewhere = strings.TrimSpace(string(b)), true
	}
	owner, err := ownerOf(filepath.Join(home, "data"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	if uid := os.Geteuid(); uid != 0 {
		if owner != nil && int(owner.uid) != uid {
			return "", nil, fmt.Errorf("%s belongs to another user (uid %d): start as that user or choose another folder", home, owner.uid)
		}
		return home, nil, nil
	}
	as := owner
	if as == nil || as.uid == 0 {
		if as, err = unprivileged(); err != nil {
			return "", nil, err
		}
	}
	if elsewhere || as.reaches(home) {
		return home, as, nil
	}
	if !s.opts.noCapabilities {
		if as.caps = searchCapability(); as.caps != nil {
			return home, as, nil
		}
	}
	if home, err = s.fallback(as); err != nil {
		return "", nil, err
	}
	return home, as, nil
}

// Locate returns where the server of a folder keeps its data, or will, and who runs it.
func Locate(dir string) (data string, as *Account, err error) {
	s := &Server{log: slog.New(slog.DiscardHandler)}
	if s.opts.Dir, err = filepath.Abs(dir); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(s.opts.Dir, 0o711); err != nil {
		return "", nil, err
	}
	home, as, err := s.home()
	return filepath.Join(home, "data"), as, err
}

// ErrUnreachable means that the user that PostgreSQL has to run as cannot reach a folder.
var ErrUnreachable = errors.New("postgres does not run as root, and its user cannot reach the folder")

// AccountFor returns who programs of PostgreSQL run as that keep their data below dir, which
// there is: the current user, nil, who is not root, else another one that reaches it.
func AccountFor(dir string) (*Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // the current user
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	if as.reaches(dir) {
		return as, nil
	}
	if as.caps = searchCapability(); as.caps == nil {
		return nil, fmt.Errorf("%w %s: choose another one", ErrUnreachable, dir)
	}
	return as, nil
}

// fallback makes a folder that any user can reach, for the data of a server
// that cannot reach its own.
func (s *Server) fallback(as *Account) (string, error) {
	sum := sha256.Sum256([]byte(s.opts.Dir))
	home := filepath.Join("/var/tmp", "souk-postgres-"+hex.EncodeToString(sum[:8]))
	if err := os.Mkdir(home, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Any user can make files in /var/tmp: the folder must be ours.
	info, err := os.Lstat(home)
	if err != nil {
		return "", err
	}
	if st := info.Sys().(*syscall.Stat_t); !info.IsDir() || st.Uid != 0 && st.Uid != as.uid {
		return "", fmt.Errorf("%s exists and belongs to another user", home)
	}
	if err := as.Own(home); err != nil {
		return "", err
	}
	s.log.Warn("the database's user cannot reach the folder: the data is elsewhere", "folder", s.opts.Dir, "data", home)
	return home, os.WriteFile(filepath.Join(s.opts.Dir, "location"), []byte(home+"\n"), 0o644)
}

func unprivileged() (*Account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err == nil && uid != 0 {
			return &Account{uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("postgres does not run as root, and there is no user postgres or nobody to run it as: start as an ordinary user")
}

// reaches reports whether the account may search all directories on the way to
// and including dir.
func (a *Account) reaches(dir string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	for ; err == nil; dir = filepath.Dir(dir) {
		var info fs.FileInfo
		if info, err = os.Stat(dir); err != nil {
			break
		}
		st, mode := info.Sys().(*syscall.Stat_t), info.Mode().Perm()
		switch {
		case st.Uid == a.uid:
			mode >>= 6
		case st.Gid == a.gid:
			mode >>= 3
		}
		if mode&1 == 0 {
			return false
		}
		if dir == "/" {
			return true
		}
	}
	return false
}

func ownerOf(name string) (*Account, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	st := info.Sys().(*syscall.Stat_t)
	return &Account{uid: st.Uid, gid: st.Gid}, nil
}
