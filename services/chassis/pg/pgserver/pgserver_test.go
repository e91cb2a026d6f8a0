//go:build unix

package pgserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// helperEnv makes the test binary a process that serves a folder until it is
// killed, and writes its DSN.
const helperEnv = "SOUK_PGSERVER_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		helper(dir)
	}
	os.Exit(m.Run())
}

func helper(dir string) {
	s, err := Start(context.Background(), Options{Dir: dir, Disposable: true})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(s.Pid())
	select {}
}

// folder returns a folder that any user can reach.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "souk-pgserver-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func startServer(t *testing.T, opts Options) *Server {
	t.Helper()
	opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

func stopServer(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

func exec1(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// refused is what the server has against a statement.
func refused(t *testing.T, dsn, sql string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql)
	return err
}

func TestDataOutlivesTheServer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := startServer(t, Options{Dir: dir})
	shop := Database{
		Name: "shop", Owner: Role{"keeper", "it's secret\\"}, Runtime: Role{"seller", "hush"},
		Settings: map[string]string{"lock_timeout": "4000"},
	}
	for range 2 { // again changes nothing
		if err := s.EnsureDatabase(t.Context(), shop); err != nil {
			t.Fatal(err)
		}
	}
	exec1(t, s.DSN("shop", "keeper", "it's secret\\"), "CREATE TABLE things (name text); INSERT INTO things VALUES ('one')")
	exec1(t, s.DSN("shop", "keeper", "it's secret\\"), "DO $$ BEGIN ASSERT current_setting('lock_timeout') = '4s'; END $$")
	if _, err := pgx.Connect(t.Context(), s.DSN("shop", "keeper", "wrong")); err == nil {
		t.Error("connected with a wrong password")
	}
	exec1(t, s.DSN("shop", "seller", "hush"), "DO $$ BEGIN ASSERT current_setting('lock_timeout') = '4s'; END $$")
	for _, ddl := range []string{"CREATE TABLE others ()", "CREATE TEMPORARY TABLE others ()", "CREATE SCHEMA others", "DROP TABLE things", "SELECT FROM things"} {
		if err := refused(t, s.DSN("shop", "seller", "hush"), ddl); err == nil {
			t.Errorf("%s: by the runtime role", ddl)
		}
	}
	if err := s.EnsureDatabase(t.Context(), Database{Name: "other", Owner: Role{"intruder", "x"}, Runtime: Role{"user", "y"}}); err != nil {
		t.Fatal(err)
	}
	for role, password := range map[string]string{"intruder": "x", "user": "y"} {
		if _, err := pgx.Connect(t.Context(), s.DSN("shop", role, password)); err == nil {
			t.Error("another database's role may connect")
		}
	}
	stopServer(t, s)
	select {
	case <-s.Done():
	default:
		t.Error("not done after Stop")
	}

	started := time.Now()
	s = startServer(t, Options{Dir: dir})
	t.Logf("second start took %v", time.Since(started))
	exec1(t, s.DSN("shop", "keeper", "it's secret\\"), "INSERT INTO things SELECT name FROM things")
}

func TestSettingsWin(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{Dir: folder(t), Disposable: true, Settings: map[string]string{"work_mem": "3MB"}})
	conn, err := pgx.Connect(t.Context(), s.SuperuserDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for name, want := range map[string]string{"work_mem": "3MB", "fsync": "off", "jit": "off", "server_encoding": "UTF8", "lc_messages": "C"} {
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestOneFolderOneServer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	startServer(t, Options{Dir: dir, Disposable: true})
	if _, err := Start(t.Context(), Options{Dir: dir, Disposable: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("second start: %v, want ErrInUse", err)
	}
}

func TestServedByAnother(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := startServer(t, Options{Dir: dir, Disposable: true})
	// As if somebody had started postgres on the data by hand.
	if err := os.Remove(filepath.Join(dir, "pid")); err != nil {
		t.Fatal(err)
	}
	s.lock.Close()
	_, err := Start(t.Context(), Options{Dir: dir, Disposable: true})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(s.Pid())) {
		t.Errorf("start: %v, want ErrInUse with the process id", err)
	}
}

// TestAnotherServerOnItsPort: a server that answers on the port is not taken for the one
// that could not listen there.
func TestAnotherServerOnItsPort(t *testing.T) {
	t.Parallel()
	other := startServer(t, Options{Dir: folder(t), Disposable: true})
	s, err := Start(t.Context(), Options{Dir: folder(t), Disposable: true, Port: other.Port()})
	if err == nil {
		stopServer(t, s)
	}
	if err == nil || !strings.Contains(err.Error(), "Address already in use") {
		t.Errorf("start on the port of another server: %v", err)
	}
}

// serveInChild starts a server in a child process and returns both.
func serveInChild(t *testing.T, dir string) (child *exec.Cmd, postmaster int) {
	t.Helper()
	child = exec.Command(os.Args[0])
	child.Env = append(os.Environ(), helperEnv+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	postmaster, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("child: %s", line)
	}
	return child, postmaster
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil && !zombie(pid) }

// zombie: in a container nobody may reap what is orphaned.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(b), ") Z ")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("never: " + what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestServerEndsWithItsKilledParent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can")
	}
	child, postmaster := serveInChild(t, folder(t))
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	eventually(t, "the orphan ends", func() bool { return !alive(postmaster) })
}

