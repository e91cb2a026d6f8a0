//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// minVersion is the oldest major version that Souk's SQL is written for.
const minVersion = 15

// ErrNoBinaries means that there is no PostgreSQL on the machine and none could
// be downloaded.
var ErrNoBinaries = errors.New("no PostgreSQL found")

// binaries are the programs of one PostgreSQL installation.
type binaries struct {
	postgres, initdb string
	version          string // "15.18"
}

func (b binaries) major() int {
	major, _, _ := strings.Cut(b.version, ".")
	n, _ := strconv.Atoi(major)
	return n
}

// findBinaries returns the programs in dir, or else the first fit ones on the
// machine, or else downloaded ones. A cluster of a major version needs programs
// of the same.
func findBinaries(ctx context.Context, dir, cluster string, notice func(string)) (binaries, error) {
	dirs := []string{dir}
	if dir == "" {
		dirs = candidates(ctx)
	}
	var seen []string
	for _, dir := range dirs {
		bin, err := inspect(ctx, dir)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				seen = append(seen, err.Error())
			}
			continue
		}
		switch {
		case cluster != "" && strconv.Itoa(bin.major()) != cluster:
			seen = append(seen, fmt.Sprintf("%s is version %s, the data is of version %s", bin.postgres, bin.version, cluster))
		case bin.major() < minVersion:
			seen = append(seen, fmt.Sprintf("%s is version %s, %d or newer is needed", bin.postgres, bin.version, minVersion))
		default:
			return bin, nil
		}
	}
	if dir == "" {
		bin, err := download(ctx, cluster, notice)
		if err == nil {
			return bin, nil
		}
		seen = append(seen, err.Error())
	}
	if len(dirs) > 0 {
		seen = append(seen, "looked in "+strings.Join(dirs, ", "))
	}
	return binaries{}, fmt.Errorf("%w: install PostgreSQL %d or newer (Debian and Ubuntu: apt install postgresql; Fedora: dnf install postgresql-server postgresql-contrib; Alpine: apk add postgresql17 postgresql17-contrib; macOS: brew install postgresql@17) or put its postgres and initdb into PATH (%s)",
		ErrNoBinaries, minVersion, strings.Join(seen, "; "))
}

// Programs returns the folder of the machine's PostgreSQL, in which there are all that are
// named; data is a folder with a cluster or none.
func Programs(ctx context.Context, data string, names ...string) (dir string, err error) {
	bin, err := findBinaries(ctx, "", clusterVersion(data), func(string) {})
	if err != nil {
		return "", err
	}
	dir = filepath.Dir(bin.postgres)
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("%w with %s (Debian and Ubuntu: apt install postgresql)", ErrNoBinaries, name)
		}
	}
	return dir, nil
}

// candidates returns the folders in which PostgreSQL may be, best first.
func candidates(ctx context.Context) []string {
	var dirs []string
	add := func(dir string) {
		// Several ways lead to one installation; initdb finds its files only
		// from the real one.
		if program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")); err == nil {
			dir = filepath.Dir(program)
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		add(filepath.Dir(path))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		add(strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // the project's own RPMs
		"/usr/libexec/postgresql*",  // Alpine
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return versionIn(b) - versionIn(a) })
		for _, dir := range found {
			add(dir)
		}
	}
	return dirs
}

var number = regexp.MustCompile(`\d+`)

// versionIn returns the number in a path, of /usr/lib/postgresql/17/bin 17.
func versionIn(path string) int {
	n, _ := strconv.Atoi(number.FindString(path))
	return n
}

// inspect asks the programs in dir for their version.
func inspect(ctx context.Context, dir string) (binaries, error) {
	bin := binaries{postgres: filepath.Join(dir, "postgres"), initdb: filepath.Join(dir, "initdb")}
	for _, name := range []string{bin.postgres, bin.initdb} {
		if _, err := os.Stat(name); err != nil {
			return bin, err
		}
	}
	out, err := exec.CommandContext(ctx, bin.postgres, "--version").Output() // postgres (PostgreSQL) 15.18 (Debian ...)
	if err != nil {
		return bin, fmt.Errorf("%s --version: %w", bin.postgres, err)
	}
	_, rest, _ := strings.Cut(string(out), "(PostgreSQL) ")
	bin.version, _, _ = strings.Cut(strings.TrimSpace(rest), " ")
	if bin.major() == 0 {
		return bin, fmt.Errorf("%s --version: %q", bin.postgres, out)
	}
	return bin, nil
}
