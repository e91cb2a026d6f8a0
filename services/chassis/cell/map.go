package cell

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Set is some of the buckets. The zero value has none.
type Set [Buckets / 64]uint64

// All returns the set of all buckets.
func All() (s Set) {
	for i := range s {
		s[i] = ^uint64(0)
	}
	return s
}

// ParseSet reads a set as ranges: "0-255,768-1023" or "7".
func ParseSet(text string) (Set, error) {
	var s Set
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || from > to || to >= Buckets {
			return Set{}, fmt.Errorf("buckets %q: %q is no range of numbers from 0 to %d", text, part, Buckets-1)
		}
		for b := Bucket(from); b <= Bucket(to); b++ {
			if s.Has(b) {
				return Set{}, fmt.Errorf("buckets %q: %d is named twice", text, b)
			}
			s.Add(b)
		}
	}
	return s, nil
}

// Has reports whether a bucket is in the set.
func (s *Set) Has(b Bucket) bool { return s[b/64]>>(b%64)&1 != 0 }

// Add puts a bucket into the set.
func (s *Set) Add(b Bucket) { s[b/64] |= 1 << (b % 64) }

// Remove takes a bucket out of the set.
func (s *Set) Remove(b Bucket) { s[b/64] &^= 1 << (b % 64) }

// String writes the set as ParseSet reads it.
func (s Set) String() string {
	var ranges []string
	for b := 0; b < Buckets; b++ {
		if !s.Has(Bucket(b)) {
			continue
		}
		from := b
		for b+1 < Buckets && s.Has(Bucket(b+1)) {
			b++
		}
		if from == b {
			ranges = append(ranges, strconv.Itoa(b))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", from, b))
		}
	}
	return strings.Join(ranges, ",")
}

// Split returns n sets that have all buckets, each about as many.
func Split(n int) []Set {
	sets := make([]Set, n)
	for b := range Buckets {
		sets[b*n/Buckets].Add(Bucket(b))
	}
	return sets
}

// Cell is one of a service's cells.
type Cell struct {
	// Name is such as "c1".
	Name    string
	Buckets Set
	// Target is where the service of the cell is: host:port or any gRPC target.
	Target string
}

// Map says which cell has which bucket. Its cells have each bucket exactly once.
type Map struct {
	Cells []Cell
	of    [Buckets]uint8
}

// maxCells is how many a Map can have.
const maxCells = 64

var cellName = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)

// IsMap reports whether the target of a service is a table of cells, and not that of a service
// that runs in one.
func IsMap(target string) bool { return strings.Contains(strings.TrimSpace(target), " ") }

// ParseMap reads a table such as "c1 0-511 order-c1:9090; c2 512-1023 order-c2:9090": name,
// buckets and target of each cell.
func ParseMap(text string) (*Map, error) {
	var cells []Cell
	for part := range strings.SplitSeq(text, ";") {
		fields := strings.Fields(part)
		if len(fields) != 3 {
			return nil, fmt.Errorf("cells %q: %q is not a name, buckets and a target", text, strings.TrimSpace(part))
		}
		buckets, err := ParseSet(fields[1])
		if err != nil {
			return nil, fmt.Errorf("cell %s: %w", fields[0], err)
		}
		cells = append(cells, Cell{Name: fields[0], Buckets: buckets, Target: fields[2]})
	}
	return NewMap(cells)
}

// NewMap makes a table of cells. It fails when a bucket is in none of them, or in two.
func NewMap(cells []Cell) (*Map, error) {
	if len(cells) == 0 || len(cells) > maxCells {
		return nil, fmt.Errorf("%d cells: there are 1 to %d", len(cells), maxCells)
	}
	m := &Map{Cells: cells}
	var taken Set
	names := map[string]bool{}
	for i, c := range cells {
		if !cellName.MatchString(c.Name) || names[c.Name] {
			return nil, fmt.Errorf("cell %q: a name is lower-case letters and digits, 16 at most, and of one cell", c.Name)
		}
		names[c.Name] = true
		for b := range Bucket(Buckets) {
			if !c.Buckets.Has(b) {
				continue
			}
			if taken.Has(b) {
				return nil, fmt.Errorf("bucket %d is in cell %s and in cell %s", b, cells[m.of[b]].Name, c.Name)
			}
			taken.Add(b)
			m.of[b] = uint8(i)
		}
	}
	missing := All()
	for i := range missing {
		missing[i] &^= taken[i]
	}
	if missing != (Set{}) {
		return nil, errors.New("no cell has the buckets " + missing.String())
	}
	return m, nil
}

// Of returns the index in Cells of the cell that has a bucket.
func (m *Map) Of(b Bucket) int { return int(m.of[b]) }

// String writes the table as ParseMap reads it.
func (m *Map) String() string {
	parts := make([]string, len(m.Cells))
	for i, c := range m.Cells {
		parts[i] = c.Name + " " + c.Buckets.String() + " " + c.Target
	}
	return strings.Join(parts, "; ")
}
