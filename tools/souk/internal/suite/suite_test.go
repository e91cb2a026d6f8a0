package suite

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// on is a machine with Java, etcd and these programs.
func on(root bool, programs ...string) machine {
	return machine{
		has:  func(p string) bool { return p == "java" || p == "etcd" || slices.Contains(programs, p) },
		file: func(string) bool { return false },
		root: root,
		sudo: func() bool { return true },
	}
}

// of is the same machine with another distribution on it.
func (m machine) of(id, like string) machine {
	m.id, m.like = id, like
	return m
}

// withoutSudo is the same machine for a user whom sudo refuses.
func (m machine) withoutSudo() machine {
	m.sudo = func() bool { return false }
	return m
}

func TestPlan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		m    machine
		args []string
		want string // the plan's line
	}{
		{"debian", on(true, "apt-get"), nil, "apt-get -q -o Acquire::Retries=3 update && env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends git postgresql redis-server chromium patroni python3-etcd pgbackrest varnish varnish-modules"},
		{"debian with sudo", on(false, "apt-get", "sudo", "git", "postgres", "chromium"), nil, "sudo apt-get -q -o Acquire::Retries=3 update && sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends redis-server patroni python3-etcd pgbackrest varnish varnish-modules"},
		{"fedora", on(true, "dnf", "git"), nil, "dnf -y install postgresql-server postgresql-contrib valkey chromium"},
		{"alpine, race", on(true, "apk", "git", "valkey-server"), []string{"-race"}, "apk add --no-cache postgresql17 postgresql17-contrib chromium gcc musl-dev"},
		{"ubuntu", on(true, "apt-get", "snap", "git", "redis-server", "chromium-browser").of("ubuntu", "debian"), nil, "apt-get -q -o Acquire::Retries=3 update && env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends postgresql patroni python3-etcd pgbackrest varnish varnish-modules && snap install chromium"},
		{"made of ubuntu, with sudo", on(false, "apt-get", "snap", "sudo", "git", "redis-server", "postgres").of("neon", "ubuntu debian"), nil, "sudo apt-get -q -o Acquire::Retries=3 update && sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends patroni python3-etcd pgbackrest varnish varnish-modules && sudo snap install chromium"},
		{"mint has its own", on(true, "apt-get", "git", "redis-server", "postgres").of("linuxmint", "ubuntu debian"), nil, "apt-get -q -o Acquire::Retries=3 update && env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 install --no-install-recommends chromium patroni python3-etcd pgbackrest varnish varnish-modules"},
		{"rocky", on(true, "dnf", "git", "postgres").of("rocky", "rhel centos fedora"), nil, "dnf -y install epel-release && dnf -y install valkey chromium"},
		{"mac", on(false, "brew", "git", "clang"), []string{"-race"}, "brew install postgresql@17 valkey google-chrome"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := tt.m.install(tt.m.missing(tt.args))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.line(); got != tt.want || !p.rights {
				t.Errorf("rights %t, line\n%s\nwant\n%s", p.rights, got, tt.want)
			}
		})
	}
}

func TestWhatStopsTheInstallation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		m    machine
		yes  bool
		want string
	}{
		{"no rights", on(false, "apt-get", "git"), true, "  apt-get -q -o Acquire::Retries=3 update && env "},
		{"sudo refuses", on(false, "apt-get", "git", "sudo").withoutSudo(), true, "run this as root, then again:\n\n  apt-get -q -o Acquire::Retries=3 update && env "},
		{"ubuntu without snapd", on(true, "apt-get", "git", "redis-server", "postgres").of("ubuntu", "debian"), true, "install Google Chrome from https://"},
		{"no manager", on(true), true, "need git, PostgreSQL, Redis or Valkey, Chromium or Chrome, and there is none of apt-get"},
		{"not asked", on(true, "apk", "git"), false, "  apk add --no-cache postgresql17 postgresql17-contrib valkey chromium"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := prepare(t.Context(), tt.m, nil, tt.yes, &out, &out)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestNothingMissing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := prepare(t.Context(), on(false, "git", "postgres", "valkey-server", "google-chrome"), nil, false, &out, &out); err != nil || out.String() != "nothing to install\n" {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestEveryManagerHasEveryPackage(t *testing.T) {
	t.Parallel()
	for _, m := range managers {
		for _, n := range needs {
			if n.packages[m.name] == "" && !n.optional {
				t.Errorf("%s: no package for %s", m.name, n.what)
			}
		}
	}
}

func TestGoTest(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                             "test -timeout 30m work",
		"-race -run Five":              "test -race -run Five -timeout 30m work",
		"-timeout=5m":                  "test -timeout=5m work",
		"-race ./services/... ./tools": "test -race ./services/... ./tools",
		"-v -args -x ./y":              "test -v -timeout 30m work -args -x ./y",
	} {
		if got := strings.Join(goTest(strings.Fields(line)), " "); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestDistribution(t *testing.T) {
	t.Parallel()
	for release, want := range map[string][2]string{
		"PRETTY_NAME=\"Ubuntu 24.04\"\nID=ubuntu\nID_LIKE=debian\n":      {"ubuntu", "debian"},
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9'\n": {"rocky", "rhel centos fedora"},
		"": {},
	} {
		if id, like := distribution(release); id != want[0] || like != want[1] {
			t.Errorf("%q: %q, %q", release, id, like)
		}
	}
}
