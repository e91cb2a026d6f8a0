package recovery_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/load"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/souk/internal/reconcile"
	"github.com/souk-shop/souk/tools/souk/internal/recovery"
	"github.com/souk-shop/souk/tools/souk/internal/verify"
)

const (
	// ordersVariable says how many orders there are before the moment that is restored; 2000 takes
	// two minutes.
	ordersVariable = "SOUK_TEST_RECOVERY_ORDERS"
	defaultOrders  = 200
	// rate is how many orders a second come in.
	rate = 40
)

// TestADroppedTable: orders come in, a table of payment's is dropped, and the shop is restored to a
// moment before, in the middle of orders. The books differ by what the provider did since, and are equal
// once that is settled.
func TestADroppedTable(t *testing.T) {
	t.Parallel()
	for name, postgres := range map[string]string{"one PostgreSQL": "", "three PostgreSQL": localshop.HAPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dropTable(t, postgres)
		})
	}
}

func dropTable(t *testing.T, postgres string) {
	for _, program := range map[string][]string{"": {"pgbackrest"}, localshop.HAPostgres: {"pgbackrest", "patroni", "etcd"}}[postgres] {
		skipWithout(t, program)
	}
	orders := defaultOrders
	if text := os.Getenv(ordersVariable); text != "" {
		var err error
		if orders, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", ordersVariable, err)
		}
	}
	s := &shop{T: t, opts: localshop.Options{Postgres: postgres, Disposable: true, Seed: true, Events: localshop.EmbeddedEvents}}
	folder := pgtest.Folder(t)
	s.opts.Dir, s.opts.Backups = filepath.Join(folder, "data"), filepath.Join(folder, "backups")
	s.start()
	s.buy(orders / 2)
	s.want(recovery.Backup, "any time from")
	found, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for again := true; again; { // the shop may refuse some: as many as it takes, and a second's more
			select {
			case <-found:
				again = false
			default:
			}
			s.buy(rate)
		}
	}()
	moment := s.when(orders)
	close(found)
	<-ended
	s.sql("payment", "DROP TABLE ledger_entries CASCADE")
	s.stop()

	began := time.Now()
	s.want(recovery.Restore, "next:", "--to", moment.Format(time.RFC3339Nano))
	took := time.Since(began)
	s.start()
	t.Logf("restored %d orders in %s, and the shop answered after %s", orders, took, time.Since(began))

	// Without settling: the provider has taken money for orders that the shop no longer has.
	if said, err := s.run(reconcile.Command); err == nil || !strings.Contains(said, "missing here  capture") {
		t.Errorf("the provider has nothing that the shop has not: %v\n%s", err, said)
	}
	if said, err := s.run(verify.Command, "--wait", "30s"); err == nil {
		t.Errorf("the books are equal before anything is settled\n%s", said)
	}
	s.want(reconcile.Command, "No difference.", "--settle", moment.Format(time.RFC3339Nano))
	t.Log(s.want(verify.Command, "No difference: every penny", "--wait", "30s"))
	s.stop()
}

// skipWithout skips a test where a program is missing, but not where `souk test` installs it.
func skipWithout(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	if _, apt := exec.LookPath("apt-get"); err != nil && apt != nil {
		t.Skip(err)
	}
}

// shop is a shop in a test.
type shop struct {
	*testing.T
	opts localshop.Options
	*localshop.Shop
}

func (s *shop) start() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 4*time.Minute)
	defer cancel()
	var err error
	if s.Shop, err = localshop.Start(ctx, s.opts); err != nil {
		s.Fatal(err)
	}
	running := s.Shop
	s.Cleanup(func() { _ = running.Stop(context.Background()) }) // a second stop does nothing
}

func (s *shop) stop() {
	s.Helper()
	if err := s.Stop(context.Background()); err != nil {
		s.Fatal(err)
	}
}

// buy places so many orders, at the rate.
func (s *shop) buy(orders int) {
	s.Helper()
	l, err := load.Prepare(s.Context(), load.Options{
		Shop: shopclient.New(s.URL), Rate: rate, Duration: time.Duration(orders) * time.Second / rate, Mix: load.Mix{load.Checkout: 1}, Seed: uint64(orders), Timeout: time.Minute,
	})
	if err == nil {
		err = l.Run(s.Context())
	}
	if err != nil {
		s.Error(err)
	}
}

// when returns a moment, by the database's clock, at which there are so many orders and others under way.
func (s *shop) when(orders int) (at time.Time) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.DSN("order"))
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close(s.Context())
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.Failed() { // nobody buys
			s.FailNow()
		}
		var all, open int
		if err := conn.QueryRow(s.Context(), "SELECT count(*), count(*) FILTER (WHERE state NOT IN ('paid', 'cancelled')), clock_timestamp() FROM orders").Scan(&all, &open, &at); err != nil {
			s.Fatal(err)
		}
		if all >= orders && open > 0 {
			return at
		}
		select {
		case <-s.Context().Done():
			s.Fatal(s.Context().Err())
		case <-tick.C:
		}
	}
}

func (s *shop) sql(service, statement string) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.DSN(service))
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close(s.Context())
	if _, err := conn.Exec(s.Context(), statement); err != nil {
		s.Fatal(err)
	}
}

type command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// run runs a command on the shop's data.
func (s *shop) run(c command, args ...string) (said string, err error) {
	s.Helper()
	var out bytes.Buffer
	err = c(s.Context(), append([]string{"--data", s.opts.Dir}, args...), &out, io.Discard)
	return out.String(), err
}

// want runs a command that succeeds and says something.
func (s *shop) want(c command, what string, args ...string) string {
	s.Helper()
	said, err := s.run(c, args...)
	if err != nil || !strings.Contains(said, what) {
		s.Fatalf("%q: %v\n%s", what, err, said)
	}
	return said
}
