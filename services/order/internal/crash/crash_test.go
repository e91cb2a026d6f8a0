package crash

import (
	"errors"
	"testing"
)

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
