//go:build unix

// Package pgbackrest keeps backups of a PostgreSQL server of this machine and the log (WAL) of
// what it did since, with pgBackRest, so that the server can be restored to any moment after a
// backup. It configures the program, runs it as the user that the server runs as, and reads what
// it has. All stanzas are named Stanza: a repository is of one server, or of the servers of one
// cluster.
package pgbackrest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/process"
)

const (
	// Stanza is pgBackRest's name of what a repository is of.
	Stanza = "souk"
	// ArchiveTimeout is after how long a piece of log that is not full is archived: what the loss
	// of the server's disk may lose.
	ArchiveTimeout = time.Minute
	program        = "pgbackrest"
)

// ErrMissing means that the machine lacks pgBackRest.
var ErrMissing = errors.New("backups need pgBackRest, which is not on PATH (Debian and Ubuntu: apt install pgbackrest; `souk test --install-only` does it)")

// ErrOtherDatabase means that a repository has the backups of another server.
var ErrOtherDatabase = errors.New("the repository has the backups of another database")

// Config is where a server and its repository are.
type Config struct {
	// Dir is for the program's configuration and locks.
	Dir string
	// Repository is the folder of backups and log.
	Repository string
	// Data is the server's folder (PGDATA), and As who owns it.
	Data string
	As   *pgserver.Account
	// Port is where the server listens, on 127.0.0.1, and Password its superuser's, "postgres". They
	// are not needed to archive and to restore.
	Port     int
	Password string
	// KeepFull is how many full backups are kept, with the log since the oldest.
	KeepFull int
}

// Server is a server with a repository.
type Server struct {
	cfg  Config
	path string // of the program
}

// New writes the configuration of a server, and makes its folders.
func New(cfg Config) (*Server, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, ErrMissing
	}
	s := &Server{cfg: cfg, path: path}
	for _, dir := range []string{cfg.Dir, s.locks(), cfg.Repository} {
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
		if err := errors.Join(os.Chmod(dir, 0o700), cfg.As.Own(dir)); err != nil {
			return nil, err
		}
	}
	return s, s.write()
}

func (s *Server) locks() string { return filepath.Join(s.cfg.Dir, "lock") }

func (s *Server) config() string { return filepath.Join(s.cfg.Dir, "pgbackrest.conf") }

func (s *Server) passwords() string { return filepath.Join(s.cfg.Dir, "pgpass") }

// write writes the configuration, and the password where there is one.
func (s *Server) write() error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by souk at each start.\n[global]\n")
	for _, option := range [][2]string{
		{"repo1-path", s.cfg.Repository},
		{"repo1-retention-full", strconv.Itoa(max(1, s.cfg.KeepFull))},
		{"repo1-bundle", "y"}, // a database is many small files
		{"lock-path", s.locks()},
		{"log-level-file", "off"},
		{"log-level-console", "warn"},
		{"log-level-stderr", "off"},
		{"compress-type", "lz4"},
		{"process-max", "2"},
		{"start-fast", "y"}, // a checkpoint at once, not with the next
		{"archive-timeout", "60"},
	} {
		fmt.Fprintf(&b, "%s=%s\n", option[0], option[1])
	}
	fmt.Fprintf(&b, "\n[%s]\npg1-path=%s\npg1-user=postgres\n", Stanza, s.cfg.Data)
	if s.cfg.Port != 0 {
		fmt.Fprintf(&b, "pg1-port=%d\n", s.cfg.Port)
	}
	if err := s.writeOwned(s.config(), b.Bytes()); err != nil {
		return err
	}
	if s.cfg.Password == "" {
		return nil
	}
	return s.writeOwned(s.passwords(), fmt.Appendf(nil, "*:*:*:postgres:%s\n", s.cfg.Password))
}

func (s *Server) writeOwned(name string, data []byte) error {
	if err := os.WriteFile(name, data, 0o600); err != nil {
		return err
	}
	return s.cfg.As.Own(name)
}

// Settings are those of a PostgreSQL server that archives its log.
func (s *Server) Settings() map[string]string {
	return map[string]string{
		"wal_level": "replica", "archive_mode": "on", "archive_timeout": strconv.Itoa(int(ArchiveTimeout.Seconds())),
		"archive_command": fmt.Sprintf(`%q --config=%q --stanza=%s archive-push "%%p"`, s.path, s.config(), Stanza),
	}
}

