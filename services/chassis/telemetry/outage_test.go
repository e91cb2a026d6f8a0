package telemetry

import (
	"testing"
	"time"
)

func TestAnOutageIsALineNowAndThen(t *testing.T) {
	t.Parallel()
	var o Outages
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	told := 0
	for i := range 1000 { // ten seconds, a hundred failures each
		if ok, _ := o.Tell("/a", start.Add(time.Duration(i)*10*time.Millisecond)); ok {
			told++
		}
	}
	if told != 2 {
		t.Errorf("%d lines for ten seconds of an outage, want 2", told)
	}
	if ok, _ := o.Tell("/b", start); !ok {
		t.Error("another kind's outage is not told")
	}
	if ok, leftOut := o.Tell("/a", start.Add(time.Minute)); !ok || leftOut != 499 {
		t.Errorf("after a minute: told %t, left out %d; want true, 499", ok, leftOut)
	}
}
