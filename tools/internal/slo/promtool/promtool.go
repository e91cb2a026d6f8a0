// Package promtool finds the programs that check what is written for Prometheus and
// Alertmanager: promtool, amtool, and Prometheus itself.
package promtool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// packages are Debian's. They are unpacked and not installed: an installation starts the
// servers.
var packages = []string{"prometheus", "prometheus-alertmanager"}

// programs are what is looked for.
var programs = []string{"promtool", "amtool", "prometheus"}

// Tools are the paths of the programs.
type Tools struct{ Promtool, Amtool, Prometheus string }

// Find returns the programs of PATH, or Debian's from the user's cache, into which apt-get
// and dpkg put them once, without the rights of root. Where there is neither the error says
// what to install. notice is told of a download.
func Find(ctx context.Context, notice func(string)) (Tools, error) {
	if t, ok := found(exec.LookPath); ok {
		return t, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Tools{}, err
	}
	return unpacked(ctx, filepath.Join(cache, "souk", "prometheus"), notice)
}

// unpacked returns the programs of a folder, which it fills when it is not there.
func unpacked(ctx context.Context, dir string, notice func(string)) (Tools, error) {
	in := func(program string) (string, error) {
		return exec.LookPath(filepath.Join(dir, "usr", "bin", program))
	}
	if t, ok := found(in); ok {
		return t, nil
	}
	for _, program := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(program); err != nil {
			return Tools{}, errors.New("promtool and amtool are missing, and this is no Debian to get them from: install Prometheus and Alertmanager (brew install prometheus alertmanager)")
		}
	}
	notice(fmt.Sprintf("downloading Debian's packages of Prometheus and Alertmanager (30 MB, once) to %s", dir))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Tools{}, err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(dir), "prometheus-")
	if err != nil {
		return Tools{}, err
	}
	defer os.RemoveAll(scratch)
	// apt-get checks the packages by the archive's signatures.
	if err := run(ctx, scratch, "apt-get", append([]string{"-q", "-o", "Acquire::Retries=3", "download"}, packages...)...); err != nil {
		return Tools{}, fmt.Errorf("%w; apt-get update may help", err)
	}
	files, err := filepath.Glob(filepath.Join(scratch, "*.deb"))
	if err != nil || len(files) != len(packages) {
		return Tools{}, fmt.Errorf("apt-get downloaded %q, want %q", files, packages)
	}
	for _, file := range files {
		if err := run(ctx, scratch, "dpkg", "-x", file, "."); err != nil {
			return Tools{}, err
		}
		if err := os.Remove(file); err != nil {
			return Tools{}, err
		}
	}
	// Another process may have been faster; then its folder is as good.
	if err := os.Rename(scratch, dir); err != nil {
		if t, ok := found(in); ok {
			return t, nil
		}
		return Tools{}, err
	}
	t, ok := found(in)
	if !ok {
		return Tools{}, fmt.Errorf("the packages %q lack one of %q", packages, programs)
	}
	return t, nil
}

func found(look func(string) (string, error)) (Tools, bool) {
	paths := make([]string, len(programs))
	for i, program := range programs {
		paths[i], _ = look(program)
	}
	return Tools{Promtool: paths[0], Amtool: paths[1], Prometheus: paths[2]}, !slices.Contains(paths, "")
}

// run runs a command in a folder; its error has what it said.
func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}
