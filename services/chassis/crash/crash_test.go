package crash

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const (
	sent     Point = "letter.sent"
	answered Point = "letter.answered"
)

var points = []Point{sent, answered}

// TestKills lets a process of its own reach an armed point.
func TestKills(t *testing.T) {
	const armed = "SOUK_TEST_CRASH_AT"
	if setting := os.Getenv(armed); setting != "" {
		hook, err := Parse(setting, points)
		if err != nil {
			t.Fatal(err)
		}
		_ = hook(sent)
		os.Stderr.WriteString("reached once\n")
		_ = hook(sent)
		os.Stderr.WriteString("still alive\n")
		return
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKills$")
	cmd.Env = append(os.Environ(), armed+"=letter.sent:2")
	var said strings.Builder
	cmd.Stderr = &said
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || said.String() != "reached once\n"+Epitaph(sent)+"\n" {
		t.Fatalf("the process ended with %v, and said %q", err, &said)
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); runtime.GOOS != "windows" && (!ok || s.Signal() != syscall.SIGKILL) {
		t.Errorf("the process ended with %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"nowhere", "letter.sent:0", "letter.sent:x", "letter.sent:-1", "letter.sent:", ":1"} {
		if _, err := Parse(setting, points); err == nil {
			t.Errorf("%q is accepted", setting)
		}
	}
	if _, err := Parse("letter", points); err == nil || !strings.Contains(err.Error(), "letter.sent") {
		t.Errorf("an unknown point is refused with %v, which does not tell of those that exist", err)
	}
	for setting, want := range map[string]int{"": 0, "letter.sent": 1, "letter.sent:3": 3, "letter.answered": 0} {
		killed := 0
		hook, err := parse(setting, points, func(Point) { killed++ })
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 5; i++ {
			if err := hook(sent); (i == want) != errors.Is(err, ErrCrashed) {
				t.Errorf("%q: call %d returns %v", setting, i, err)
			}
		}
		if want > 0 && killed != 1 || want == 0 && killed != 0 {
			t.Errorf("%q killed %d times", setting, killed)
		}
	}
}

func TestAfter(t *testing.T) {
	t.Parallel()
	failed, hit := errors.New("the call failed"), 0
	hook := func(Point) error { hit++; return ErrCrashed }
	for _, test := range []struct {
		point   Point
		reached bool
		call    error
		want    error
		hits    int
	}{
		{"here", true, nil, ErrCrashed, 1},
		{"here", true, failed, ErrCrashed, 1},
		{"here", false, failed, failed, 0},
		{"here", false, nil, nil, 0},
		{"", true, failed, failed, 0},
	} {
		hit = 0
		if err := After(hook, test.point, test.reached, test.call); !errors.Is(err, test.want) || hit != test.hits {
			t.Errorf("%+v: %v after %d hits", test, err, hit)
		}
	}
	if err := After(Never, "here", true, failed); !errors.Is(err, failed) {
		t.Errorf("without a crash: %v", err)
	}
}
