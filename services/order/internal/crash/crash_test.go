package crash

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestKills lets a process of its own reach an armed point.
func TestKills(t *testing.T) {
	const armed = "SOUK_TEST_CRASH_AT"
	if setting := os.Getenv(armed); setting != "" {
		hook, err := Parse(setting)
		if err != nil {
			t.Fatal(err)
		}
		_ = hook(Placed)
		_ = hook(Placed)
		t.Fatal("still alive")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKills$")
	cmd.Env = append(os.Environ(), armed+"=placed:2")
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("the process ended with %v", err)
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, setting := range []string{"nowhere", "placed:0", "placed:x", "placed:-1", ":1"} {
		if _, err := Parse(setting); err == nil {
			t.Errorf("%q is accepted", setting)
		}
	}
	hook, err := Parse("")
	if err != nil || hook(Placed) != nil {
		t.Fatal("an empty setting does not mean never")
	}
	killed := 0
	hook, err = parse("capture.answered:2", func() { killed++ })
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range []Point{Placed, CaptureAnswered, Placed, CaptureAnswered, CaptureAnswered} {
		err := hook(p)
		if (i == 3) != errors.Is(err, ErrCrashed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if killed != 1 {
		t.Errorf("killed %d times", killed)
	}
}
