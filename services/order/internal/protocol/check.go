package protocol

import (
	"iter"
	"slices"
	"strings"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Result is what an exploration has seen.
type Result struct {
	// States is the number of states of all parties and both orders that were
	// reached, Moves that of the ways from one to another. Which order is which
	// makes no difference, so mirrored states count once.
	States, Moves int
	// Orders is the number of states of one order, whatever the other one does.
	Orders int
	// Broken has the shortest way to a state that breaks each invariant.
	Broken map[Invariant]Trace
	// Ends counts the states in which every order is settled, by how they are:
	// "cancelled and paid".
	Ends map[string]int

	// made yields every move that was made in some state of both orders.
	made iter.Seq2[order, move]
}

// Trace tells how to get somewhere, a step a line.
type Trace []string

func (t Trace) String() string { return strings.Join(t, "\n") }

// Explore visits every state that two orders, or one order alone, can reach with
// a fault planted, and checks every invariant in each.
func Explore(fault Fault, orders int) *Result {
	c := newChecker(orders, func(o order) []move { return after(o, fault) })
	c.explore(false)
	c.findEnds()
	return c.finish()
}

// ExploreUntilBroken is Explore of two orders that ends with the first state
// that breaks an invariant.
func ExploreUntilBroken(fault Fault) *Result {
	c := newChecker(2, func(o order) []move { return after(o, fault) })
	c.explore(true)
	if len(c.result.Broken) == 0 {
		c.findEnds()
	}
	return c.finish()
}

// checker explores breadth first, so that the first way found to anywhere is a
// shortest one. The two orders meet in one thing only: who has the unit. So the
// moves of one order are worked out once for each of its states, and a state of
// both orders is a pair of numbers.
type checker struct {
	// By the number of a state of one order: the state, its moves, the same
	// moves in short, who can make them beside it, what it breaks by itself.
	orders  []order
	moves   [][]move
	choices [][]choice
	unit    []unit
	breaks  [][]Invariant

	start  [2]int32 // orders A and B
	found  []pair
	index  [][]int32 // 1 + the place in found, by both numbers; 0 if not reached
	result *Result
}

// choice is a move by numbers; 8 bytes, for millions are looked at.
type choice struct {
	to      int32
	needs   unit
	trouble bool
	reopens bool // it leaves a terminal state
	made    bool // in some state of both orders
}

// pair is a state of both orders by their numbers, a <= b.
type pair struct {
	a, b   int32
	parent int32 // from where it was found
}

func newChecker(orders int, after func(order) []move) *checker {
	c := &checker{result: &Result{Broken: map[Invariant]Trace{}, Ends: map[string]int{}}}
	start := order{State: domain.Pending, Cart: 1}
	other := start
	if orders == 1 { // beside one that was cancelled long ago
		other = order{State: domain.Cancelled, Reservation: released, Attempt: voided, Cart: 1}
		c.enumerate(other, after)
	}
	c.enumerate(start, after)
	c.result.Orders = len(c.orders)
	c.index = make([][]int32, len(c.orders))
	c.start = [2]int32{int32(slices.Index(c.orders, start)), int32(slices.Index(c.orders, other))}
	c.reach(c.start[0], c.start[1], 0)
	return c
}

// enumerate numbers every state that one order can be in, whatever the other
// order does.
func (c *checker) enumerate(start order, after func(order) []move) {
	numbers := map[order]int32{}
	number := func(o order) int32 {
		n, known := numbers[o]
		if !known {
			n = int32(len(c.orders))
			numbers[o] = n
			c.orders = append(c.orders, o)
		}
		return n
	}
	for i := int(number(start)); i < len(c.orders); i++ {
		from := c.orders[i]
		moves := after(from)
		choices := make([]choice, len(moves))
		for j, m := range moves {
			choices[j] = choice{
				to: number(m.to), needs: m.needs, trouble: m.step.trouble(),
				reopens: from.State.Terminal() && m.to.State != from.State,
			}
		}
		c.moves = append(c.moves, moves)
		c.choices = append(c.choices, choices)
		c.unit = append(c.unit, from.unit())
		c.breaks = append(c.breaks, from.broken())
	}
}

// reach notes a pair, unless it is known.
func (c *checker) reach(a, b, parent int32) {
	a, b = min(a, b), max(a, b)
	if c.index[a] == nil {
		c.index[a] = make([]int32, len(c.orders))
	}
	if c.index[a][b] == 0 {
		c.found = append(c.found, pair{a, b, parent})
		c.index[a][b] = int32(len(c.found))
	}
}

// place returns where in found a pair is that was reached.
func (c *checker) place(a, b int32) int32 { return c.index[min(a, b)][max(a, b)] - 1 }

// possible reports whether an order can make the move beside the other.
func (c *checker) possible(ch *choice, other int32) bool {
	return ch.needs == either || ch.needs == c.unit[other]
}

// explore finds every state, or those up to the first that breaks an invariant.
func (c *checker) explore(untilBroken bool) {
	for i := 0; i < len(c.found); i++ { //nolint:intrange // found grows meanwhile
		at := c.found[i]
		c.inspect(int32(i))
		if untilBroken && len(c.result.Broken) > 0 {
			return
		}
		c.exploreFrom(int32(i), at.a, at.b)
		if at.a != at.b {
			c.exploreFrom(int32(i), at.b, at.a)
		}
	}
}

func (c *checker) exploreFrom(at, order, other int32) {
	choices := c.choices[order]
	for i := range choices {
		ch := &choices[i]
		if !c.possible(ch, other) {
			continue
		}
		ch.made = true
		if ch.to == order {
			continue // a repeated message that changes nothing
		}
		c.result.Moves++
		c.reach(ch.to, other, at)
		if ch.reopens {
			c.broken(OneEnd, append(c.path(at), c.place(ch.to, other)))
		}
	}
}

// inspect checks the invariants of a state.
func (c *checker) inspect(at int32) {
	a, b := c.found[at].a, c.found[at].b
	for _, order := range []int32{a, b} {
		for _, inv := range c.breaks[order] {
			c.broken(inv, c.path(at))
		}
	}
	if c.unit[a] != free && c.unit[b] != free {
		c.broken(NoOversell, c.path(at))
	}
}

// findEnds goes back from the states in which nothing is left to do for any order, along
// moves that are no trouble, until nothing new is found.
func (c *checker) findEnds() {
	ends := make([]bool, len(c.found))
	for i, at := range c.found {
		if a, b := c.orders[at.a], c.orders[at.b]; a.ended() && b.ended() {
			ends[i] = true
			c.result.Ends[string(min(a.State, b.State)+" and "+max(a.State, b.State))]++
		}
	}
	reaches := func(order, other int32) bool {
		choices := c.choices[order]
		for i := range choices {
			if ch := &choices[i]; !ch.trouble && c.possible(ch, other) && ends[c.place(ch.to, other)] {
				return true
			}
		}
		return false
	}
	for again := true; again; {
		again = false
		for i, at := range slices.Backward(c.found) {
			if !ends[i] && (reaches(at.a, at.b) || reaches(at.b, at.a)) {
				ends[i], again = true, true
			}
		}
	}
	if i := slices.Index(ends, false); i >= 0 {
		c.broken(EveryOrderEnds, c.path(int32(i)))
	}
}

// path returns the places from the start, which is left out, to a state.
func (c *checker) path(to int32) []int32 {
	var path []int32
	for at := to; at != 0; at = c.found[at].parent {
		path = append(path, at)
	}
	slices.Reverse(path)
	return path
}

// broken notes that a path breaks an invariant, the first time, with a trace.
// The path says which states, not which order made a step: that is found by
// walking it once more.
func (c *checker) broken(inv Invariant, path []int32) {
	if _, already := c.result.Broken[inv]; already {
		return
	}
	now := c.start
	var trace Trace
	for _, target := range path {
		trace = append(trace, c.walk(&now, target))
	}
	trace = append(trace, "  A is now "+c.orders[now[0]].String())
	if len(c.moves[now[1]]) > 0 { // there is an order B
		trace = append(trace, "  B is now "+c.orders[now[1]].String())
	}
	c.result.Broken[inv] = trace
}

// walk makes a step that leads from now to a state and tells of it.
func (c *checker) walk(now *[2]int32, target int32) string {
	for who, name := range []string{"A", "B"} {
		order, other := now[who], now[1-who]
		for i := range c.choices[order] {
			ch := &c.choices[order][i]
			if c.possible(ch, other) && c.index[min(ch.to, other)] != nil && c.place(ch.to, other) == target {
				now[who] = ch.to
				return "  " + name + "  " + c.moves[order][i].String()
			}
		}
	}
	panic("no step leads there")
}

func (c *checker) finish() *Result {
	c.result.States = len(c.found)
	c.result.made = func(yield func(order, move) bool) {
		for n, choices := range c.choices {
			for i, ch := range choices {
				if ch.made && !yield(c.orders[n], c.moves[n][i]) {
					return
				}
			}
		}
	}
	return c.result
}
