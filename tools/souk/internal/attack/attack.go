// Package attack is `souk attack`: it tries on a running shop what the internet, another
// site's page, a greedy shopper and a program in the cluster would try, each attempt bounded
// in number and time, and says of each whether the shop held.
package attack

import (
	"context"
	"fmt"
)

// Verdict is what became of an attack.
type Verdict string

// The verdicts. What was not tried is not counted as held.
const (
	Held     Verdict = "held"
	Broken   Verdict = "BROKEN"
	NotTried Verdict = "not tried"
)

// Attack is something that the shop is to withstand.
type Attack struct {
	Name string `json:"attack"`
	// Would is what it does to a shop that does not withstand it.
	Would string `json:"would"`
	// Before and Now are what it did to this one and does, for docs/security.md; Before is
	// empty for what it always withstood.
	Before, Now string `json:"-"`
	// Test is the test that covers it.
	Test string `json:"test"`

	try func(ctx context.Context, t *target) outcome
}

// outcome of an attack.
type outcome struct {
	verdict Verdict
	did     string // what the shop did
}

func held(format string, args ...any) outcome   { return outcome{Held, fmt.Sprintf(format, args...)} }
func broken(format string, args ...any) outcome { return outcome{Broken, fmt.Sprintf(format, args...)} }
func notTried(format string, args ...any) outcome {
	return outcome{NotTried, fmt.Sprintf(format, args...)}
}

// either is held when ok, with the same words.
func either(ok bool, format string, args ...any) outcome {
	if ok {
		return held(format, args...)
	}
	return broken(format, args...)
}

// Result is an attack that was made.
type Result struct {
	Attack
	Verdict Verdict `json:"verdict"`
	Did     string  `json:"did"`
}

// Attacks are all of them, in the order in which they are made: those that spend an
// address's budgets come last.
func Attacks() []Attack {
	var all []Attack
	for _, group := range [][]Attack{requests, tokens, connections, frames, callers, greed} {
		all = append(all, group...)
	}
	return all
}
