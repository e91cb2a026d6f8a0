package protocol

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// TestProtocol explores the protocol as it is: no invariant is broken anywhere.
// That the exploration was large enough is part of the test.
func TestProtocol(t *testing.T) {
	t.Parallel()
	r := Explore(None, 2)
	t.Logf("%d states and %d moves of two orders; %d states of one; ends: %v", r.States, r.Moves, r.Orders, r.Ends)
	for inv, trace := range r.Broken {
		t.Errorf("%s: broken after\n%s", inv, trace)
	}
	if r.States < 1_500_000 || r.Orders < 1000 {
		t.Errorf("%d states of two orders and %d of one: something is left out", r.States, r.Orders)
	}
	got := slices.Sorted(maps.Keys(r.Ends))
	if want := []string{"cancelled and cancelled", "cancelled and paid"}; !slices.Equal(got, want) {
		t.Errorf("two orders of one unit end as %q, want %q", got, want)
	}
	t.Run("every step is taken", func(t *testing.T) { everyStep(t, r) })
	t.Run("order's states", func(t *testing.T) { orderStates(t, r) })
	t.Run("the catalog's states", func(t *testing.T) { catalogStates(t, r) })
	t.Run("payment's states", func(t *testing.T) { paymentStates(t, r) })
}

// TestFaults plants each fault and names the promise it breaks: the first one
// that two orders meet, and all that one order alone can break.
func TestFaults(t *testing.T) {
	t.Parallel()
	for fault, want := range map[Fault]struct {
		first Invariant
		alone []Invariant
	}{
		CaptureBeforeConfirm:    {Pivot, []Invariant{EveryOrderEnds, Pivot}},
		CancelWhileCapturing:    {Pivot, []Invariant{EveryOrderEnds, Pivot}},
		CaptureAhead:            {Pivot, []Invariant{EveryOrderEnds, Pivot}},
		CancelledWithoutVoid:    {CancelledIsClean, []Invariant{CancelledIsClean}},
		NoReleaseTombstone:      {CancelledIsClean, []Invariant{CancelledIsClean}},
		ConfirmIgnoresExpiry:    {NoOversell, []Invariant{CancelledIsClean}},
		NoCancelTombstone:       {CancelledIsClean, []Invariant{CancelledIsClean}},
		TimeoutIsCaptureFailure: {Pivot, []Invariant{EveryOrderEnds, Pivot}},
		TimeoutIsDecline:        {CancelledIsClean, []Invariant{CancelledIsClean}},
		NewKeyOnRetry:           {OneCharge, []Invariant{CancelledIsClean, EveryOrderEnds, OneCharge}},
		NotFoundIsVoided:        {CancelledIsClean, []Invariant{CancelledIsClean}},
		ReviewTooSoon:           {CancelledIsClean, []Invariant{CancelledIsClean}},
		ChangedLinesStay:        {CartKeepsTheRest, []Invariant{CartKeepsTheRest}},
		LinesGo:                 {CartKeepsTheRest, []Invariant{CartKeepsTheRest}},
		NoRemovalRow:            {CartKeepsTheRest, []Invariant{CartKeepsTheRest}},
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			r := ExploreUntilBroken(fault)
			if trace, ok := r.Broken[want.first]; !ok {
				t.Errorf("two orders break %q, want %q", broken(r), want.first)
			} else {
				t.Logf("breaks %q:\n%s", want.first, trace)
			}
			slices.Sort(want.alone)
			if got := broken(Explore(fault, 1)); !slices.Equal(got, want.alone) {
				t.Errorf("one order alone breaks %q, want %q", got, want.alone)
			}
		})
	}
}

// TestProvider shows what the protocol leans on: what breaks, for one order,
// when the provider does not keep its promise about keys; and what does not.
func TestProvider(t *testing.T) {
	t.Parallel()
	for fault, want := range map[Fault][]Invariant{
		ForgetsDecline:        {CancelledIsClean},
		ForgetsCaptureRefusal: {EveryOrderEnds, Pivot},
		KeepsError:            nil,
		KeepsErrorForNothing:  nil,
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			r := Explore(fault, 1)
			slices.Sort(want)
			if got := broken(r); !slices.Equal(got, want) {
				t.Errorf("breaks %q, want %q", got, want)
			}
			for inv, trace := range r.Broken {
				t.Logf("breaks %q:\n%s", inv, trace)
			}
			kept := false // an error, by the provider
			for _, m := range r.made {
				kept = kept || m.step == ProviderKeepsError
			}
			if kept != (fault == KeepsError || fault == KeepsErrorForNothing) {
				t.Errorf("the provider keeps an error: %v", kept)
			}
		})
	}
}

func broken(r *Result) []Invariant { return slices.Sorted(maps.Keys(r.Broken)) }

// TestOneOrder: alone, an order can do whatever it can do beside another but be
// answered that there is no unit.
func TestOneOrder(t *testing.T) {
	t.Parallel()
	r := Explore(None, 1)
	if got := broken(r); len(got) > 0 {
		t.Errorf("breaks %q", got)
	}
	if r.States < 1000 || len(r.Ends) != 2 {
		t.Errorf("%d states, ends %v", r.States, r.Ends)
	}
}

