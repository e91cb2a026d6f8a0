package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test's own binary is devloop, or a program that devloop runs, if the
// environment says so.
func TestMain(m *testing.M) {
	switch os.Getenv("DEVLOOP_TEST") {
	case "devloop":
		main()
	case "program":
		program(os.Getenv("DEVLOOP_PROGRAM"), os.Args[1:])
	}
	os.Exit(m.Run())
}

// program says what happens to it. It ends with the code 7 when it is asked to,
// unless it is deaf; with "exit" as its argument it ends by itself, with 3.
func program(name string, args []string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	fmt.Println(name, "starts with", args)
	if len(args) > 0 && args[0] == "exit" {
		os.Exit(3)
	}
	for range signals {
		if name != "deaf" {
			fmt.Println(name, "stops")
			os.Exit(7)
		}
	}
}

// source is the text of an executable that is the program of that name.
func source(t *testing.T, name string) []byte {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, "#!/bin/sh\nDEVLOOP_TEST=program DEVLOOP_PROGRAM=%s exec '%s' \"$@\"\n", name, self)
}

// write makes an executable. A process that is forked meanwhile would hold the
// file open, and it could not be run.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// as returns the command of devloop under a name, which the tests end with.
func as(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Args[0] = name
	cmd.Env = append(os.Environ(), "DEVLOOP_TEST=devloop")
	cmd.Stderr = t.Output()
	return cmd
}

// archive returns a tar of one file.
func archive(t *testing.T, header tar.Header, content []byte) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	header.Size = int64(len(content))
	if err := w.WriteHeader(&header); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func expect(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("nothing more is said, want %q (%v)", want, lines.Err())
	}
	if got := lines.Text(); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// The whole life: the image's own program, a newer one brought by what Tilt runs
// in the container, one more, their arguments, and the end with the pod.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	live, own := filepath.Join(dir, "live", "souk"), filepath.Join(dir, "souk")
	write(t, own, source(t, "own"))
	loop := as(t, "/devloop", live, own, "serve", "x y")
	out, err := loop.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	expect(t, lines, "own starts with [serve x y]")
	was := "own"
	for _, name := range []string{"one", "two"} {
		put := as(t, "tar", "-C", dir, "-x", "-f", "-")
		put.Stdin = archive(t, tar.Header{Name: "live/souk", Mode: 0o755}, source(t, name))
		if err := put.Run(); err != nil {
			t.Fatal(err)
		}
		expect(t, lines, was+" stops")
		expect(t, lines, name+" starts with [serve x y]")
		was = name
	}
	// What is deleted on the host is deleted here; the program goes on.
	if err := as(t, "/bin/rm", "-rf", live, filepath.Join(dir, "never")).Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(live); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("it is still there: %v", err)
	}
	if err := loop.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "two stops")
	if lines.Scan() {
		t.Errorf("then %q", lines.Text())
	}
	if err := loop.Wait(); loop.ProcessState.ExitCode() != 7 {
		t.Errorf("%v, want the program's exit code 7", err)
	}
}

// A program that ends by itself ends devloop, which so is a Job's, too.
func TestExitCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := filepath.Join(dir, "souk")
	write(t, own, source(t, "own"))
	if err := as(t, "devloop", filepath.Join(dir, "live"), own, "exit").Run(); err == nil || err.Error() != "exit status 3" {
		t.Errorf("%v, want exit status 3", err)
	}
	killed := filepath.Join(dir, "killed")
	write(t, killed, []byte("#!/bin/sh\nkill -KILL $$\n"))
	if err := as(t, "devloop", filepath.Join(dir, "live"), killed).Run(); err == nil || err.Error() != "exit status 137" {
		t.Errorf("%v, want exit status 137", err)
	}
	if err := as(t, "devloop", filepath.Join(dir, "live"), filepath.Join(dir, "never")).Run(); err == nil || err.Error() != "exit status 1" {
		t.Errorf("%v, want exit status 1", err)
	}
	if err := as(t, "devloop", "live").Run(); err == nil || err.Error() != "exit status 2" {
		t.Errorf("%v, want exit status 2", err)
	}
}

