package run

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// journal records what happens in a group, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func newGroup() *Group { return NewGroup(slog.New(slog.DiscardHandler)) }

func TestGroupStopsInReverseOrderOneByOne(t *testing.T) {
	t.Parallel()
	var j journal
	var running sync.WaitGroup
	g := newGroup()
	for _, name := range []string{"database", "service", "gateway"} {
		running.Add(1)
		g.Add(name, func(ctx context.Context) error {
			running.Done()
			<-ctx.Done()
			j.add(name + " stopping")
			for range 1000 { // time in which another could begin to stop
				runtime.Gosched()
			}
			j.add(name + " stopped")
			return ctx.Err()
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { running.Wait(); cancel() }()
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"gateway stopping", "gateway stopped", "service stopping", "service stopped",
		"database stopping", "database stopped",
	}
	if got := j.all(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestGroupStopsAllAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	var j journal
	broken, worse := errors.New("broken"), errors.New("worse")
	g := newGroup()
	g.Add("one", func(ctx context.Context) error {
		<-ctx.Done()
		j.add("one")
		return worse
	})
	g.Add("two", func(context.Context) error { return broken })
	g.Add("three", func(ctx context.Context) error {
		<-ctx.Done()
		j.add("three")
		return nil
	})
	err := g.Run(t.Context())
	if !errors.Is(err, broken) || !errors.Is(err, worse) || !strings.Contains(err.Error(), "two: broken") {
		t.Errorf("got %v", err)
	}
	if got := j.all(); !slices.Equal(got, []string{"three", "one"}) {
		t.Errorf("stopped %q", got)
	}
}

func TestGroupGoesOnWhenAPartHasFinished(t *testing.T) {
	t.Parallel()
	finished := make(chan struct{})
	g := newGroup()
	g.Add("short", func(context.Context) error { close(finished); return nil })
	g.Add("long", func(ctx context.Context) error {
		<-finished
		if ctx.Err() != nil {
			return errors.New("stopped by the other's end")
		}
		return nil
	})
	if err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestGroupCancellationOfAPartsOwnIsAFailure(t *testing.T) {
	t.Parallel()
	g := newGroup()
	g.Add("part", func(context.Context) error { return context.Canceled })
	if err := g.Run(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestMain is also the program whose signals are tested.
func TestMain(m *testing.M) {
	if os.Getenv("SOUK_RUN_HELPER") == "" {
		os.Exit(m.Run())
	}
	Main("helper", map[string]func(context.Context) error{
		"serve": func(ctx context.Context) error {
			fmt.Println("serving")
			<-ctx.Done()
			fmt.Println("stopping")
			return ctx.Err()
		},
		"stuck": func(ctx context.Context) error {
			fmt.Println("serving")
			<-ctx.Done()
			fmt.Println("stopping")
			select {}
		},
	})
}

func helper(t *testing.T, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SOUK_RUN_HELPER=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

func expect(t *testing.T, out *bufio.Reader, want string) {
	t.Helper()
	if line, err := out.ReadString('\n'); strings.TrimSpace(line) != want {
		t.Fatalf("got %q, %v; want %q", line, err, want)
	}
}

func TestFirstSignalStopsSecondKills(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd, out := helper(t) // serve is the default
		expect(t, out, "serving")
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		expect(t, out, "stopping")
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v, want a good end", sig, err)
		}
	}
	cmd, out := helper(t, "stuck")
	expect(t, out, "serving")
	_ = cmd.Process.Signal(os.Interrupt)
	expect(t, out, "stopping")
	// The default action is back a moment after the context has ended.
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.After(10 * time.Second); ; {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Errorf("got %v, want killed by SIGINT", err)
			}
			return
		case <-deadline:
			_ = cmd.Process.Kill()
			t.Fatal("the second signal did not kill")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestMainExitCodes(t *testing.T) {
	t.Parallel()
	commands := map[string]func(context.Context) error{
		"serve":   func(context.Context) error { return nil },
		"migrate": func(context.Context) error { return errors.New("no database") },
	}
	for _, test := range []struct {
		args []string
		code int
		out  string
	}{
		{nil, 0, ""},
		{[]string{"serve"}, 0, ""},
		{[]string{"migrate"}, 1, "order migrate: no database\n"},
		{[]string{"fly"}, 2, "usage: order migrate|serve\n"},
		{[]string{"serve", "well"}, 2, "usage: order migrate|serve\n"},
		{[]string{"help"}, 0, "usage: order migrate|serve\n"},
	} {
		var out bytes.Buffer
		if code := run("order", test.args, commands, &out); code != test.code || out.String() != test.out {
			t.Errorf("%q: code %d, %q; want %d, %q", test.args, code, out.String(), test.code, test.out)
		}
	}
}

// A zero is the default, for every command: for one that runs no process as well.
func TestConfigured(t *testing.T) {
	t.Setenv("SOUK_RUNTEST_LIMIT", "0s")
	t.Setenv("SOUK_RUNTEST_PAUSE", "-1s")
	type settings struct {
		Limit time.Duration `env:"LIMIT, default=30s"`
		Pause time.Duration `env:"PAUSE, default=1s"`
	}
	var got settings
	command := Configured("SOUK_RUNTEST_", func(_ context.Context, cfg settings) error { got = cfg; return nil })
	if err := command(t.Context()); err != nil || got != (settings{30 * time.Second, -time.Second}) {
		t.Errorf("%+v, %v", got, err)
	}
	t.Setenv("SOUK_RUNTEST_LIMIT", "soon")
	if err := command(t.Context()); err == nil || !strings.Contains(err.Error(), "SOUK_RUNTEST_LIMIT") {
		t.Errorf("%v", err)
	}
}
