package postgres

import (
	"context"
	"time"
)

// PruneEvents forgets the webhook events that are older than age and returns
// how many those were.
func (s *Store) PruneEvents(ctx context.Context, age time.Duration) (int64, error) {
	return s.q.PruneWebhookEvents(ctx, age)
}
