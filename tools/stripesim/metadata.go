package stripesim

import (
	"cmp"
	"encoding/json"
	"slices"
	"unique"
)

// metadata is what the caller attached to an object, sorted by key. A payment
// has few entries and there are many payments, so it is no map.
type metadata []pair

type pair struct{ key, value string }

func (m metadata) sorted() metadata {
	slices.SortFunc(m, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	return slices.Clip(m)
}

// MarshalJSON implements json.Marshaler: an object.
func (m metadata) MarshalJSON() ([]byte, error) {
	object := make(map[string]string, len(m))
	for _, p := range m {
		object[p.key] = p.value
	}
	return json.Marshal(object)
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *metadata) UnmarshalJSON(text []byte) error {
	var object map[string]string
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	for k, v := range object {
		*m = append(*m, pair{intern(k), v})
	}
	*m = m.sorted()
	return nil
}

// intern returns the one copy of a string that many objects share.
func intern(s string) string { return unique.Make(s).Value() }
