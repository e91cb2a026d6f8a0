package chaos

import (
	"slices"
	"strings"
	"testing"
)

// TestToldOutside: what came is counted where it came, and said with what is missing.
func TestToldOutside(t *testing.T) {
	t.Parallel()
	printed := func(tr *trial) (string, error) {
		var out strings.Builder
		err := tr.told("http://127.0.0.1:1/hooks").Print(&out)
		return out.String(), err
	}
	sound, err := printed(soundTrial())
	if err != nil {
		t.Errorf("%v:\n%s", err, sound)
	}
	for _, row := range []string{
		"buyers, by mail 1 1 0 once, 1 again where the mail server's answer was not noted, none missing",
		"http://127.0.0.1:1/hooks 2 2 1 once, 1 again where the endpoint's answer was not noted, none missing",
	} {
		if !strings.Contains(strings.Join(strings.Fields(sound), " "), row) {
			t.Errorf("%q is not in\n%s", row, sound)
		}
	}
	lost := soundTrial()
	lost.ev.elsewhere.letters = nil
	lost.ev.elsewhere.posts = lost.ev.elsewhere.posts[:1]
	text, err := printed(lost)
	if err == nil || !strings.Contains(err.Error(), ToldOutside) {
		t.Errorf("%v", err)
	}
	for _, row := range []string{"buyers, by mail 1 0 0 once, 1 MISSING", "hooks 2 1 1 once, 1 MISSING", "was told by no mail", "was told by no webhook"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), row) {
			t.Errorf("%q is not in\n%s", row, text)
		}
	}
}

// TestScheduled: the broker is among what breaks during a replay, and nothing that needs a run of
// its own.
func TestScheduled(t *testing.T) {
	t.Parallel()
	var names []string
	for _, f := range scheduled() {
		names = append(names, f.Name)
		if f.Alone || f.Arrange != nil {
			t.Errorf("%s needs a shop of its own", f.Name)
		}
	}
	for _, name := range []string{"nats-kill", "nats-freeze-15s", "nats-lost", "crash-notification", "partition-notification-nats"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among them", name)
		}
	}
	chosen, err := named(scheduled(), "nats-*")
	if err != nil || len(chosen) != 3 {
		t.Errorf("of the broker's: %v, %v", chosen, err)
	}
	if _, err := named(scheduled(), "nats-kill,nats-disk-full"); err == nil {
		t.Error("one that needs a shop of its own is taken")
	}
}
