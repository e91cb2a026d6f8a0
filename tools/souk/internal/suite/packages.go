package suite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"
)

// A need is a program that tests run, and the packages that have it.
type need struct {
	what string
	// any of these in PATH will do, or a file that one of the patterns matches.
	programs, files []string
	// packages by manager, separated by spaces.
	packages map[string]string
	// optional means that tests do without where the manager has no package.
	optional bool
	// snap is what Ubuntu has instead of a package of apt.
	snap string
	// wanted says whether a run with these arguments needs it; always when nil.
	wanted func(args []string) bool
}

// needs is everything that the tests and .ci/run use beside Go.
var needs = []need{
	{
		what: "git", programs: []string{"git"},
		packages: map[string]string{"apt": "git", "dnf": "git", "apk": "git", "brew": "git"},
	},
	{
		what: "PostgreSQL", programs: []string{"postgres"},
		// Where chassis/pg/pgserver looks, too.
		files:    []string{"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", "/usr/libexec/postgresql*/postgres", "/opt/homebrew/opt/postgresql*/bin/postgres", "/usr/local/opt/postgresql*/bin/postgres", "/Applications/Postgres.app/Contents/Versions/*/bin/postgres"},
		packages: map[string]string{"apt": "postgresql", "dnf": "postgresql-server postgresql-contrib", "apk": "postgresql17 postgresql17-contrib", "brew": "postgresql@17"},
	},
	{
		what: "Redis or Valkey", programs: []string{"redis-server", "valkey-server"},
		packages: map[string]string{"apt": "redis-server", "dnf": "valkey", "apk": "valkey", "brew": "valkey"},
	},
	{
		what: "Chromium or Chrome", programs: []string{"chromium", chromiumBrowser, "google-chrome", "google-chrome-stable"},
		snap:     "chromium",
		files:    []string{"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"},
		packages: map[string]string{"apt": "chromium", "dnf": "chromium", "apk": "chromium", "brew": "google-chrome"},
	},
	{
		what: "Java", programs: []string{"java"}, // 17 or newer, for a broker of Kafka
		files:    []string{"/opt/homebrew/opt/openjdk/bin/java", "/usr/local/opt/openjdk/bin/java"},
		packages: map[string]string{"apt": "default-jre-headless", "dnf": "java-latest-openjdk-headless", "apk": "openjdk21-jre-headless", "brew": "openjdk"},
	},
	{
		what: "Patroni", programs: []string{"patroni"}, optional: true,
		packages: map[string]string{"apt": "patroni python3-etcd"},
	},
	{
		what: "etcd", programs: []string{"etcd"}, optional: true,
		packages: map[string]string{"apt": "etcd-server"},
	},
	{
		what: "pgBackRest", programs: []string{"pgbackrest"}, optional: true,
		packages: map[string]string{"apt": "pgbackrest"},
	},
	{
		what: "Varnish with xkey", optional: true, // a folder of its modules is on no PATH
		files:    []string{"/usr/lib/*/varnish/vmods/libvmod_xkey.so"},
		packages: map[string]string{"apt": "varnish varnish-modules"},
	},
	{
		what: "a C compiler", programs: []string{"gcc", "clang"},
		packages: map[string]string{"apt": "gcc libc6-dev", "dnf": "gcc glibc-devel", "apk": "gcc musl-dev", "brew": "gcc"},
		wanted:   func(args []string) bool { return slices.Contains(args, "-race") || slices.Contains(args, "--race") },
	},
}

// chromiumBrowser is Chromium on some systems. On Ubuntu it is a script that says
// to install the snap until there is one.
const (
	chromiumBrowser = "chromium-browser"
	chromiumSnap    = "/snap/bin/chromium"
)

// managers are the package managers by their program, with the steps that
// install packages: each is a command, to which the last adds the packages.
var managers = []struct {
	name, program string
	root          bool // needs the rights of root
	steps         [][]string
}{
	{"apt", "apt-get", true, [][]string{
		{"apt-get", "-q", "-o", "Acquire::Retries=3", "update"},
		{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "install", "--no-install-recommends"},
	}},
	{"dnf", "dnf", true, [][]string{{"dnf", "-y", "install"}}},
	{"apk", "apk", true, [][]string{{"apk", "add", "--no-cache"}}},
	{"brew", "brew", false, [][]string{{"brew", "install"}}},
}

