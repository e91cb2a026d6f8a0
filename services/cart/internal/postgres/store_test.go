package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// noon is when these tests take place.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// newStore returns a store on a database of its own, and a superuser's pool there.
func newStore(t *testing.T, tracer pgx.QueryTracer) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	tel := telemetry.Discard()
	db := pgtest.Service(t, postgres.Migrate)
	db.Config.MaxConns, db.Config.Tracer = 10, tracer
	pool, err := pg.Open(t.Context(), db.Config, tel)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return postgres.NewStore(pool), db.Superuser(t)
}

// get reads a cart.
func get(ctx context.Context, s *postgres.Store, k domain.Key) (domain.Cart, error) {
	c, _, err := s.Get(ctx, k, domain.UUID{})
	return c, err
}

// order is an order of a version of a cart.
func order(version int64, lines ...domain.Line) domain.Purchase {
	return domain.Purchase{Order: newID(), Version: version, Lines: lines}
}

// remove takes what was ordered out of a cart, and checks what is left.
func remove(t *testing.T, s *postgres.Store, k domain.Key, p domain.Purchase, want ...domain.Line) domain.Cart {
	t.Helper()
	if err := s.RemoveOrdered(t.Context(), k, p, noon); err != nil {
		t.Fatal(err)
	}
	c, removed, err := s.Get(t.Context(), k, p.Order)
	if err != nil {
		t.Fatal(err)
	}
	if !removed {
		t.Error("the order's units have not left the cart")
	}
	wantLines(t, c, want...)
	return c
}

func line(sku string, quantity int64) domain.Line {
	return domain.Line{SKU: sku, Quantity: quantity}
}

func addition(sku string, delta int64) domain.Addition {
	return domain.Addition{SKU: sku, Delta: delta, ID: newID()}
}

func newID() domain.UUID { return domain.UUID(uuid.Must(uuid.NewV7())) }

func newKey() domain.Key { return domain.Key{ID: newID(), Owner: newID()} }

// newCart makes a cart with the lines and returns it.
func newCart(t *testing.T, s *postgres.Store, lines ...domain.Line) domain.Cart {
	t.Helper()
	c, err := s.Create(t.Context(), newKey(), noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		return c
	}
	return change(t, s, c.Key, domain.Change{Set: lines})
}

func change(t *testing.T, s *postgres.Store, k domain.Key, c domain.Change) domain.Cart {
	t.Helper()
	cart, err := s.Change(t.Context(), k, c, noon)
	if err != nil {
		t.Fatal(err)
	}
	return cart
}

func wantLines(t *testing.T, c domain.Cart, want ...domain.Line) {
	t.Helper()
	if !slices.Equal(c.Lines, want) {
		t.Errorf("lines %v, want %v", c.Lines, want)
	}
}

