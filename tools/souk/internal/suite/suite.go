// Package suite is `souk test`: it installs what the tests need and runs them.
package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/souk/internal/images"
)

// Command is `souk test`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("test", `usage: souk test [flags] [-- GO TEST'S ARGUMENTS]

Runs every test of every module, or "go test" with the arguments after --:

  souk test -- -race ./services/...

Before that it installs what the tests need and is missing, PostgreSQL, Redis,
Chromium and Java (and a C compiler for -race), with apt, dnf, apk or Homebrew; with apt
also Patroni, etcd and Varnish, whose tests are skipped elsewhere. It says
what it is going to run and asks first; where it may not, it prints the line for
a user who may.

`, stderr)
	yes := flags.Bool("yes", false, "install without asking")
	only := flags.Bool("install-only", false, "install and run no test")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := prepare(ctx, thisMachine(ctx), flags.Args(), *yes, stdout, stderr); err != nil {
		return err
	}
	if *only {
		return nil
	}
	root, err := images.Repository(ctx)
	if err != nil {
		return err
	}
	return run(ctx, root, append([]string{"go"}, goTest(flags.Args())...), stdout, stderr)
}

// prepare installs what the machine lacks for a run with these arguments.
func prepare(ctx context.Context, m machine, args []string, yes bool, stdout, stderr io.Writer) error {
	missing := m.missing(args)
	if len(missing) == 0 {
		fmt.Fprintln(stdout, "nothing to install")
		return nil
	}
	p, err := m.install(missing)
	if err != nil {
		return err
	}
	for _, n := range missing {
		fmt.Fprintf(stdout, "missing: %s\n", n.what)
	}
	if !p.rights {
		return fmt.Errorf("no rights to install it; run this as root, then again:\n\n  %s", p.rootLine())
	}
	if !yes {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return fmt.Errorf("not installed without asking: pass --yes, or run\n\n  %s", p.line())
		}
		fmt.Fprintf(stdout, "\n  %s\n\nrun this? [Y/n] ", p.line())
		answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil || !slices.Contains([]string{"", "y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
			return errors.Join(errors.New("nothing was installed, and no test was run"), err)
		}
	}
	for _, c := range p.commands {
		fmt.Fprintln(stdout, "running:", strings.Join(c, " "))
		if err := run(ctx, "", c, stdout, stderr); err != nil {
			if c[0] == "sudo" { // which may know this user or not
				return fmt.Errorf("%w; if it is for want of rights, run this as root, then again:\n\n  %s", err, p.rootLine())
			}
			return err
		}
	}
	for _, n := range m.missing(args) {
		err = errors.Join(err, fmt.Errorf("%s is still missing after the installation", n.what))
	}
	return err
}

// goTest is the command line of go test: all of the workspace unless the
// arguments name packages. A module's path or a folder is a package.
func goTest(args []string) []string {
	own, rest := args, []string(nil)
	if i := slices.IndexFunc(args, func(a string) bool { return a == "-args" || a == "--args" }); i >= 0 {
		own, rest = args[:i], args[i:]
	}
	line := append([]string{"test"}, own...)
	if !slices.ContainsFunc(own, isPackage) {
		if !slices.ContainsFunc(own, func(a string) bool { return strings.HasPrefix(strings.TrimLeft(a, "-"), "timeout") }) {
			line = append(line, "-timeout", "30m") // the end-to-end tests on a small machine
		}
		line = append(line, "work")
	}
	return append(line, rest...)
}

func isPackage(arg string) bool {
	return arg == "." || arg == "work" || arg == "all" || strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../") || strings.HasPrefix(arg, "github.com/souk-shop/souk/")
}

// run runs a command in a folder, with this process's input and output.
func run(ctx context.Context, dir string, command []string, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, os.Stdin, stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test ends its tests
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return nil
}
