package recovery

import (
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
)

// TestPrintBackups: no moment until now is promised while the log is not archived.
func TestPrintBackups(t *testing.T) {
	t.Parallel()
	for promise, failure := range map[string]*localshop.ArchivingError{
		"until now.\n": nil,
		"but not until now: PostgreSQL does not archive its log to /b: 000000010000000000000007 failed at": {
			Repository: "/b", Segment: "000000010000000000000007", Since: time.Now(), Failed: 3,
		},
	} {
		var out strings.Builder
		if err := printBackups(&out, &localshop.BackupReport{Repository: "/b", Archiving: failure}, time.Second); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), promise) {
			t.Errorf("printed %q, without %q", out.String(), promise)
		}
	}
}