func TestCreateIsIdempotentForItsOwner(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	c := newCart(t, s, line("A", 2))

	again, err := s.Create(t.Context(), c.Key, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if again.Version != c.Version || !again.UpdatedAt.Equal(c.UpdatedAt) {
		t.Errorf("a repeated Create changed the cart: %+v, was %+v", again, c)
	}
	wantLines(t, again, c.Lines...)

	if _, err := s.Create(t.Context(), domain.Key{ID: c.ID, Owner: newID()}, noon); !errors.Is(err, domain.ErrTaken) {
		t.Errorf("Create with another owner's id: %v, want ErrTaken", err)
	}
}

func TestAnotherOwnersCartIsNotFound(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	c := newCart(t, s, line("A", 2))
	mine := newCart(t, s, line("B", 1))
	thief := domain.Key{ID: c.ID, Owner: mine.Owner}

	if _, err := get(t.Context(), s, thief); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	_, err := s.Change(t.Context(), thief, domain.Change{Replace: true}, noon)
	if !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Change: %v, want ErrNotFound", err)
	}
	if _, err := s.Add(t.Context(), thief, addition("A", 1), noon); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Add: %v, want ErrNotFound", err)
	}
	if _, err := s.Merge(t.Context(), mine.Key, thief, noon); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Merge into: %v, want ErrNotFound", err)
	}
	if got, err := s.Merge(t.Context(), thief, mine.Key, noon); err != nil || got.Version != mine.Version {
		t.Errorf("Merge from: %+v, %v, want the cart as it was", got, err)
	}
	if err := s.RemoveOrdered(t.Context(), thief, order(100, line("A", 2)), noon); err != nil {
		t.Errorf("RemoveOrdered: %v", err)
	}
	if err := s.Touch(t.Context(), thief, noon.Add(time.Hour)); err != nil {
		t.Errorf("Touch: %v", err)
	}
	for _, before := range []domain.Cart{c, mine} {
		after, err := get(t.Context(), s, before.Key)
		if err != nil {
			t.Fatal(err)
		}
		if after.Version != before.Version || !after.SeenAt.Equal(before.SeenAt) {
			t.Errorf("the cart changed: %+v, was %+v", after, before)
		}
		wantLines(t, after, before.Lines...)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	c := newCart(t, s)
	if c.Version != 1 || len(c.Lines) != 0 {
		t.Fatalf("a new cart is %+v", c)
	}

	c = change(t, s, c.Key, domain.Change{Set: []domain.Line{line("B", 1), line("A", 2), line("C", 3)}})
	wantLines(t, c, line("B", 1), line("A", 2), line("C", 3))

	// Lines keep their places; new ones go last; 0 removes.
	c = change(t, s, c.Key, domain.Change{Set: []domain.Line{line("D", 4), line("C", 0), line("B", 5)}, Expected: 2})
	wantLines(t, c, line("B", 5), line("A", 2), line("D", 4))
	if c.Version != 3 {
		t.Errorf("version %d, want 3", c.Version)
	}

	// What changes nothing is no change.
	same := change(t, s, c.Key, domain.Change{Set: []domain.Line{line("A", 2), line("X", 0)}})
	if same.Version != 3 {
		t.Errorf("version %d after a change of nothing, want 3", same.Version)
	}

	c = change(t, s, c.Key, domain.Change{Set: []domain.Line{line("A", 2), line("E", 1)}, Replace: true})
	wantLines(t, c, line("A", 2), line("E", 1))

	c = change(t, s, c.Key, domain.Change{Replace: true})
	if len(c.Lines) != 0 || c.Version != 5 {
		t.Errorf("emptied cart is %+v", c)
	}
}

func TestChangeOfAStaleVersionChangesNothing(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	c := newCart(t, s, line("A", 1)) // version 2
	for _, expected := range []int64{1, 3, 1 << 40} {
		_, err := s.Change(t.Context(), c.Key, domain.Change{Set: []domain.Line{line("A", 9)}, Expected: expected}, noon)
		var conflict *domain.VersionConflictError
		if !errors.As(err, &conflict) || conflict.Current != 2 {
			t.Errorf("expecting version %d: %v, want a conflict that names 2", expected, err)
		}
	}
	c, err := get(t.Context(), s, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, c, line("A", 1))
}

func TestAChangeIsMadeOnce(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	c := newCart(t, s, line("A", 1)) // version 2
	mine := domain.Change{Set: []domain.Line{line("A", 2)}, Expected: 2, ID: newID()}
	change(t, s, c.Key, mine)
	again := change(t, s, c.Key, mine)
	if again.Version != 3 {
		t.Errorf("version %d after a repeat, want 3", again.Version)
	}
	// Another change came between: the repeat does not undo it.
	change(t, s, c.Key, domain.Change{Set: []domain.Line{line("A", 7)}, Expected: 3, ID: newID()})
	again = change(t, s, c.Key, mine)
	wantLines(t, again, line("A", 7))
	// The same numbers under another id are another change, and stale.
	mine.ID = newID()
	if _, err := s.Change(t.Context(), c.Key, mine, noon); err == nil {
		t.Error("a new change of an old version was made")
	}
	// Without an id each is new.
	for i := range 10 {
		change(t, s, c.Key, domain.Change{Set: []domain.Line{line("B", int64(i+1))}})
	}
	again, err := get(t.Context(), s, c.Key)
	if err != nil || again.Version != 14 {
		t.Errorf("%+v, %v; want version 14", again, err)
	}
}

