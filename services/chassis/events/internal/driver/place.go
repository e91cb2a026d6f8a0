package driver

import "sync"

// Place is whether all readers of a subscription without a group are in place.
type Place struct {
	mu      sync.Mutex
	missing int
	told    func(bool) // nil when the subscriber does not ask
}

// NewPlace returns the place of so many readers, none of which is in it yet.
func NewPlace(readers int, told func(bool)) *Place { return &Place{missing: readers, told: told} }

// Taken says that a reader gets what is published from now on. Its first event must not
// be handled before.
func (p *Place) Taken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.missing--; p.missing == 0 && p.told != nil {
		p.told(true)
	}
}

// Left says that events may pass by a reader that had taken its place.
func (p *Place) Left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.missing++; p.missing == 1 && p.told != nil {
		p.told(false)
	}
}
