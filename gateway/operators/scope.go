package operators

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Scope is a set of what an operator may do. The zero Scope is nothing.
type Scope uint8

// The scopes. None includes another: an operator who edits and looks has Catalog and
// Read.
const (
	// Read: what shoppers do not see, as far as it is not about persons: drafts, stock,
	// refunds, reconciliations.
	Read Scope = 1 << iota
	// Catalog: products, prices, stock and imports are changed.
	Catalog
	// Orders: all customers' orders, with names and addresses, are read, exported and
	// cancelled.
	Orders
	// Money: money is given back, payments are reconciled.
	Money
	// Customers: what the shop holds about a person is exported and erased, and their
	// sessions are ended.
	Customers
	// Webhooks: other systems are told what happens, and what they were told is looked at.
	Webhooks
	// Audit: what operators did is read.
	Audit

	// Everything is all scopes.
	Everything = Read | Catalog | Orders | Money | Customers | Webhooks | Audit
)

// names of the scopes in the order of their bits.
var names = []string{"read", "catalog", "orders", "money", "customers", "webhooks", "audit"}

// Names are the names of all scopes.
func Names() []string { return slices.Clone(names) }

// ParseScope reads names that are separated by commas, such as "read,catalog".
func ParseScope(text string) (Scope, error) {
	var s Scope
	for name := range strings.SplitSeq(text, ",") {
		i := slices.Index(names, strings.TrimSpace(name))
		if i < 0 {
			return 0, fmt.Errorf("there is no scope %q: the scopes are %s", name, strings.Join(names, ", "))
		}
		s |= 1 << i
	}
	return s, nil
}

// Has reports whether s has all of want.
func (s Scope) Has(want Scope) bool { return s&want == want }

// String names the scopes, separated by commas.
func (s Scope) String() string {
	var have []string
	for i, name := range names {
		if s&(1<<i) != 0 {
			have = append(have, name)
		}
	}
	return strings.Join(have, ",")
}

// MarshalJSON writes a list of names.
func (s Scope) MarshalJSON() ([]byte, error) { return json.Marshal(strings.Split(s.String(), ",")) }

// UnmarshalJSON reads a list of names.
func (s *Scope) UnmarshalJSON(text []byte) error {
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*s = 0
	for _, name := range list {
		one, err := ParseScope(name)
		if err != nil {
			return err
		}
		*s |= one
	}
	return nil
}