func TestStartAtOnceAfterAKilledParent(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	child, postmaster := serveInChild(t, dir)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	s := startServer(t, Options{Dir: dir, Disposable: true})
	if alive(postmaster) {
		t.Error("the orphan is still there")
	}
	exec1(t, s.SuperuserDSN("postgres"), "SELECT 1")
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	old := time.Now().Add(-time.Hour)
	s := startServer(t, Options{Dir: dir, Disposable: true})
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	if err := Discard(t.Context(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a folder in use: %v", err)
	}
	s.lock.Close() // as if the process that started it were gone
	if err := Discard(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if err := Discard(t.Context(), folder(t)); !errors.Is(err, ErrInUse) {
		t.Errorf("a new folder: %v", err)
	}
}

// What was acknowledged outlives a killed server, disposable or not.
func TestCommitsOutliveACrash(t *testing.T) {
	t.Parallel()
	for _, disposable := range []bool{false, true} {
		t.Run(fmt.Sprintf("disposable %t", disposable), func(t *testing.T) {
			t.Parallel()
			opts := Options{Dir: folder(t), Disposable: disposable}
			s, err := Start(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			exec1(t, s.SuperuserDSN("postgres"), "CREATE TABLE things (name text)")
			s.process.Signal(syscall.SIGKILL)
			<-s.Done()
			if err := s.Stop(t.Context()); err == nil {
				t.Error("Stop of a server that was killed says nothing")
			}
			s = startServer(t, opts)
			exec1(t, s.SuperuserDSN("postgres"), "SELECT FROM things")
		})
	}
}

func TestStalePostmasterFileOfARecycledProcessID(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := startServer(t, Options{Dir: dir, Disposable: true})
	pidFile := filepath.Join(s.data, "postmaster.pid")
	saved, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	stopServer(t, s)
	// The process id is that of the running test, not of a postgres.
	_, rest, _ := strings.Cut(string(saved), "\n")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	startServer(t, Options{Dir: dir, Disposable: true})
}

func TestInterruptedInitializationBeginsAnew(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(dir, "data.new", "PG_VERSION")); err == nil {
				cancel()
			}
		}
	}()
	if s, err := Start(ctx, Options{Dir: dir, Disposable: true}); err == nil {
		stopServer(t, s)
		t.Fatal("started although interrupted")
	}
	startServer(t, Options{Dir: dir, Disposable: true})
}

func TestNoBinaries(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Options{Dir: folder(t), Binaries: t.TempDir()})
	if !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), "apt install postgresql") {
		t.Errorf("got %v, want ErrNoBinaries and what to install", err)
	}
}

func TestClusterOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	bin, err := findBinaries(t.Context(), "", "", func(string) {})
	if err != nil {
		t.Skip(err)
	}
	_, err = findBinaries(t.Context(), filepath.Dir(bin.postgres), "9", func(string) {})
	if !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), "the data is of version 9") {
		t.Errorf("got %v", err)
	}
}

// asRoot skips a test of what only root does, and makes a folder that no other
// user can reach.
func asRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	outer := folder(t)
	if err := os.Chmod(outer, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(outer, "inner")
}

func TestRootInAFolderOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := asRoot(t)
	if searchCapability() == nil {
		t.Skip("no capability to give")
	}
	s := startServer(t, Options{Dir: dir, Disposable: true})
	exec1(t, s.SuperuserDSN("postgres"), "CREATE TABLE things (name text)")
	if _, err := os.Stat(filepath.Join(dir, "data", "PG_VERSION")); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d", s.Pid()))
	if err == nil && info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the server runs as root")
	}
}

func TestRootWithoutCapabilities(t *testing.T) {
	t.Parallel()
	dir := asRoot(t)
	opts := Options{Dir: dir, Disposable: true, noCapabilities: true}
	s := startServer(t, opts)
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(s.data)) })
	if strings.HasPrefix(s.data, dir) {
		t.Fatalf("data in %s, which the server cannot reach", s.data)
	}
	exec1(t, s.SuperuserDSN("postgres"), "CREATE TABLE things (name text)")
	stopServer(t, s)
	opts.noCapabilities = false // it stays where it is
	s = startServer(t, opts)
	exec1(t, s.SuperuserDSN("postgres"), "SELECT FROM things")
}