// TestAChangeMayMakeTheCart: in one transaction, and once.
func TestAChangeMayMakeTheCart(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx, k := t.Context(), newKey()
	first := domain.Change{Create: true, Replace: true, Set: []domain.Line{line("A", 2)}, ID: newID()}
	for range 2 { // the second is a repeat
		c := change(t, s, k, first)
		wantLines(t, c, line("A", 2))
		if c.Version != 2 || c.Key != k {
			t.Errorf("%+v, want version 2", c)
		}
	}
	wantLines(t, change(t, s, k, domain.Change{Create: true, Set: []domain.Line{line("B", 1)}}), line("A", 2), line("B", 1))
	if _, err := s.Change(ctx, domain.Key{ID: k.ID, Owner: newID()}, first, noon); !errors.Is(err, domain.ErrTaken) {
		t.Errorf("of another owner: %v", err)
	}
	wantLines(t, change(t, s, k, domain.Change{}), line("A", 2), line("B", 1))
	full := newID()
	for range domain.MaxCarts {
		change(t, s, domain.Key{ID: newID(), Owner: full}, first)
	}
	tooMany := domain.Key{ID: newID(), Owner: full}
	if _, err := s.Change(ctx, tooMany, first, noon); !errors.Is(err, domain.ErrTooManyCarts) {
		t.Errorf("one more: %v", err)
	}
	if _, err := get(ctx, s, tooMany); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	c := newCart(t, s, line("B", 1), line("A", 2)) // version 2
	add := func(a domain.Addition) domain.Cart {
		t.Helper()
		later := noon.Add(time.Hour)
		got, err := s.Add(t.Context(), c.Key, a, later)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := get(t.Context(), s, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got.Version != stored.Version || !got.UpdatedAt.Equal(later) || !got.SeenAt.Equal(domain.SeenAt(later)) ||
			!got.UpdatedAt.Equal(stored.UpdatedAt) || !got.SeenAt.Equal(stored.SeenAt) {
			t.Errorf("answered %+v, stored %+v", got, stored)
		}
		wantLines(t, stored, got.Lines...)
		return got
	}

	wantLines(t, add(addition("B", 4)), line("B", 5), line("A", 2))
	got := add(addition("C", 1))
	wantLines(t, got, line("B", 5), line("A", 2), line("C", 1))
	if got.Version != 4 {
		t.Errorf("version %d, want 4", got.Version)
	}

	expecting := addition("A", 1)
	expecting.Expected = 4
	wantLines(t, add(expecting), line("B", 5), line("A", 3), line("C", 1))
	// A repeat adds nothing, whatever version it expects.
	if again := add(expecting); again.Version != 5 {
		t.Errorf("version %d after a repeat, want 5", again.Version)
	}
	expecting.ID = newID()
	_, err := s.Add(t.Context(), c.Key, expecting, noon)
	var conflict *domain.VersionConflictError
	if !errors.As(err, &conflict) || conflict.Current != 5 {
		t.Errorf("expecting version 4: %v, want a conflict that names 5", err)
	}
	if _, err := s.Add(t.Context(), newKey(), addition("A", 1), noon); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("unknown cart: %v, want ErrNotFound", err)
	}

	// An order of the version before leaves what was added.
	remove(t, s, c.Key, order(4, line("B", 5), line("A", 2), line("C", 1)), line("A", 1))
}

func TestAddKeepsTheLimits(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	many := manyLines(domain.MaxLines)
	many[0].Quantity = domain.MaxQuantity - 1
	full := newCart(t, s, many...) // version 2
	first := many[0].SKU

	_, err := s.Add(t.Context(), full.Key, addition("X", 1), noon)
	if !errors.Is(err, domain.ErrFull) {
		t.Errorf("line %d: %v, want ErrFull", domain.MaxLines+1, err)
	}
	_, err = s.Add(t.Context(), full.Key, addition(first, 2), noon)
	var large *domain.QuantityTooLargeError
	if !errors.As(err, &large) || large.SKU != first || large.Quantity != domain.MaxQuantity+1 {
		t.Errorf("%d units: %v, want a QuantityTooLargeError", domain.MaxQuantity+1, err)
	}
	c, err := get(t.Context(), s, full.Key)
	if err != nil || c.Version != 2 {
		t.Errorf("refused additions left %+v, %v", c, err)
	}
	wantLines(t, c, many...)

	c, err = s.Add(t.Context(), full.Key, addition(first, 1), noon)
	if err != nil {
		t.Fatal(err)
	}
	many[0].Quantity++
	wantLines(t, c, many...)
}

