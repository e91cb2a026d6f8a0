package localshop

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/pgbackrest"
)

// TestABackupThatARestoreUndid: the end of a backup is known to the second. One that may have ended
// after the moment of a restore is on a timeline that was left by then.
func TestABackupThatARestoreUndid(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	b := backups{Restores: []restore{{To: at(500 * time.Millisecond), At: at(time.Minute), Timeline: 2}}}
	for stop, want := range map[time.Duration]bool{
		-time.Second: false, 0: true, 30 * time.Second: true, time.Minute: false, time.Hour: false,
	} {
		if got := b.undid(pgbackrest.Backup{Stop: at(stop)}); got != want {
			t.Errorf("a backup that ended %s after noon: %v", stop, got)
		}
	}
}
