package crash

import "testing"

func TestParse(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"nowhere", "capture.sent:0", "capture.sent:x", "capture.sent:"} {
		if _, err := Parse(setting); err == nil {
			t.Errorf("%q was taken", setting)
		}
	}
	for setting, want := range map[string]int{"": 0, "capture.sent": 1, "capture.sent:3": 3, "refund.sent": 0} {
		died := 0
		hook, err := parse(setting, func() { died++ })
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for i := range 5 {
			if err := hook(CaptureSent); err != nil {
				t.Error(err)
			}
			if died == 1 && at == 0 {
				at = i + 1
			}
		}
		if at != want || died > 1 {
			t.Errorf("%q died at %d, %d times; want at %d", setting, at, died, want)
		}
	}
}