func TestACartHasItsLimit(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	lines := manyLines(domain.MaxLines)
	c := newCart(t, s, lines...)
	wantLines(t, c, lines...)

	_, err := s.Change(t.Context(), c.Key, domain.Change{Set: []domain.Line{line("X", 1)}}, noon)
	if !errors.Is(err, domain.ErrFull) {
		t.Errorf("line %d: %v, want ErrFull", domain.MaxLines+1, err)
	}
	// One out, one in.
	c = change(t, s, c.Key, domain.Change{Set: []domain.Line{line("X", 1), line(lines[0].SKU, 0)}})
	wantLines(t, c, append(slices.Clone(lines[1:]), line("X", 1))...)
	// All of them at once.
	for i := range lines {
		lines[i].Quantity++
	}
	c = change(t, s, c.Key, domain.Change{Set: lines, Replace: true})
	if len(c.Lines) != domain.MaxLines {
		t.Errorf("%d lines, want %d", len(c.Lines), domain.MaxLines)
	}

	other := newCart(t, s, line("Y", 1))
	if _, err := s.Merge(t.Context(), other.Key, c.Key, noon); !errors.Is(err, domain.ErrFull) {
		t.Errorf("Merge: %v, want ErrFull", err)
	}
	if other, err = get(t.Context(), s, other.Key); err != nil {
		t.Errorf("a cart that did not fit is gone: %v", err)
	}
	wantLines(t, other, line("Y", 1))
}

func manyLines(n int) []domain.Line {
	lines := make([]domain.Line, n)
	for i := range lines {
		lines[i] = line(fmt.Sprintf("SKU-%04d", i), int64(i+1))
	}
	return lines
}

func TestMerge(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	into := newCart(t, s, line("A", 1), line("B", domain.MaxQuantity-1))
	from := newCart(t, s, line("C", 3), line("B", 2), line("A", 4))

	for range 2 { // the second finds no cart to merge
		c, err := s.Merge(t.Context(), from.Key, into.Key, noon)
		if err != nil {
			t.Fatal(err)
		}
		wantLines(t, c, line("A", 5), line("B", domain.MaxQuantity), line("C", 3))
		if c.Version != 3 {
			t.Errorf("version %d, want 3", c.Version)
		}
	}
	if _, err := get(t.Context(), s, from.Key); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("the merged cart: %v, want ErrNotFound", err)
	}
	// What was merged came after the version that was ordered before.
	remove(t, s, into.Key, order(into.Version, line("A", 1), line("C", 3)), line("A", 4), line("B", domain.MaxQuantity), line("C", 3))

	// Into itself: nothing happens.
	if c, err := s.Merge(t.Context(), into.Key, into.Key, noon); err != nil || c.Version != 4 {
		t.Errorf("merge into itself: %+v, %v", c, err)
	}
}

func TestExpire(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t, nil)
	stale, locked, read := newCart(t, s, line("A", 1)), newCart(t, s), newCart(t, s)
	later := noon.Add(24 * time.Hour)
	if err := s.Touch(t.Context(), read.Key, later); err != nil {
		t.Fatal(err)
	}

	// Another transaction is changing one of the stale carts.
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), "UPDATE carts SET seen_at = $2 WHERE id = $1", locked.ID, later); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Expire(t.Context(), later, 100); err != nil || n != 1 {
		t.Errorf("expired %d, %v, want 1", n, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Expire(t.Context(), later, 100); err != nil || n != 0 {
		t.Errorf("expired %d more, %v, want 0", n, err)
	}
	if _, err := get(t.Context(), s, stale.Key); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("stale cart: %v, want ErrNotFound", err)
	}
	for _, c := range []domain.Cart{locked, read} {
		if _, err := get(t.Context(), s, c.Key); err != nil {
			t.Errorf("a cart in use is gone: %v", err)
		}
	}
}

// roundTrips counts what goes to the server.
type roundTrips struct {
	mu sync.Mutex
	n  int
}

