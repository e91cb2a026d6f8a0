//go:build unix

package patroni

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
)

// NewestData is the node of the cluster in dir, which does not run, that was its last primary: it is on
// the newest timeline, and is no standby. It is the first node where none has data.
func NewestData(ctx context.Context, dir string) (node string, err error) {
	var newest pgserver.Control // has timeline 0, which none has
	node = Nodes[0]
	for _, name := range Nodes {
		data := filepath.Join(dir, name, "data")
		if pids, err := pgserver.Processes(data); err != nil || len(pids) > 0 {
			return "", errors.Join(err, fmt.Errorf("%w: PostgreSQL of %s runs (process ids %d): start the shop, and stop it", pgserver.ErrInUse, name, pids))
		}
		if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
			continue
		}
		c, err := pgserver.ReadControl(ctx, data)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if newer(c, newest) {
			node, newest = name, c
		}
	}
	return node, nil
}

// newer reports whether a server has more than another: by the timeline, and a primary before a standby.
func newer(c, than pgserver.Control) bool {
	if c.Timeline != than.Timeline {
		return c.Timeline > than.Timeline
	}
	return than.Standby && !c.Standby
}
