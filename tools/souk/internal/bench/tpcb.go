package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tpcb is PostgreSQL's own benchmark, pgbench's "TPC-B (sort of)": five statements
// and one commit. It says how fast the server is with work that everybody knows, so
// that checkouts by its transactions can be compared between machines and years.
type tpcb struct {
	program string
	clients int
	ready   bool
}

// pgbenchSchema holds its tables, in the database of the order service.
const pgbenchSchema = "pgbench_tpcb"

var errNoPgbench = errors.New("there is no pgbench on this machine (Debian: apt install postgresql)")

// newTPCB finds pgbench: beside the server's own program, in PATH, or where
// distributions put it.
func newTPCB(serverPID, clients int) (*tpcb, error) {
	var tries []string
	if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", serverPID)); err == nil {
		tries = append(tries, filepath.Join(filepath.Dir(program), "pgbench"))
	}
	if path, err := exec.LookPath("pgbench"); err == nil {
		tries = append(tries, path)
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/pgbench", "/usr/pgsql-*/bin/pgbench", "/opt/homebrew/opt/postgresql@*/bin/pgbench"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		tries = append(tries, found...)
	}
	for _, path := range tries {
		if _, err := os.Stat(path); err == nil {
			return &tpcb{program: path, clients: clients}, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, errNoPgbench
}

func (t *tpcb) command(ctx context.Context, dsn string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.program, append(args, dsn)...)
	cmd.Env = append(os.Environ(), "PGOPTIONS=-c search_path="+pgbenchSchema)
	return cmd
}

// prepare makes the tables, once: a branch for each client, as pgbench asks.
func (t *tpcb) prepare(ctx context.Context, dsn string, exec func(sql string) error) error {
	if t.ready {
		return nil
	}
	if err := exec("CREATE SCHEMA IF NOT EXISTS " + pgbenchSchema); err != nil {
		return err
	}
	if out, err := t.command(ctx, dsn, "--initialize", "--quiet", "--scale", strconv.Itoa(t.clients)).CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	t.ready = true
	return nil
}

// run has all clients do transactions for d.
func (t *tpcb) run(ctx context.Context, dsn, dir string, d time.Duration) (sample, error) {
	logs := filepath.Join(dir, "pgbench")
	old, err := filepath.Glob(logs + ".*")
	if err != nil {
		return sample{}, err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return sample{}, err
		}
	}
	seconds := max(1, int(d.Round(time.Second).Seconds()))
	out, err := t.command(ctx, dsn, "--no-vacuum", "--protocol=prepared", "--client", strconv.Itoa(t.clients), "--jobs=2",
		"--time", strconv.Itoa(seconds), "--log", "--log-prefix="+logs).CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	s := sample{newHistogram(), time.Duration(seconds) * time.Second}
	written, err := filepath.Glob(logs + ".*")
	if err != nil {
		return sample{}, err
	}
	for _, name := range written {
		if err := readLatencies(name, s); err != nil {
			return sample{}, err
		}
	}
	if s.hist.TotalCount() == 0 {
		return sample{}, fmt.Errorf("pgbench did nothing:\n%s", out)
	}
	return s, nil
}

// readLatencies reads a log of pgbench: client, number, microseconds, and more.
func readLatencies(name string, s sample) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		micros, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			continue // a failed transaction
		}
		_ = s.hist.RecordValue(min(micros, time.Minute.Microseconds()))
	}
	return lines.Err()
}
