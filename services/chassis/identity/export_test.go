package identity

import (
	"context"
	"time"
)

// Follow is a look of Run's at the files, at a time.
func (id *Identity) Follow(ctx context.Context, now time.Time) { id.follow(ctx, now) }

// Connections is how many open connections are watched.
func (id *Identity) Connections() int {
	id.mu.Lock()
	defer id.mu.Unlock()
	return len(id.conns)
}
