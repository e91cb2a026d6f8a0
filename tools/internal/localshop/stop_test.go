package localshop

import (
	"strings"
	"testing"
	"time"
)

// TestStopNamesWhatDoesNotEnd: a part that does not end is named instead of waited for.
func TestStopNamesWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s := &Shop{done: make(chan struct{}), running: map[string]bool{"order": true, "cart": true}}
	s.ended("cart")
	if err := s.awaitEnd(time.Nanosecond); err == nil || !strings.HasSuffix(err.Error(), ": order") {
		t.Errorf("%v", err)
	}
	close(s.done)
	if err := s.awaitEnd(time.Hour); err != nil {
		t.Error(err)
	}
}
