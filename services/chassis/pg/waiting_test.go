package pg

import "testing"

// TestAPieceWaits: what waits is told by the names of files, which say how far the archiver is unless the
// last one was of a backup or of a timeline.
func TestAPieceWaits(t *testing.T) {
	t.Parallel()
	const first, second, third = "000000010000000000000001", "000000010000000000000002", "000000010000000000000003"
	type look struct {
		archived, complete string
		waits              bool
	}
	for name, looks := range map[string][]look{
		"all is archived":            {{first, first, false}, {second, second, false}},
		"more than is complete":      {{second, first, false}},
		"one waits":                  {{first, second, true}, {first, third, true}, {third, third, false}},
		"since this process is":      {{first, second, true}},
		"none was archived":          {{"", second, false}, {"", second, false}, {"", third, true}, {third, third, false}},
		"a backup was the last":      {{third, third, false}, {"000000010000000000000001.00000028.backup", third, false}},
		"and then one waits":         {{"000000010000000000000001.00000028.backup", second, false}, {"000000010000000000000001.00000028.backup", third, true}},
		"a new timeline":             {{"00000002.history", second, false}, {second + ".partial", second, false}, {"000000020000000000000002", "000000020000000000000003", true}},
		"beyond the end of a number": {{"0000000100000000000000FF", "000000010000000100000000", true}, {"000000010000000100000000", "000000010000000100000000", false}},
		"a standby":                  {{"", "", false}, {first, "", false}},
	} {
		var w waiting
		for i, l := range looks {
			if got := w.see(l.archived, l.complete); got != l.waits {
				t.Errorf("%s, look %d: waits %v", name, i+1, got)
			}
		}
	}
}
