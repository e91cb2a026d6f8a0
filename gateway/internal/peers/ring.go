package peers

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// ring says which member owns a key: the one whose hash with the key is highest (rendezvous
// hashing). All who see the same members see the same owner, and a member that goes leaves its
// keys alone to others, evenly. It is not changed once made.
type ring struct{ names []string }

func newRing(names []string) *ring {
	slices.Sort(names)
	return &ring{names}
}

// rank returns up to n members, the owner first, then who owns the key without it, and so on.
func (r *ring) rank(key string, n int) []string {
	type scored struct {
		name  string
		score uint64
	}
	all := make([]scored, len(r.names))
	for i, name := range r.names {
		sum := sha256.Sum256([]byte(name + "\x00" + key))
		all[i] = scored{name, binary.BigEndian.Uint64(sum[:])}
	}
	slices.SortFunc(all, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	names := make([]string, min(n, len(all)))
	for i := range names {
		names[i] = all[i].name
	}
	return names
}
