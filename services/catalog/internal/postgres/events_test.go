package postgres_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/events/log/logtest"
)

// told are the types of a subject's events.
func (s *shop) told(subject, want string) {
	s.t.Helper()
	if got := logtest.Types(logtest.Of(s.t, s.pool, subject)); got != want {
		s.t.Errorf("%s: events %q, want %q", subject, got, want)
	}
}

func TestAnEditIsOneEventOfEachProduct(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	lamp := simple("LAMP.1", "Lamp", 500, 3)
	s.add(lamp, simple("VASE", "Vase", 700, 1))
	product := "product." + s.product("LAMP.1").ID
	s.told(product, "ProductUpserted")
	s.told("category.gifts", "CategoryUpserted")
	s.add(lamp) // the same again
	s.told(product, "ProductUpserted")
	lamp.Description = "Bright"
	s.add(lamp)
	s.told(product, "ProductUpserted ProductUpserted") //nolint:dupword // two events of a type
	if _, err := s.SetPrices(t.Context(), "", []domain.PriceChange{{SKU: "LAMP.1", Price: gbp(450)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetState(t.Context(), domain.Edit{}, domain.Named{Code: "LAMP.1"}, domain.Archived); err != nil {
		t.Fatal(err)
	}
	s.told(product, "ProductUpserted ProductUpserted PriceChanged ProductUpserted ProductArchived") //nolint:dupword // two events of a type
	messages := logtest.Of(t, s.pool, product)
	price := messages[2].(*catalogv1.PriceChanged)                 //nolint:forcetypeassert // as its type says
	facts := messages[4].(*catalogv1.ProductArchived).GetProduct() //nolint:forcetypeassert // as its type says
	if price.GetBefore().GetMinorUnits() != 500 || price.GetNow().GetMinorUnits() != 450 || price.GetSku() != "LAMP.1" {
		t.Errorf("price: %v", price)
	}
	if v := facts.GetVariants()[0]; facts.GetState() != catalogv1.ProductState_PRODUCT_STATE_ARCHIVED || facts.GetDescription() != "Bright" ||
		facts.GetCode() != "LAMP.1" || v.GetPrice().GetMinorUnits() != 450 || v.GetState() != catalogv1.ProductState_PRODUCT_STATE_ACTIVE {
		t.Errorf("product: %v", facts)
	}
	vase := "product." + s.product("VASE").ID
	if err := s.Delete(t.Context(), domain.Edit{}, domain.Named{Code: "VASE"}); err != nil {
		t.Fatal(err)
	}
	s.told(vase, "ProductUpserted ProductDeleted")
}

func TestWhatCanBeOrderedIsAnEvent(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("LAMP.1", "Lamp", 500, 5), simple("VASE", "Vase", 700, 5))
	order := newID()
	if _, _, err := s.Reserve(t.Context(), order, []domain.StockLine{line("LAMP.1", 2), line("VASE", 1)}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Confirm(t.Context(), order); err != nil { // changes nothing
		t.Fatal(err)
	}
	if _, _, err := s.Release(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RefreshPopularity(t.Context()); err != nil {
		t.Fatal(err)
	}
	for subject, levels := range map[string][]int64{"stock.LAMP=2E1": {5, 3, 5}, "stock.VASE": {5, 4, 5}} {
		var got []int64
		for _, m := range logtest.Of(t, s.pool, subject) {
			got = append(got, m.(*catalogv1.StockLevelChanged).GetAvailable()) //nolint:forcetypeassert // as its type says
		}
		if !slices.Equal(got, levels) {
			t.Errorf("%s: available %v, want %v", subject, got, levels)
		}
	}
	s.told("product."+s.product("VASE").ID, "ProductUpserted")
}

// TestWhatHappensIsPartOfItsTrace: of a command that is one statement, of one that is a
// transaction, and of an edit.
func TestWhatHappensIsPartOfItsTrace(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("LAMP", "Lamp", 500, 5))
	order, lines := newID(), []domain.StockLine{line("LAMP", 1)}
	for i, do := range []func(context.Context) error{
		func(ctx context.Context) error { _, _, err := s.Reserve(ctx, order, lines, time.Minute); return err },
		func(ctx context.Context) error { _, _, err := s.Release(ctx, order); return err },
		func(ctx context.Context) error { _, _, err := s.Reserve(ctx, newID(), lines, -time.Minute); return err },
		func(ctx context.Context) error { // frees what has expired, and holds: two events
			_, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("LAMP", 5)}, time.Minute)
			return err
		},
		func(ctx context.Context) error {
			_, err := s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: "LAMP", Delta: 5}}})
			return err
		},
	} {
		span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{0, byte(i + 1)}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled})
		if err := do(trace.ContextWithSpanContext(t.Context(), span)); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.pool.Query(t.Context(), "SELECT substr(traceparent, 7, 1) FROM souk_events WHERE subject = 'stock.LAMP' ORDER BY version")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !slices.Equal(got, []string{"", "1", "2", "3", "4", "4", "5"}) {
		t.Errorf("the traces %q, %v", got, err)
	}
}

// TestTheEventsWaitForAnImport: the migration that makes the triggers locks what an import
// goes on to write.
func TestTheEventsWaitForAnImport(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("LAMP", "Lamp", 500, 5))
	migration, err := os.ReadFile("migrations/00010_events.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, down, _ := strings.Cut(string(migration), "-- +goose Down")
	run := func(sql string) error {
		conn, err := s.pool.Acquire(t.Context())
		if err != nil {
			return err
		}
		defer conn.Release()
		_, err = conn.Conn().PgConn().Exec(t.Context(), sql).ReadAll() // one transaction
		return err
	}
	if err := run(down); err != nil {
		t.Fatal(err)
	}
	migrated := make(chan error, 1)
	err = pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), olderLock); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), "UPDATE variants SET price = 400"); err != nil {
			return err
		}
		go func() { migrated <- run(up) }()
		for waits := false; !waits; {
			err := s.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
				AND wait_event_type = 'Lock' AND query LIKE '%tell_stock%')`).Scan(&waits)
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(t.Context(), "UPDATE stock SET total = 6")
		return err
	})
	if err := errors.Join(err, <-migrated); err != nil {
		t.Error(err)
	}
}

func TestThePastIsWhatThereIs(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("LAMP.1", "Lamp", 500, 5), simple("VASE", "Vase", 700, 5), simple("MUG", "Mug", 300, 1))
	const columns = "subject, version, type, data"
	want := logtest.Dump(t, s.pool, columns)
	if _, err := s.pool.Exec(t.Context(), "DELETE FROM souk_events"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		logtest.Again(t, s.pool, "migrations/00011_past_events.sql")
		if got := logtest.Dump(t, s.pool, columns); !slices.Equal(got, want) {
			t.Fatalf("events:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	s.add(simple("MUG", "Mug", 300, 4))
	s.told("stock.MUG", "StockLevelChanged StockLevelChanged") //nolint:dupword // two events of a type
}
