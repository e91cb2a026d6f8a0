package catalog

import (
	"sync"
	"sync/atomic"
)

// Slot is one presenter's place in a Memo.
type Slot int

// The slots.
const (
	SlotJSON     Slot = iota // the REST document
	SlotPage                 // the storefront's page or card
	SlotVariants             // the storefront's pages of a product's variants
	slots
)

// Memo keeps what presenters make of a shared value, its encoded forms, for as
// long as the value lives. Safe for concurrent use.
type Memo struct {
	slots [slots]struct {
		made     atomic.Value
		building sync.Mutex
	}
}

// Of returns what build made for the slot. Callers that come while it builds wait:
// when a value has expired, all who read it come at once. A slot holds one type.
func (m *Memo) Of(slot Slot, build func() any) any {
	s := &m.slots[slot]
	if v := s.made.Load(); v != nil {
		return v
	}
	s.building.Lock()
	defer s.building.Unlock()
	if v := s.made.Load(); v != nil {
		return v
	}
	v := build()
	s.made.Store(v)
	return v
}
