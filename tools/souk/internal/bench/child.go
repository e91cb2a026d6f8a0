package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a process that the benchmark started.
type child struct {
	cmd *exec.Cmd
	// line is the rest of the line that the process said it is ready with.
	line string
}

// startChild runs a program, with variables beside its own, and waits until it prints a line
// that begins with prefix. on starts it where it is to run; nil is anywhere.
func startChild(ctx context.Context, program string, on func(start func() error) error, env []string, in io.Reader, prefix string, args ...string) (*child, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = in
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if on == nil {
		on = func(start func() error) error { return start() }
	}
	if err := on(cmd.Start); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd}
	lines := make(chan string, 1)
	go func() {
		said := false
		sc := bufio.NewScanner(out)
		for sc.Scan() { // to the end, so that the process never waits for a reader
			if rest, ok := strings.CutPrefix(sc.Text(), prefix); ok && !said {
				said = true
				lines <- strings.TrimSpace(rest)
			}
		}
		if !said {
			close(lines)
		}
	}()
	select {
	case line, ok := <-lines:
		if !ok {
			return nil, fmt.Errorf("%s ended before it was ready: %w", strings.Join(args, " "), cmd.Wait())
		}
		c.line = line
		return c, nil
	case <-ctx.Done():
		c.stop()
		return nil, ctx.Err()
	case <-time.NewTimer(2 * time.Minute).C:
		c.stop()
		return nil, fmt.Errorf("%s was not ready after two minutes", strings.Join(args, " "))
	}
}

// stop ends the process as an operator would, and by force after a while.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(30*time.Second, func() { _ = c.cmd.Process.Kill() })
	_ = c.cmd.Wait() // how it ended does not matter any more
	kill.Stop()
}

// startBaseline starts the bare handler with the pages.
func startBaseline(ctx context.Context, pages []page) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(json.NewEncoder(w).Encode(pages)) }()
	return startChild(ctx, self, nil, nil, r, "listening on ", BaselineCommand)
}
