//go:build unix

// Package pgserver runs a private PostgreSQL server from the machine's own
// binaries, on a free loopback port, with its data in one folder. It is for
// laptops and tests: it starts in well under a second on existing data and does
// not outlive the process that started it.
//
// Started by root, which PostgreSQL refuses, the server runs as the owner of
// existing data, else as the user postgres, else as nobody. Where that user
// cannot reach the folder (below /root, say), the server gets the capability to
// search directories (CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where a
// container has only that); where there is none to give, the data is kept in
// /var/tmp/souk-postgres-<hash of the folder's path> instead and the file
// "location" in the folder says so.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// ErrInUse means that another process serves the same folder.
var ErrInUse = errors.New("data folder is in use")

// superuser is the role that owns the server. Its password is in the folder.
const superuser = "postgres"

const (
	// pingTimeout bounds one attempt to connect to a server that starts.
	pingTimeout = 5 * time.Second
	// stopTimeout is how long a server that did not start may take to shut down in good order.
	stopTimeout = 10 * time.Second
)

// Options says where and how a server runs.
type Options struct {
	// Dir holds all of the server: its data, its log (postgres.log) and the
	// superuser's password. It is made if need be.
	Dir string
	// Settings are added to PostgreSQL's configuration and win over the defaults
	// of this package, which suit a laptop.
	Settings map[string]string
	// Log is told of starts and stops; may be nil.
	Log *slog.Logger
	// Notice is called with a sentence on what makes the start take long; logged
	// as a warning when nil.
	Notice func(string)
	// Port on the loopback address; any free one when 0.
	Port int
	// Binaries is the folder of postgres and initdb; searched for when empty.
	Binaries string
	// Disposable data may be lost with the machine's power: nothing is synced to
	// disk, not even commits, and passwords are not asked for.
	Disposable bool
	// Standbys lets other servers be standbys of this one.
	Standbys bool
	// Primary makes this a standby of that server, which has Standbys: a copy of it that
	// replays its log and answers reads. Data that there is already is gone on with if it is
	// a copy of the same server, which has kept the log since, else replaced.
	Primary *Server

	noCapabilities bool // tests: as if there were none to give
}

// Server is a running PostgreSQL server.
type Server struct {
	opts     Options
	log      *slog.Logger
	data     string // PGDATA
	as       *Account
	port     int
	password string
	process  *process.Process
	logFrom  int64 // where the log of this start begins
	lock     *os.File
}

// Start runs the server and returns when it answers. It makes the folder and
// the database cluster in it if there is none. ctx bounds the start; the server
// runs until Stop or until the calling process ends, however it does.
func Start(ctx context.Context, opts Options) (_ *Server, err error) {
	started := time.Now()
	s := &Server{opts: opts, log: opts.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.opts.Dir, 0o711); err != nil {
		return nil, err
	}
	if s.lock, err = LockFolder(s.opts.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			UnlockFolder(s.lock)
		}
	}()
	home, as, err := s.home()
	if err != nil {
		return nil, err
	}
	s.data, s.as = filepath.Join(home, "data"), as
	goesOn := false // a standby with the data that it has
	if opts.Primary != nil {
		if goesOn, err = s.dropForeign(ctx); err != nil {
			return nil, err
		}
	}
	bin, err := findBinaries(ctx, opts.Binaries, clusterVersion(s.data), s.notice(ctx))
	if err != nil {
		return nil, err
	}
	if opts.Primary != nil {
		err = s.copyPrimary(ctx, bin, home, as)
	} else {
		err = s.initialize(ctx, bin, home, as)
	}
	if err != nil {
		return nil, err
	}
	if err := s.clearPostmaster(ctx); err != nil {
		return nil, err
	}
	if err := s.launch(ctx, bin, as); err != nil {
		return nil, err
	}
	if goesOn && s.logIsGone(ctx) {
		s.log.WarnContext(ctx, "the primary has not kept the log that the standby needs: it is made anew")
		if err := errors.Join(s.stop(ctx), os.RemoveAll(s.data), s.copyPrimary(ctx, bin, home, as)); err != nil {
			return nil, err
		}
		if err := s.launch(ctx, bin, as); err != nil {
			return nil, err
		}
	}
	s.log.InfoContext(ctx, "postgres is up", "port", s.port, "data", s.data, "pid", s.process.PID(),
		"version", bin.version, "took", time.Since(started).Round(time.Millisecond))
	return s, nil
}

// notice is what Options.Notice asks for.
func (s *Server) notice(ctx context.Context) func(string) {
	if s.opts.Notice != nil {
		return s.opts.Notice
	}
	return func(text string) { s.log.WarnContext(ctx, "postgres takes long to start", "because", text) }
}