// Prepare makes the repository ready for a server that runs. A second call does nothing.
func (s *Server) Prepare(ctx context.Context) error {
	_, err := s.run(ctx, "stanza-create")
	if failed, ok := errors.AsType[*runError](err); ok && strings.Contains(failed.said, "do not match the database") {
		return fmt.Errorf("%w: %s; name another folder", ErrOtherDatabase, s.cfg.Repository)
	}
	return err
}

// Backup makes a backup of a server that runs: of what changed since the last one, or of all.
func (s *Server) Backup(ctx context.Context, full bool) error {
	kind := "incr"
	if full {
		kind = "full"
	}
	_, err := s.run(ctx, "backup", "--type="+kind)
	return err
}

// Restore writes the data of a server to its folder, which is to be empty, from a backup. The server
// replays the log when it starts: until the first commit after a time, or all that there is of a
// timeline for the zero time. timeline is 0 for the newest.
func (s *Server) Restore(ctx context.Context, backup string, to time.Time, timeline int) error {
	args := []string{"--set=" + backup, "--target-action=promote"}
	if to.IsZero() {
		args = []string{"--set=" + backup}
	} else {
		args = append(args, "--type=time", "--target="+to.UTC().Format("2006-01-02 15:04:05.000000-07"))
	}
	if timeline != 0 {
		args = append(args, "--target-timeline="+strconv.Itoa(timeline))
	}
	_, err := s.run(ctx, "restore", args...)
	return err
}

// runError is a run that failed.
type runError struct {
	command, said string
	err           error
}

func (e *runError) Error() string {
	return fmt.Sprintf("pgbackrest %s: %v: %s", e.command, e.err, e.said)
}

func (e *runError) Unwrap() error { return e.err }

// run runs the program and returns what it wrote. It connects to the server over TCP. It ends with
// this process: a restore that went on would write into what is put back in its place.
func (s *Server) run(ctx context.Context, command string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.path, slices.Concat([]string{"--config=" + s.config(), "--stanza=" + Stanza}, args, []string{command})...)
	s.cfg.As.Prepare(cmd)
	cmd.Env = append(cmd.Env, "PGHOST=127.0.0.1", "PGSSLMODE=disable", "PGPASSFILE="+s.passwords())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	running, err := process.Start(cmd, syscall.SIGKILL)
	if err == nil {
		<-running.Done()
		err = running.Err()
	}
	if err != nil {
		return nil, &runError{command, strings.TrimSpace(stdout.String() + stderr.String()), err}
	}
	return stdout.Bytes(), nil
}

// Backup is a backup in a repository.
type Backup struct {
	// Label is pgBackRest's name of it, and Kind full, diff or incr.
	Label, Kind string
	// Start and Stop are in whole seconds, as pgBackRest has them. The server can be restored to what
	// it was after Stop.
	Start, Stop time.Time
	// Size is of the database, Stored what the backup takes in the repository, in bytes.
	Size, Stored int64
}

// Backups are those of a repository, oldest first; none of one that has never been used.
func (s *Server) Backups(ctx context.Context) ([]Backup, error) {
	out, err := s.run(ctx, "info", "--output=json")
	if err != nil {
		return nil, err
	}
	return parse(out)
}

// parse reads what `pgbackrest info` says.
func parse(out []byte) ([]Backup, error) {
	var stanzas []struct {
		Backup []struct {
			Label     string                      `json:"label"`
			Type      string                      `json:"type"`
			Timestamp struct{ Start, Stop int64 } `json:"timestamp"`
			Error     bool                        `json:"error"`
			Info      struct {
				Size       int64 `json:"size"`
				Repository struct {
					Delta int64 `json:"delta"`
				} `json:"repository"`
			} `json:"info"`
		} `json:"backup"`
	}
	if err := json.Unmarshal(out, &stanzas); err != nil {
		return nil, fmt.Errorf("pgbackrest info: %w", err)
	}
	var backups []Backup
	for _, stanza := range stanzas {
		for _, b := range stanza.Backup {
			if b.Error { // pages whose checksum is wrong
				continue
			}
			backups = append(backups, Backup{
				Label: b.Label, Kind: b.Type, Start: time.Unix(b.Timestamp.Start, 0).UTC(), Stop: time.Unix(b.Timestamp.Stop, 0).UTC(),
				Size: b.Info.Size, Stored: b.Info.Repository.Delta,
			})
		}
	}
	return backups, nil
}
