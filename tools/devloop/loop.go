package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// loop runs a program that may be replaced.
type loop struct {
	live        string        // where a newer program is put
	own         string        // what runs as long as there is none
	args        []string      // of either
	every       time.Duration // how often live is looked at
	stopTimeout time.Duration // how long a replaced program may take to end
	stdout      *os.File      // of the program
	log         *slog.Logger
}

// run runs the program until it ends by itself or by one of the signals, which
// it passes on. The code is the program's, or 128 and the signal that killed it.
func (l *loop) run(signals <-chan os.Signal) (code int, err error) {
	ticker := time.NewTicker(l.every)
	defer ticker.Stop()
	for {
		path, running := l.choose()
		cmd := exec.Command(path, l.args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, l.stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return 1, err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()

		var replaced time.Time // zero until then
		var overdue <-chan time.Time
		stopping := false
		for {
			select {
			case s := <-signals:
				stopping = true
				_ = cmd.Process.Signal(s) // it may have ended just now
				continue
			case <-overdue:
				l.log.Warn("the old program does not end: killing it")
				_ = cmd.Process.Kill()
				continue
			case <-ticker.C:
				if replaced.IsZero() && l.outdated(running) {
					replaced, overdue = time.Now(), time.NewTimer(l.stopTimeout).C
					_ = cmd.Process.Signal(syscall.SIGTERM)
				}
				continue
			case err = <-ended:
			}
			break
		}
		if replaced.IsZero() || stopping {
			return exitCode(err)
		}
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "starting the new program", slog.Duration("stopped_in", time.Since(replaced)))
	}
}

// choose returns the program to run, and what it is if it is the live one.
func (l *loop) choose() (path string, live os.FileInfo) {
	if live = l.newest(); live != nil {
		return l.live, live
	}
	return l.own, nil
}

// newest returns the live program, nil if there is none. A file is there whole:
// untar renames.
func (l *loop) newest() os.FileInfo {
	info, err := os.Stat(l.live)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return info
}

// outdated reports whether there is a live program other than the running one,
// which is nil if that is not a live one. None is no reason to stop: the next is
// under way.
func (l *loop) outdated(running os.FileInfo) bool {
	newest := l.newest()
	return newest != nil && (running == nil || !os.SameFile(newest, running) ||
		!newest.ModTime().Equal(running.ModTime()) || newest.Size() != running.Size())
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 1, fmt.Errorf("wait for the program: %w", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
