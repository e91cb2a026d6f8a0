package ownership_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/ownership"
	"github.com/souk-shop/souk/services/chassis/cell/route"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// database is one of the cell c1 with half of the buckets, which has no tables of a service.
func database(t *testing.T) (runtime, owner *pgxpool.Pool) {
	t.Helper()
	db := pgtest.Service(t, nil)
	if err := ownership.Ready(t.Context(), db.Superuser(t), "c1"); !errors.Is(err, pg.ErrNotMigrated) {
		t.Fatalf("before the migration: %v", err)
	}
	if err := ownership.Migrate(t.Context(), db.Config, slog.New(slog.DiscardHandler), "c1", cell.Split(2)[0], ownership.Plan{}); err != nil {
		t.Fatal(err)
	}
	runtime, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runtime.Close)
	return runtime, db.Superuser(t)
}

// leave has a bucket go to c2.
func leave(t *testing.T, owner *pgxpool.Pool, b cell.Bucket) {
	t.Helper()
	_, err := owner.Exec(t.Context(), "WITH gone AS (UPDATE souk_cell_buckets SET state = 'away', other = 'c2', epoch = 3 WHERE bucket = $1) UPDATE souk_cell SET version = version + 1", int32(b))
	if err != nil {
		t.Fatal(err)
	}
}

func isAway(err error, to string) bool {
	wrong, ok := errors.AsType[*route.WrongCellError](err)
	return ok && wrong.MovedTo == to && wrong.Cell == "c1" && (to == "") == (wrong.Epoch == 0)
}

// A process is ready with its own cell's database alone.
func TestReady(t *testing.T) {
	t.Parallel()
	runtime, _ := database(t)
	if err := ownership.Ready(t.Context(), runtime, "c1"); err != nil {
		t.Error(err)
	}
	err := ownership.Ready(t.Context(), runtime, "c2")
	if _, ok := errors.AsType[*ownership.WrongDatabaseError](err); !ok {
		t.Errorf("another cell's: %v", err)
	}
	own, err := ownership.Owned(t.Context(), runtime)
	if err != nil || own != cell.Split(2)[0] {
		t.Errorf("it has %s, %v", own, err)
	}
}

// A process lets requests through about what its cell has, ends them when that leaves, and says where
// it has gone.
func TestRequestsEndWithTheirBucket(t *testing.T) {
	t.Parallel()
	runtime, owner := database(t)
	w := ownership.NewWatcher(runtime, "c1")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	held, release, err := w.Hold(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = release() }()
	other, done, err := w.Hold(t.Context(), 8)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = done() }()
	if _, _, err := w.Hold(t.Context(), 900); !isAway(err, "") {
		t.Errorf("a bucket that never was here: %v", err)
	}
	leave(t, owner, 7)
	<-held.Done()
	if cause := context.Cause(held); !isAway(cause, "c2") {
		t.Errorf("the request ends with %v", cause)
	}
	if other.Err() != nil {
		t.Error("a request about another bucket ends, too")
	}
	if _, _, err := w.Hold(t.Context(), 7); !isAway(err, "c2") {
		t.Errorf("the next request: %v", err)
	}
}

// Nothing is let through on what was known more than MaxAge ago, though only the requests look.
func TestNothingIsAnsweredFromOldKnowledge(t *testing.T) {
	t.Parallel()
	runtime, owner := database(t)
	w := ownership.NewWatcher(runtime, "c1")
	ask := func() error {
		_, release, err := w.Hold(t.Context(), 7)
		if err == nil {
			err = release()
		}
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	leave(t, owner, 7)
	left := time.Now()
	for {
		asked := time.Now()
		err := ask()
		if isAway(err, "c2") {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if age := asked.Sub(left); age > ownership.MaxAge {
			t.Fatalf("a request is let through %s after its bucket has left", age)
		}
	}
	// While the database is away nothing is known, and nothing let through.
	runtime.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		if _, _, err := w.Hold(ctx, 8); err != nil {
			if isAway(err, "") || ctx.Err() != nil {
				t.Errorf("with the database away: %v", err)
			}
			return
		}
	}
}

// A request that was let through, and then stood still with its process, is not answered from what its
// bucket has left behind, nor from the time in between where the bucket is back.
func TestAnAnswerIsNotOfWhatIsLeft(t *testing.T) {
	t.Parallel()
	runtime, owner := database(t)
	w := ownership.NewWatcher(runtime, "c1")
	releases := map[cell.Bucket]func() error{}
	for _, b := range []cell.Bucket{7, 8, 9} {
		_, release, err := w.Hold(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		releases[b] = release
	}
	leave(t, owner, 7)
	leave(t, owner, 8)
	if _, err := owner.Exec(t.Context(), "UPDATE souk_cell_buckets SET state = 'owned', other = '', epoch = 4 WHERE bucket = 8"); err != nil {
		t.Fatal(err)
	}
	<-time.After(ownership.MaxAge) // and then no request has looked for that long
	if err := releases[7](); !isAway(err, "c2") {
		t.Errorf("of a bucket that has left: %v", err)
	}
	if err := releases[8](); !isAway(err, "c1") {
		t.Errorf("of one that is back: %v", err)
	}
	if err := releases[9](); err != nil {
		t.Errorf("of one that was here all the while: %v", err)
	}
}

// Requests that come while the database does not answer wait for one look of all of them, and not one
// after another.
func TestRequestsWaitForOneLook(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	pool, err := pgxpool.New(t.Context(), "postgres://souk@"+silent.Addr().String()+"/souk?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := ownership.NewWatcher(pool, "c1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const requests = 30
	answers := make(chan error, requests)
	begun := time.Now()
	for range requests {
		go func() { _, _, err := w.Hold(ctx, 7); answers <- err }()
	}
	for range requests {
		if err := <-answers; status.Code(err) != codes.Unavailable {
			t.Fatalf("a request is answered %v", err)
		}
	}
	if took := time.Since(begun); took > 20*time.Second { // one look takes 2 s
		t.Errorf("%d requests waited for %s", requests, took)
	}
}