// launch starts the postmaster, again on another port if the one it was to have
// was taken meanwhile.
func (s *Server) launch(ctx context.Context, bin binaries, as *Account) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		if s.port = s.opts.Port; s.port == 0 {
			port, err := process.FreePort()
			if err != nil {
				return err
			}
			s.port = port
		}
		err := s.launchOnce(ctx, bin, as)
		if err == nil {
			return nil
		}
		exited, ok := errors.AsType[*exitError](err)
		again := ok && (s.opts.Port == 0 && exited.portTaken() || exited.dying())
		if !again || time.Now().After(deadline) {
			return err
		}
		if retry.Sleep(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

func (s *Server) launchOnce(ctx context.Context, bin binaries, as *Account) error {
	log, from, err := openLog(filepath.Join(s.opts.Dir, "postgres.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.logFrom = from
	// Without ctx, which bounds the start: the server outlives it.
	cmd := exec.Command(bin.postgres, s.arguments()...)
	cmd.Stdout, cmd.Stderr = log, log
	as.Prepare(cmd)
	// SIGINT is a "fast" shutdown.
	if s.process, err = process.Start(cmd, syscall.SIGINT); err != nil {
		return err
	}
	pidFile := filepath.Join(s.opts.Dir, "pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(s.process.PID())), 0o600); err != nil {
		return errors.Join(err, s.stop(ctx))
	}
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			return &exitError{err: s.process.Err(), log: readFrom(log.Name(), from)}
		case <-ctx.Done():
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			return errors.Join(fmt.Errorf("postgres did not answer: %w (last: %w)", ctx.Err(), err), s.stop(stopping))
		case <-time.NewTimer(15 * time.Millisecond).C:
		}
	}
}

// ping asks once whether the server answers. Another program may have taken its port: one
// that accepts connections and says nothing, or another PostgreSQL.
func (s *Server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var data string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		return err
	}
	if data != s.data {
		return fmt.Errorf("the server on port %d serves %s", s.port, data)
	}
	return nil
}

func (s *Server) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.DSN("postgres", superuser, s.password))
}

// DSN returns the URL of a database for a role. The superuser is "postgres" and
// its DSN is SuperuserDSN.
func (s *Server) DSN(database, user, password string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SuperuserDSN returns the URL of a database for the superuser.
func (s *Server) SuperuserDSN(database string) string {
	return s.DSN(database, superuser, s.password)
}

// Port returns the server's port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// Data returns the folder of the server's data (PGDATA), which Account owns.
func (s *Server) Data() string { return s.data }

// Account returns who the server runs as.
func (s *Server) Account() *Account { return s.as }

// Said returns the beginning of what the server has logged since it was started.
func (s *Server) Said() string { return readFrom(filepath.Join(s.opts.Dir, "postgres.log"), s.logFrom) }

// Pid returns the postmaster's process id.
func (s *Server) Pid() int { return s.process.PID() }

// Signal sends a signal to the postmaster and, if it is one that stops or
// continues a process, to all the server's processes. It does nothing to a
// server that has ended.
func (s *Server) Signal(sig syscall.Signal) error {
	if sig == syscall.SIGCONT { // the postmaster last: it makes no new ones meanwhile
		defer s.process.Signal(sig)
	} else {
		s.process.Signal(sig)
	}
	if sig != syscall.SIGSTOP && sig != syscall.SIGCONT {
		return nil
	}
	// Each has made a process group of its own.
	children, err := childrenOf(s.process.PID())
	if err != nil {
		return fmt.Errorf("signal postgres: %w", err)
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal postgres: %w", err)
		}
	}
	return nil
}

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Stop shuts the server down in good order, ending the connections that are
// left, and returns when it is gone. When ctx ends first it is shut down at
// once, to recover at its next start. A second Stop does nothing.
func (s *Server) Stop(ctx context.Context) error {
	err := s.stop(ctx)
	_ = os.Remove(filepath.Join(s.opts.Dir, "pid"))
	UnlockFolder(s.lock)
	s.log.InfoContext(ctx, "postgres has stopped")
	return err
}

func (s *Server) stop(ctx context.Context) error {
	err := s.process.Stop(ctx, syscall.SIGINT) // "fast": roll back, disconnect, checkpoint
	if !errors.Is(err, process.ErrNotEnding) {
		return err
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if errors.Is(s.process.Stop(soon, syscall.SIGQUIT), process.ErrNotEnding) { // "immediate"
		s.process.Kill()
	}
	return fmt.Errorf("postgres did not stop in time: %w", ctx.Err())
}
