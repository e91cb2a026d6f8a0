package catalog

import "sync/atomic"

// Slot is one presenter's place in a Memo.
type Slot int

// The slots.
const (
	SlotJSON Slot = iota // the REST document
	SlotPage             // the storefront's page or card
	slots
)

// Memo keeps what presenters make of a shared value, its encoded forms, for as
// long as the value lives. Safe for concurrent use; two that build at once both
// build, and one result is kept.
type Memo struct {
	made [slots]atomic.Value
}

// Of returns what build made for the slot. A slot holds one type.
func (m *Memo) Of(slot Slot, build func() any) any {
	if v := m.made[slot].Load(); v != nil {
		return v
	}
	v := build()
	m.made[slot].Store(v)
	return v
}
