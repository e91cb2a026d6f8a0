package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestInFlight(t *testing.T) {
	t.Parallel()
	// A key whose entry is not on disk yet has no result to replay.
	kept := &stored{key: "k", inFlight: true}
	if a := kept.replay(Request{IdempotencyKey: "k"}); a.Err == nil || a.Err.Status != 409 || a.Err.Code != "idempotency_key_in_use" {
		t.Errorf("in flight: %+v", a.Err)
	}
}

func TestJournalFaults(t *testing.T) {
	t.Parallel()
	line := func(n int) string {
		return fmt.Sprintf(`{"seq":%d,"at":"2026-11-01T09:00:00Z","event":"payment_intent.created","id":"pi_%d","amount":100,"currency":"gbp"}`+"\n", n, n)
	}
	for name, c := range map[string]struct {
		text    string
		entries int64 // -1: refused
	}{
		"empty":               {"", 0},
		"whole":               {line(1) + line(2), 2},
		"torn":                {line(1) + line(2)[:40], 1},
		"torn with a newline": {line(1) + "\x00\x00\x00\n", 1},
		"damaged":             {line(1) + "\x00\x00\n" + line(2), -1},
		"gap":                 {line(1) + line(3), -1},
		"foreign":             {`{"seq":1,"event":"who.knows"}` + "\n" + line(2), -1},
	} {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, time.Now, 0)
		if c.entries < 0 {
			if err == nil {
				t.Errorf("%s: was accepted", name)
			}
			continue
		}
		if err != nil || s.state.seq != c.entries {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := Open(path, time.Now, 0); err == nil {
			t.Errorf("%s: a second process opened the journal", name)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.state.journal.append(&Entry{}, true).Wait(); err == nil {
			t.Errorf("%s: a closed journal accepted an entry", name)
		}
	}
}

func TestNothingIsAnsweredThatIsNotOnDisk(t *testing.T) {
	t.Parallel()
	s, err := Open(filepath.Join(t.TempDir(), "j"), time.Now, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.state.journal.file.Close() // the disk is gone
	amount := int64(100)
	a := s.Execute(Request{ID: "r", IdempotencyKey: "k"}, func(st *State) (*Entry, *Error) {
		return st.CreateIntent(CreateIntent{Amount: &amount, Currency: "gbp"})
	})
	if a.Err == nil || a.Err.Status != 500 {
		t.Errorf("answered %+v", a)
	}
	if _, err := s.Read(func(*State) (any, *Error) { return nil, Missing("intent", "payment_intent", "x") }); err == nil || err.Status != 500 {
		t.Errorf("read answered %v", err)
	}
}
