package catalog

import (
	"sync"
	"sync/atomic"
	"time"
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
		made     atomic.Pointer[made]
		building sync.Mutex
	}
}

type made struct {
	value any
	at    time.Time
}

// Of returns what build made for the slot. Callers that come while it builds wait:
// when a value has expired, all who read it come at once. A slot holds one type.
func (m *Memo) Of(slot Slot, build func() any) any {
	return m.of(slot, func(*made) bool { return true }, build)
}

// Recent is Of for what shows more than the value that the Memo belongs to: after a time
// it is made anew.
func (m *Memo) Recent(slot Slot, age time.Duration, build func() any) any {
	return m.of(slot, func(v *made) bool { return time.Since(v.at) < age }, build)
}

func (m *Memo) of(slot Slot, good func(*made) bool, build func() any) any {
	s := &m.slots[slot]
	if v := s.made.Load(); v != nil && good(v) {
		return v.value
	}
	s.building.Lock()
	defer s.building.Unlock()
	if v := s.made.Load(); v != nil && good(v) {
		return v.value
	}
	v := &made{at: time.Now()} // it is as old as what it is made of, or older
	v.value = build()
	s.made.Store(v)
	return v.value
}