func (r *roundTrips) add() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
}

func (r *roundTrips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	r.add()
	return ctx
}
func (r *roundTrips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *roundTrips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	r.add()
	return ctx
}
func (r *roundTrips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (r *roundTrips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func TestEveryCallIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	var trips roundTrips
	s, _ := newStore(t, &trips)
	ctx, k, guest := t.Context(), newKey(), newKey()
	lines := manyLines(domain.MaxLines)
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"create", func() error { _, err := s.Create(ctx, k, noon); return err }},
		{"create another", func() error { _, err := s.Create(ctx, guest, noon); return err }},
		{"set 2,000 lines", func() error { _, err := s.Change(ctx, k, domain.Change{Set: lines}, noon); return err }},
		{"set 2,000 more", func() error { _, err := s.Change(ctx, guest, domain.Change{Set: lines}, noon); return err }},
		{"add to 2,000 lines", func() error { _, err := s.Add(ctx, k, addition("SKU-1999", 1), noon); return err }},
		{"create with lines", func() error {
			_, err := s.Change(ctx, newKey(), domain.Change{Create: true, Set: lines}, noon)
			return err
		}},
		{"get", func() error { _, err := get(ctx, s, k); return err }},
		{"merge", func() error { _, err := s.Merge(ctx, guest, k, noon); return err }},
		{"remove what was ordered", func() error { return s.RemoveOrdered(ctx, k, order(2, lines...), noon) }},
		{"add", func() error { _, err := s.Add(ctx, k, addition("SKU-0000", 1), noon); return err }},
	} {
		before := trips.n
		if err := call.do(); err != nil {
			t.Fatalf("%s: %v", call.name, err)
		}
		if n := trips.n - before; n != 1 {
			t.Errorf("%s took %d round trips, want 1", call.name, n)
		}
	}
}

// TestCartsOfAnOwner: an owner has so many carts and no more, however many others have. Another one
// takes the place of an empty one that was not used in this hour; one with goods stays.
func TestCartsOfAnOwner(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	ctx, owner := t.Context(), newID()
	create := func(now time.Time) (domain.Key, error) {
		k := domain.Key{ID: newID(), Owner: owner}
		_, err := s.Create(ctx, k, now)
		return k, err
	}
	var carts []domain.Key
	for range domain.MaxCarts {
		k, err := create(noon)
		if err != nil {
			t.Fatal(err)
		}
		carts = append(carts, k)
	}
	if k, err := create(noon); !errors.Is(err, domain.ErrTooManyCarts) {
		t.Errorf("one more: %v", err)
	} else if _, err := get(ctx, s, k); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
	if _, err := s.Create(ctx, carts[0], noon); err != nil {
		t.Errorf("a repeat: %v", err)
	}
	if _, err := s.Create(ctx, newKey(), noon); err != nil {
		t.Errorf("of another owner: %v", err)
	}
	for _, k := range carts[1:] { // all but the first have goods
		change(t, s, k, domain.Change{Set: []domain.Line{line("MUG", 1)}})
	}
	later := noon.Add(2 * time.Hour)
	if _, err := create(later); err != nil {
		t.Errorf("in place of an empty one: %v", err)
	}
	if _, err := get(ctx, s, carts[0]); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("the empty one: %v", err)
	}
	if _, err := create(later); !errors.Is(err, domain.ErrTooManyCarts) {
		t.Errorf("the others have goods: %v", err)
	}
	for _, k := range carts[1:] {
		if _, err := get(ctx, s, k); err != nil {
			t.Fatalf("one with goods: %v", err)
		}
	}
}

// TestForgetMerges: where a cart went is forgotten by age, also while the cart that stayed is used.
func TestForgetMerges(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	into := newCart(t, s).Key
	for _, at := range []time.Time{noon, noon.Add(time.Hour)} {
		if _, err := s.Merge(t.Context(), newCart(t, s, line("MUG", 1)).Key, into, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{1, 0} {
		if n, err := s.ForgetMerges(t.Context(), noon.Add(time.Minute), 10); err != nil || n != want {
			t.Errorf("%d forgotten, %v; want %d", n, err, want)
		}
	}
}
