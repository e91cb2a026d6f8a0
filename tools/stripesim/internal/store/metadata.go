package store

import (
	"cmp"
	"encoding/json"
	"slices"
	"unique"
)

// Metadata is what the caller attached to an object, sorted by key. A slice, not
// a map: a payment has few entries, and there are many payments.
type Metadata []Pair

// Pair is an entry of metadata.
type Pair struct{ Key, Value string }

// NewMetadata sorts the pairs, which it takes over.
func NewMetadata(pairs []Pair) Metadata {
	for i := range pairs {
		pairs[i].Key = intern(pairs[i].Key)
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return cmp.Compare(a.Key, b.Key) })
	return slices.Clip(pairs)
}

// MarshalJSON implements json.Marshaler: an object.
func (m Metadata) MarshalJSON() ([]byte, error) {
	object := make(map[string]string, len(m))
	for _, p := range m {
		object[p.Key] = p.Value
	}
	return json.Marshal(object)
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Metadata) UnmarshalJSON(text []byte) error {
	var object map[string]string
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	pairs := make([]Pair, 0, len(object))
	for k, v := range object {
		pairs = append(pairs, Pair{k, v})
	}
	*m = NewMetadata(pairs)
	return nil
}

// intern returns the one copy of a string that many objects share.
func intern(s string) string { return unique.Make(s).Value() }