// TestInvariantsSee shows to the invariants what none of the faults leads to.
func TestInvariantsSee(t *testing.T) {
	t.Parallel()
	paid := order{State: domain.Paid, Reservation: committed, Attempt: captured, Charge: taken}
	if got := paid.broken(); len(got) > 0 {
		t.Errorf("a paid order breaks %q", got)
	}
	unsold, uncaptured, unrecorded := paid, paid, paid
	unsold.Reservation = held
	uncaptured.Charge = onHold
	unrecorded.Attempt = captureSent
	for _, o := range []order{unsold, uncaptured, unrecorded} {
		if !slices.Contains(o.broken(), PaidIsPaid) {
			t.Errorf("%v: breaks %q", o, o.broken())
		}
	}
	c := newChecker(1, func(o order) []move {
		moves := after(o, None)
		if o.State == domain.Paid {
			o.State = domain.Cancelling
			moves = append(moves, move{step: CustomerCancels, to: o})
		}
		return moves
	})
	c.explore(false)
	if !slices.Contains(broken(c.result), OneEnd) {
		t.Errorf("an order that is cancelled when it is paid breaks %q", broken(c.result))
	}
}

// everyStep compares the steps that were taken with those that are declared.
func everyStep(t *testing.T, r *Result) {
	seen := map[Step]bool{}
	for _, m := range r.made {
		seen[m.step] = true
	}
	for _, step := range declaredSteps(t) {
		fault := strings.HasSuffix(string(step), "fault)")
		if seen[step] == fault {
			t.Errorf("%q: taken %v", step, seen[step])
		}
	}
}

// declaredSteps reads the constants of type Step from the source.
func declaredSteps(t *testing.T) []Step {
	var steps []Step
	for _, decl := range parse(t, "steps.go").Decls {
		if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.CONST {
			for _, spec := range gen.Specs {
				if v := spec.(*ast.ValueSpec); v.Type != nil && v.Type.(*ast.Ident).Name == "Step" {
					steps = append(steps, Step(text(t, v.Values[0])))
				}
			}
		}
	}
	if len(steps) < 50 {
		t.Errorf("found only %d steps", len(steps))
	}
	return steps
}

// orderStates: the order's transitions are those of the real state machine, for
// the model asks it. This is about the other direction: none is left out but
// the answer that is about amounts.
func orderStates(t *testing.T, r *Result) {
	made, legal := map[[2]domain.State]bool{}, map[[2]domain.State]bool{}
	for o, m := range r.made {
		// A crash takes the driver back to where the table is.
		if m.to.at() != o.at() && m.step != DriverCrashes {
			made[[2]domain.State{o.at(), m.to.at()}] = true
		}
	}
	heard := map[domain.Event]bool{domain.CancelAsked: true, domain.DeadlinePassed: true, domain.PaymentDiffers: true}
	for _, a := range answers {
		heard[a.event] = true
	}
	for _, s := range domain.States() {
		for _, e := range domain.Events() {
			next, err := domain.Next(s, e)
			if err != nil {
				continue
			}
			legal[[2]domain.State{s, next.To}] = true
			if !heard[e] {
				t.Errorf("nothing in the model says %s", e)
			}
		}
	}
	if !maps.Equal(made, legal) {
		t.Errorf("transitions made: %v, legal: %v", made, legal)
	}
}

// catalogStates compares the reservation's states with the contract's.
func catalogStates(t *testing.T, r *Result) {
	contract := map[reservation]string{held: "HELD", overdue: "HELD", expired: "RELEASED", committed: "COMMITTED", released: "RELEASED"}
	seen := map[string]bool{}
	for _, m := range r.made {
		if m.to.Reservation != noReservation {
			seen["RESERVATION_STATE_"+contract[m.to.Reservation]] = true
		}
	}
	sameStates(t, seen, catalogv1.ReservationState_value)
}

// paymentStates compares the attempt's states with the contract's and its
// transitions with payment's state machine, which only its source can tell: no
// service imports another.
func paymentStates(t *testing.T, r *Result) {
	seen := map[string]bool{"ATTEMPT_STATE_NEEDS_REVIEW": true} // left out
	made := map[[2]attempt]bool{}
	for o, m := range r.made {
		if m.to.Attempt != noAttempt {
			seen["ATTEMPT_STATE_"+strings.ToUpper(string(m.to.Attempt))] = true
		}
		if o.Attempt != noAttempt && o.Attempt != m.to.Attempt {
			made[[2]attempt{o.Attempt, m.to.Attempt}] = true
		}
		if o.Attempt == noAttempt && m.to.Attempt != noAttempt && m.to.Attempt != sent && m.to.Attempt != voided {
			t.Errorf("an attempt begins as %s", m.to.Attempt)
		}
	}
	sameStates(t, seen, paymentv1.AttemptState_value)

	legal := map[[2]attempt]bool{}
	file := parse(t, "../../../payment/internal/domain/state.go")
	names := map[string]attempt{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if len(n.Values) != 1 {
				break
			}
			if lit, ok := n.Values[0].(*ast.BasicLit); ok && n.Type != nil && n.Type.(*ast.Ident).Name == "State" {
				names[n.Names[0].Name] = attempt(text(t, lit))
			}
			if n.Names[0].Name == "next" {
				for _, from := range n.Values[0].(*ast.CompositeLit).Elts {
					row := from.(*ast.KeyValueExpr)
					for _, to := range row.Value.(*ast.CompositeLit).Elts {
						a, b := names[row.Key.(*ast.Ident).Name], names[to.(*ast.Ident).Name]
						if a != "needs_review" && b != "needs_review" {
							legal[[2]attempt{a, b}] = true
						}
					}
				}
			}
		}
		return true
	})
	if !maps.Equal(made, legal) {
		t.Errorf("transitions made: %v, in payment's state machine: %v", made, legal)
	}
}

func sameStates(t *testing.T, seen map[string]bool, contract map[string]int32) {
	t.Helper()
	var want []string
	for name, number := range contract {
		if number != 0 {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("states %q, in the contract %q", got, want)
	}
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func text(t *testing.T, e ast.Expr) string {
	t.Helper()
	s, err := strconv.Unquote(e.(*ast.BasicLit).Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
