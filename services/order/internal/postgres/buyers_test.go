package postgres_test

import (
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

func limits() domain.BuyerLimits {
	return domain.BuyerLimits{Key: []byte("key"), FreeDeclines: map[domain.SubjectKind]int{domain.OfGuest: 3, domain.OfAddress: 30, domain.OfMethod: 3}}
}

// Declines are counted in the commit that writes them, once however many drivers do, and
// decay.
func TestDeclinesAreCounted(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	l := limits()
	customer, address := uuid.NewString(), []byte("0123456789abcdef")
	decline := func() {
		t.Helper()
		o := newOrder()
		o.CustomerID, o.AddressKey, o.PaymentMethod = customer, address, "pm_secret"
		o = path(t, s, place(t, s, o), domain.StockReserved)
		loaded, err := s.Load(t.Context(), o.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		to, _ := domain.Next(domain.Authorizing, domain.PaymentRefused)
		note := domain.Note{DeclineCode: "generic_decline", Declined: l.Counted(loaded, "generic_decline")}
		for i := range 2 { // another driver is slower
			if _, written, err := s.Advance(t.Context(), o, to, note); err != nil || written != (i == 0) {
				t.Fatal(written, err)
			}
		}
	}
	scores := func(want ...float64) {
		t.Helper()
		subjects := l.Subjects(domain.Order{CustomerID: customer, AddressKey: address, PaymentMethod: "pm_secret"})
		st, err := s.Standing(t.Context(), app.Buyer{CustomerID: customer, IdempotencyKey: "none", AddressKey: address, Subjects: subjects})
		if err != nil || len(st.Declines) != len(want) || st.OrderID != "" {
			t.Fatalf("%+v, %v", st, err)
		}
		for i, d := range st.Declines {
			if math.Abs(d.Score-want[i]) > 0.01 || d.Since < 0 {
				t.Errorf("%s: %+v, want %v", subjects[i].Kind, d, want[i])
			}
		}
	}
	scores(0, 0, 0)
	decline()
	decline()
	scores(2, 2, 2)
	if _, err := pool.Exec(t.Context(), "UPDATE declines SET at = at - interval '30 minutes'"); err != nil {
		t.Fatal(err)
	}
	decline() // half of what an address had is gone, of the others next to nothing
	scores(1+2*math.Exp2(-0.5/24), 2, 1+2*math.Exp2(-0.5/24))

	var kept string
	if err := pool.QueryRow(t.Context(), "SELECT string_agg(d::text, ' ') FROM declines d").Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(kept, "pm_") || strings.Contains(kept, customer) {
		t.Errorf("declines keep %s", kept)
	}
	if err := s.ForgetDeclines(t.Context()); err != nil {
		t.Fatal(err)
	}
	scores(1+2*math.Exp2(-0.5/24), 2, 1+2*math.Exp2(-0.5/24))
	if _, err := pool.Exec(t.Context(), "UPDATE declines SET at = at - interval '5 hours'"); err != nil {
		t.Fatal(err)
	}
	if err := s.ForgetDeclines(t.Context()); err != nil {
		t.Fatal(err)
	}
	scores(1+2*math.Exp2(-0.5/24), 0, 1+2*math.Exp2(-0.5/24))
}

// What may be forgotten is found without a look at what may not, which is kept for days.
func TestForgottenDeclinesAreFound(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	_, err := pool.Exec(t.Context(), `INSERT INTO declines (key, score, half_life, at)
		SELECT decode(md5(i::text), 'hex'), 1, CASE WHEN i <= 3000 THEN interval '24 hours' ELSE interval '30 minutes' END, now() - interval '5 hours'
		FROM generate_series(1, 3010) i`)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), "ANALYZE declines; SET LOCAL enable_seqscan = off"); err != nil {
		t.Fatal(err)
	}
	const forgettable = `SELECT key FROM declines d WHERE d.at - timestamptz 'epoch' + 8 * d.half_life < now() - timestamptz 'epoch'
		ORDER BY d.at - timestamptz 'epoch' + 8 * d.half_life LIMIT 1000`
	rows, _ := tx.Query(t.Context(), "EXPLAIN (ANALYZE, TIMING OFF) "+forgettable)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	plan := strings.Join(lines, "\n")
	if err != nil || !strings.Contains(plan, "declines_forgettable") || strings.Contains(plan, "Removed") {
		t.Errorf("%s, %v", plan, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.ForgetDeclines(t.Context()); err != nil {
		t.Fatal(err)
	}
	var kept int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM declines").Scan(&kept); err != nil || kept != 3000 {
		t.Errorf("%d are kept, %v", kept, err)
	}
}

// Declines of many orders at once, of one address and few cards, do not lock each other out.
func TestDeclinesAtOnce(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	l := limits()
	to, _ := domain.Next(domain.Authorizing, domain.PaymentRefused)
	var wg sync.WaitGroup
	for i := range 40 {
		o := newOrder()
		o.AddressKey, o.PaymentMethod = []byte("0123456789abcdef"), []string{"pm_a", "pm_b", "pm_c"}[i%3]
		o = path(t, s, place(t, s, o), domain.StockReserved)
		wg.Go(func() {
			if _, written, err := s.Advance(t.Context(), o, to, domain.Note{Declined: l.Subjects(o)}); err != nil || !written {
				t.Error(written, err)
			}
		})
	}
	wg.Wait()
	var most float64
	if err := pool.QueryRow(t.Context(), "SELECT max(score) FROM declines").Scan(&most); err != nil || most < 39.5 {
		t.Errorf("%v counted of 40, %v", most, err)
	}
}

// A buyer's standing has the order of the key, and the unsettled orders of guest and
// address with their units.
func TestStanding(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	near := []byte("0123456789abcdef")
	mine := newOrder()
	mine.AddressKey = near
	mine = place(t, s, mine)
	elsewhere := newOrder() // mine from another address
	elsewhere.CustomerID = mine.CustomerID
	place(t, s, elsewhere)
	neighbor := newOrder()
	neighbor.AddressKey = near
	place(t, s, neighbor)
	place(t, s, newOrder()) // another guest
	paid := newOrder()
	paid.CustomerID, paid.AddressKey = mine.CustomerID, near
	path(t, s, place(t, s, paid), domain.StockReserved, domain.PaymentAuthorized, domain.StockConfirmed, domain.MoneyCaptured)

	st, err := s.Standing(t.Context(), app.Buyer{CustomerID: mine.CustomerID, IdempotencyKey: mine.IdempotencyKey, AddressKey: near})
	if err != nil {
		t.Fatal(err)
	}
	if st.OrderID != mine.ID || st.Orders[domain.OfGuest] != 2 || st.Orders[domain.OfAddress] != 2 ||
		st.Units[domain.OfGuest]["Z"] != 4 || st.Units[domain.OfAddress]["Z"] != 4 || st.Units[domain.OfAddress]["A"] != 6 {
		t.Errorf("%+v", st)
	}
	st, err = s.Standing(t.Context(), app.Buyer{CustomerID: neighbor.CustomerID, IdempotencyKey: "new"})
	if err != nil || st.OrderID != "" || st.Orders[domain.OfGuest] != 1 || st.Orders[domain.OfAddress] != 0 || st.Units[domain.OfAddress]["Z"] != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}