// A program that does not hear is killed, and the new one runs.
func TestDeaf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	live, own := filepath.Join(dir, "live"), filepath.Join(dir, "own")
	write(t, own, source(t, "deaf"))
	read, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	l := loop{
		live: live, own: own, every: time.Millisecond, stopTimeout: 20 * time.Millisecond, stdout: stdout,
		log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	signals := make(chan os.Signal, 1)
	code := make(chan int, 1)
	go func() {
		defer stdout.Close()
		n, _ := l.run(signals)
		code <- n
	}()
	lines := bufio.NewScanner(read)
	expect(t, lines, "deaf starts with []")
	write(t, filepath.Join(dir, "new"), source(t, "new"))
	if err := os.Rename(filepath.Join(dir, "new"), live); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "new starts with []")
	signals <- syscall.SIGTERM
	expect(t, lines, "new stops")
	if n := <-code; n != 7 {
		t.Errorf("code %d, want 7", n)
	}
}

// What makes a program outdated: another file, or another content.
func TestOutdated(t *testing.T) {
	t.Parallel()
	l := loop{live: filepath.Join(t.TempDir(), "souk")}
	is := func(running os.FileInfo, want bool, when string) os.FileInfo {
		t.Helper()
		if got := l.outdated(running); got != want {
			t.Errorf("%s: outdated %v", when, got)
		}
		return l.newest()
	}
	is(nil, false, "nothing is there")
	write(t, l.live, []byte("one"))
	running := is(nil, true, "the first is there")
	is(running, false, "it runs")
	if err := os.Remove(l.live); err != nil {
		t.Fatal(err)
	}
	is(running, false, "it is deleted")
	write(t, l.live, []byte("other"))
	running = is(running, true, "there is another")
	if err := os.Chtimes(l.live, time.Time{}, running.ModTime().Add(time.Nanosecond)); err != nil {
		t.Fatal(err)
	}
	is(running, true, "it is written anew")
	if err := errors.Join(os.Remove(l.live), os.Mkdir(l.live, 0o755)); err != nil {
		t.Fatal(err)
	}
	is(nil, false, "a folder")
}

// A file is there whole or not at all, with its mode; nothing leaves the
// directory.
func TestUntar(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := archive(t, tar.Header{Name: "/live/souk", Mode: 0o750}, bytes.Repeat([]byte("x"), 100_000)).Bytes()
	if err := untar([]string{"-C", dir, "-x", "-f", "-"}, bytes.NewReader(whole[:50_000])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half an archive: %v", err)
	}
	if found, err := os.ReadDir(filepath.Join(dir, "live")); err != nil || len(found) != 0 {
		t.Errorf("half an archive leaves %v %v", found, err)
	}
	for _, args := range [][]string{{"-C", dir, "-x", "-f", "-"}, {"-xmf", "-", "-C", dir}} {
		if err := untar(args, bytes.NewReader(whole)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "live", "souk"))
		if err != nil || info.Mode().Perm() != 0o750 || info.Size() != 100_000 {
			t.Errorf("%v: %v %v", args, info, err)
		}
		if err := remove([]string{"-rf", filepath.Join(dir, "live")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, header := range []tar.Header{
		{Name: "../outside", Mode: 0o644},
		{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
	} {
		if err := untar([]string{"-xf", "-", "-C", dir}, archive(t, header, nil)); err == nil {
			t.Errorf("%s is taken", header.Name)
		}
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(dir), "outside")); err == nil {
		t.Error("a file is outside of the directory")
	}
	for _, args := range []string{"", "-x", "-c -f -", "-x -f a.tar", "-x -f - souk", "-x -f", "-xfC - /", "-z -x -f -"} {
		if err := untar(strings.Fields(args), bytes.NewReader(whole)); err == nil {
			t.Errorf("tar %s is taken", args)
		}
	}
	for _, args := range []string{"", "/", "-r /"} {
		if err := remove(strings.Fields(args)); err == nil {
			t.Errorf("rm %s is taken", args)
		}
	}
}
