package consume

import "runtime"

// AwaitWaiting returns when n deliveries wait.
func (c *Collector) AwaitWaiting(n int) {
	for {
		c.mu.Lock()
		waiting := len(c.waiting)
		c.mu.Unlock()
		if waiting == n {
			return
		}
		runtime.Gosched()
	}
}
