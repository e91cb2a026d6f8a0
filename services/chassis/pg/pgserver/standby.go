//go:build unix

package pgserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// dropForeign removes the data that is no copy of the primary's, and reports whether there is
// some that is.
func (s *Server) dropForeign(ctx context.Context) (kept bool, err error) {
	if clusterVersion(s.data) == "" {
		return false, nil
	}
	conn, err := s.opts.Primary.connect(ctx)
	if err != nil {
		return false, fmt.Errorf("primary: %w", err)
	}
	defer conn.Close(ctx)
	var primary string // 64 bits without a sign do not fit a bigint
	if err := conn.QueryRow(ctx, "SELECT system_identifier::text FROM pg_control_system()").Scan(&primary); err != nil {
		return false, fmt.Errorf("primary: %w", err)
	}
	_, err = os.Stat(filepath.Join(s.data, "standby.signal"))
	if own, idErr := systemIdentifier(s.data); err == nil && idErr == nil && own == primary {
		return true, nil
	}
	return false, os.RemoveAll(s.data)
}

// streamTimeout is how long a standby may take to find its place in the primary's log.
const streamTimeout = 5 * time.Second

// logIsGone reports that the primary has removed what the standby has to replay next. That the
// standby streams says nothing yet: the primary accepts it before it looks for the log. It has sent
// some, or there is none to send.
func (s *Server) logIsGone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	conn, err := s.connect(ctx)
	if err != nil {
		return false
	}
	defer conn.Close(context.WithoutCancel(ctx))
	log := filepath.Join(s.opts.Dir, "postgres.log")
	end := s.opts.Primary.logEnd(ctx)
	for {
		var streaming bool
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_wal_receiver
			WHERE status = 'streaming' AND (flushed_lsn > receive_start_lsn OR flushed_lsn >= $1::text::pg_lsn))`, end).Scan(&streaming)
		if err != nil || streaming {
			return false // or it is not known: the primary may be away
		}
		if strings.Contains(readFrom(log, s.logFrom), "has already been removed") {
			return true
		}
		if retry.Sleep(ctx, 20*time.Millisecond) != nil {
			return false
		}
	}
}

// logEnd is where the server's log ends, "0/16B3740"; nil where that is not known.
func (s *Server) logEnd(ctx context.Context) (end *string) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if conn.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&end) != nil {
		return nil
	}
	return end
}

// systemIdentifier is what distinguishes a cluster from all others: a number, the first of
// its control file in the machine's byte order.
func systemIdentifier(data string) (string, error) {
	f, err := os.Open(filepath.Join(data, "global", "pg_control"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b [8]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		return "", err
	}
	return strconv.FormatUint(binary.NativeEndian.Uint64(b[:]), 10), nil
}

// copyPrimary makes the data of a standby with pg_basebackup, unless there is some, and
// tells it where its primary is.
func (s *Server) copyPrimary(ctx context.Context, bin binaries, home string, as *Account) error {
	primary := s.opts.Primary
	s.password = primary.password
	passwordFile := filepath.Join(home, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := as.Own(passwordFile); err != nil {
		return err
	}
	if clusterVersion(s.data) == "" {
		if err := s.baseBackup(ctx, bin, as); err != nil {
			return err
		}
	}
	// In place of the primary's, which are of no use here.
	settings := filepath.Join(s.data, "postgresql.auto.conf")
	line := "primary_conninfo = " + quote(primary.conninfo(s.password)) + "\n"
	if err := os.WriteFile(settings, []byte(line), 0o600); err != nil {
		return err
	}
	return as.Own(settings)
}

func (s *Server) baseBackup(ctx context.Context, bin binaries, as *Account) error {
	program := filepath.Join(filepath.Dir(bin.postgres), "pg_basebackup")
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("a standby needs pg_basebackup: %w", err)
	}
	fresh := s.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if err := as.Own(fresh); err != nil {
		return err
	}
	args := []string{"--pgdata=" + fresh, "--dbname=" + s.opts.Primary.conninfo(""), "--wal-method=stream", "--checkpoint=fast", "--no-password"}
	if s.opts.Disposable {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	as.Prepare(cmd)
	cmd.Env = append(cmd.Env, "PGPASSWORD="+s.password) // not in the arguments, which all users see
	process.OwnGroup(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w\n%s", program, err, strings.TrimSpace(string(out))), os.RemoveAll(fresh))
	}
	signal := filepath.Join(fresh, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	if err := as.Own(signal); err != nil {
		return err
	}
	if err := os.Remove(s.data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, s.data)
}

// conninfo is where standbys of the server connect to, with a password if it is not "".
func (s *Server) conninfo(password string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Host: "127.0.0.1:" + strconv.Itoa(s.port), Path: "/", RawQuery: "sslmode=disable&application_name=standby"}
	if password != "" {
		u.User = url.UserPassword(superuser, password)
	}
	return u.String()
}
