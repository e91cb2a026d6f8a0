//go:build unix

package pgserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the user that the server runs as; nil is the current one.
type account struct {
	uid, gid uint32
	caps     []uintptr // what it needs to reach the data
}

// prepare makes cmd run as the account, in a clean environment.
func (a *account) prepare(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	if a == nil {
		return
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
	setCapabilities(cmd.SysProcAttr, a.caps)
}

// own gives files to the account.
func (a *account) own(names ...string) error {
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
func (s *Server) home() (string, *account, error) {
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

// fallback makes a folder that any user can reach, for the data of a server
// that cannot reach its own.
func (s *Server) fallback(as *account) (string, error) {
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
	if err := as.own(home); err != nil {
		return "", err
	}
	s.log.Warn("the database's user cannot reach the folder: the data is elsewhere", "folder", s.opts.Dir, "data", home)
	return home, os.WriteFile(filepath.Join(s.opts.Dir, "location"), []byte(home+"\n"), 0o644)
}

func unprivileged() (*account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err == nil && uid != 0 {
			return &account{uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("postgres does not run as root, and there is no user postgres or nobody to run it as: start as an ordinary user")
}

// reaches reports whether the account may search all directories on the way to
// and including dir.
func (a *account) reaches(dir string) bool {
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

func ownerOf(name string) (*account, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	st := info.Sys().(*syscall.Stat_t)
	return &account{uid: st.Uid, gid: st.Gid}, nil
}
