package webhook

import (
	"context"
	"sync"
)

// queue is an unbounded queue that one goroutine works off.
type queue struct {
	mu    sync.Mutex
	tasks []*task
	wake  chan struct{} // has room for one
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) push(t *task) {
	q.mu.Lock()
	q.tasks = append(q.tasks, t)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next waits for a task; it returns nil when ctx is done.
func (q *queue) next(ctx context.Context) *task {
	for {
		q.mu.Lock()
		if len(q.tasks) > 0 {
			t := q.tasks[0]
			q.tasks[0] = nil
			q.tasks = q.tasks[1:]
			q.mu.Unlock()
			return t
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}
