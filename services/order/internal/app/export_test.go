package app

// Waiting is how many orders wait for a slot.
func (r *Runner) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turns.waiting
}