// machine is what the plan depends on, so that tests can be any machine.
type machine struct {
	has  func(program string) bool // in PATH
	file func(pattern string) bool
	root bool
	// sudo says that sudo, if there is one, may be used: without a password, or
	// with a terminal to type it on.
	sudo func() bool
	// id and like are the ID and ID_LIKE of /etc/os-release.
	id, like string
}

func thisMachine(ctx context.Context) machine {
	release, _ := os.ReadFile("/etc/os-release") // macOS has none
	id, like := distribution(string(release))
	return machine{
		has:  func(program string) bool { _, err := exec.LookPath(program); return err == nil },
		file: func(pattern string) bool { found, _ := filepath.Glob(pattern); return len(found) > 0 },
		root: os.Geteuid() == 0,
		sudo: func() bool {
			return term.IsTerminal(int(os.Stdin.Fd())) || exec.CommandContext(ctx, "sudo", "-n", "true").Run() == nil
		},
		id: id, like: like,
	}
}

// distribution reads ID and ID_LIKE of an os-release file.
func distribution(release string) (id, like string) {
	for line := range strings.Lines(release) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch name {
		case "ID":
			id = value
		case "ID_LIKE":
			like = value
		}
	}
	return id, like
}

// snaps says that apt's Chromium is a stub of the snap: on Ubuntu and on what is
// made of its packages, but for those that package Chromium themselves.
func (m machine) snaps() bool {
	return m.id == "ubuntu" || slices.Contains(strings.Fields(m.like), "ubuntu") && m.id != "linuxmint" && m.id != "pop"
}

// missing returns the needs of a run with these arguments that the machine does
// not meet.
func (m machine) missing(args []string) []need {
	has := func(program string) bool {
		return m.has(program) && (program != chromiumBrowser || !m.snaps() || m.file(chromiumSnap))
	}
	var out []need
	for _, n := range needs {
		if n.wanted != nil && !n.wanted(args) {
			continue
		}
		if n.optional && n.packages[m.manager()] == "" {
			continue
		}
		if !slices.ContainsFunc(n.programs, has) && !slices.ContainsFunc(n.files, m.file) {
			out = append(out, n)
		}
	}
	return out
}

// manager is the name of the machine's package manager, "" without one.
func (m machine) manager() string {
	for _, manager := range managers {
		if m.has(manager.program) {
			return manager.name
		}
	}
	return ""
}

// plan is how to install what is missing.
type plan struct {
	commands [][]string
	// rights says that the user can run them.
	rights bool
}

// install plans the installation. Where the machine's package manager cannot do
// it the error says what is missing.
func (m machine) install(missing []need) (plan, error) {
	var names []string
	for _, n := range missing {
		names = append(names, n.what)
	}
	for _, manager := range managers {
		if !m.has(manager.program) {
			continue
		}
		p := plan{rights: true}
		for _, step := range manager.steps {
			p.commands = append(p.commands, slices.Clone(step))
		}
		last := &p.commands[len(p.commands)-1]
		bare := len(*last)
		var snaps []string
		for _, n := range missing {
			if manager.name == "apt" && n.snap != "" && m.snaps() {
				if !m.has("snap") {
					return plan{}, fmt.Errorf("the tests need %s, which %s has as a snap only, and there is no snapd: install Google Chrome from https://www.google.com/chrome/, then run this again", n.what, m.id)
				}
				snaps = append(snaps, n.snap)
				continue
			}
			*last = append(*last, strings.Fields(n.packages[manager.name])...)
		}
		if len(*last) == bare {
			p.commands = nil // all are snaps
		}
		if len(snaps) > 0 {
			p.commands = append(p.commands, append([]string{"snap", "install"}, snaps...))
		}
		if manager.name == "dnf" && slices.Contains([]string{"almalinux", "centos", "rocky"}, m.id) {
			// Chromium and Valkey are there.
			p.commands = append([][]string{{"dnf", "-y", "install", "epel-release"}}, p.commands...)
		}
		if manager.root && !m.root {
			p.rights = m.has("sudo") && m.sudo()
			for i, c := range p.commands {
				p.commands[i] = append([]string{"sudo"}, c...)
			}
		}
		return p, nil
	}
	return plan{}, fmt.Errorf("the tests need %s, and there is none of apt-get, dnf, apk and brew to install it with", strings.Join(names, ", "))
}

// line is the plan as one line for a shell.
func (p plan) line() string {
	var parts []string
	for _, c := range p.commands {
		parts = append(parts, strings.Join(c, " "))
	}
	return strings.Join(parts, " && ")
}

// rootLine is the same for a shell of root.
func (p plan) rootLine() string { return strings.ReplaceAll(p.line(), "sudo ", "") }
