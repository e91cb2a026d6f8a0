package answers_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type keeper struct {
	*answers.Server
	t    *testing.T
	pool *pgxpool.Pool
}

func start(t *testing.T) *keeper {
	t.Helper()
	dsn := pgtest.New(t, func(ctx context.Context, dsn string) error {
		return answers.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
	})
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := answers.Migrated(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	server, err := answers.NewServer(pool, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return &keeper{server, t, pool}
}

func key(name string) *answerv1.Key { return &answerv1.Key{Scope: "test", Key: name} }

func (k *keeper) begin(name, request string, lease time.Duration) *answerv1.BeginResponse {
	k.t.Helper()
	return k.attempt(uuid.NewString(), name, request, lease)
}

func (k *keeper) attempt(id, name, request string, lease time.Duration) *answerv1.BeginResponse {
	k.t.Helper()
	res, err := k.Begin(k.t.Context(), &answerv1.BeginRequest{
		Viewer:    access.Service("gateway"),
		AttemptId: id, Key: key(name), RequestHash: bytes.Repeat([]byte(request[:1]), 32), Lease: durationpb.New(lease),
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return res
}

func (k *keeper) complete(name, body string) *answerv1.Answer {
	k.t.Helper()
	res, err := k.Complete(k.t.Context(), &answerv1.CompleteRequest{Viewer: access.Service("gateway"), Key: key(name), Answer: &answerv1.Answer{Status: 201, Headers: map[string]string{"Location": "/x"}, Body: []byte(body)}})
	if err != nil {
		k.t.Fatal(err)
	}
	return res.GetAnswer()
}

func (k *keeper) abandon(attempt, name string, nothingDone bool) {
	k.t.Helper()
	if _, err := k.Abandon(k.t.Context(), &answerv1.AbandonRequest{Viewer: access.Service("gateway"), AttemptId: attempt, Key: key(name), NothingDone: nothingDone}); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) want(res *answerv1.BeginResponse, outcome answerv1.Outcome) {
	k.t.Helper()
	if res.GetOutcome() != outcome {
		k.t.Errorf("%v, want %v", res, outcome)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	k := start(t)
	attempt := uuid.NewString()
	first := k.attempt(attempt, "a", "r", time.Minute)
	k.want(first, answerv1.Outcome_OUTCOME_BEGUN)
	k.want(k.begin("a", "r", time.Minute), answerv1.Outcome_OUTCOME_IN_FLIGHT)
	k.want(k.begin("a", "other", time.Minute), answerv1.Outcome_OUTCOME_ANOTHER_REQUEST)
	k.want(k.begin("b", "other", time.Minute), answerv1.Outcome_OUTCOME_BEGUN)
	kept := k.complete("a", "one")
	if again := k.complete("a", "two"); !proto.Equal(again, kept) {
		t.Errorf("the second to complete gets %v, not %v", again, kept)
	}
	k.abandon(attempt, "a", true) // too late
	res := k.begin("a", "r", time.Minute)
	k.want(res, answerv1.Outcome_OUTCOME_COMPLETED)
	if !proto.Equal(res.GetAnswer(), kept) || string(kept.GetBody()) != "one" || kept.GetHeaders()["Location"] != "/x" {
		t.Errorf("answer %v, kept %v", res.GetAnswer(), kept)
	}
	k.want(k.begin("a", "other", time.Minute), answerv1.Outcome_OUTCOME_ANOTHER_REQUEST)
}

// A call whose reply was lost is repeated, by the same attempt alone.
func TestLostReply(t *testing.T) {
	t.Parallel()
	k := start(t)
	id := uuid.NewString()
	first := k.attempt(id, "a", "r", time.Minute)
	again := k.attempt(id, "a", "r", time.Minute)
	k.want(again, answerv1.Outcome_OUTCOME_BEGUN)
	if again.GetOperationId() != first.GetOperationId() {
		t.Error("another id")
	}
	k.want(k.begin("a", "r", time.Minute), answerv1.Outcome_OUTCOME_IN_FLIGHT)
}

// What was left unfinished is made again under the same id, by the same request
// alone; where nothing was done the key is free.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	k := start(t)
	died := k.begin("died", "r", time.Microsecond)
	attempt := uuid.NewString()
	unknown := k.attempt(attempt, "unknown", "r", time.Minute)
	k.abandon(attempt, "unknown", false)
	for name, before := range map[string]*answerv1.BeginResponse{"died": died, "unknown": unknown} {
		k.want(k.begin(name, "other", time.Minute), answerv1.Outcome_OUTCOME_ANOTHER_REQUEST)
		again := k.begin(name, "r", time.Minute)
		k.want(again, answerv1.Outcome_OUTCOME_BEGUN)
		if again.GetOperationId() != before.GetOperationId() {
			t.Errorf("%s: another id", name)
		}
		if before.GetResumed() || !again.GetResumed() {
			t.Errorf("%s: resumed %t, then %t", name, before.GetResumed(), again.GetResumed())
		}
		// The attempt that was taken over comes back late.
		k.abandon(attempt, name, true)
		k.want(k.begin(name, "r", time.Minute), answerv1.Outcome_OUTCOME_IN_FLIGHT)
	}
	refused := k.attempt(attempt, "refused", "r", time.Minute)
	k.abandon(attempt, "refused", true)
	again := k.begin("refused", "other", time.Minute)
	k.want(again, answerv1.Outcome_OUTCOME_BEGUN)
	if again.GetOperationId() == refused.GetOperationId() {
		t.Error("the same id for another operation")
	}
}

// One of many makes the operation.
func TestOneBegins(t *testing.T) {
	t.Parallel()
	k := start(t)
	var begun atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if k.begin("a", "r", time.Minute).GetOutcome() == answerv1.Outcome_OUTCOME_BEGUN {
				begun.Add(1)
			}
		})
	}
	all.Wait()
	if begun.Load() != 1 {
		t.Errorf("%d began", begun.Load())
	}
}

// A service forgets by itself what is older than the API promises to keep, completed
// or not, and nothing else.
func TestOldAnswersAreForgotten(t *testing.T) {
	t.Parallel()
	k, ctx := start(t), t.Context()
	for _, name := range []string{"old", "unfinished", "young"} {
		k.begin(name, "r", time.Minute)
	}
	k.complete("old", "one")
	k.complete("young", "one")
	age := func(name, age string) {
		t.Helper()
		if _, err := k.pool.Exec(ctx, "UPDATE souk_answers SET created_at = now() - $2::interval WHERE key = $1", name, age); err != nil {
			t.Fatal(err)
		}
	}
	age("old", "24 hours 1 second")
	age("unfinished", "24 hours 1 second")
	age("young", "23 hours 59 minutes")
	// More than one batch.
	if _, err := k.pool.Exec(ctx, `INSERT INTO souk_answers (scope, key, request_hash, operation_id, lease_until, attempt_id, created_at)
		SELECT 'test', 'many' || n, '', gen_random_uuid(), now(), gen_random_uuid(), now() - interval '2 days' FROM generate_series(1, 1200) n`); err != nil {
		t.Fatal(err)
	}
	if n, err := k.Forget(ctx); err != nil || n != 500 {
		t.Errorf("forgot %d at once, %v", n, err)
	}
	sweeping, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- k.Sweep(sweeping) }()
	for left := 0; left != 1; {
		if err := k.pool.QueryRow(ctx, "SELECT count(*) FROM souk_answers").Scan(&left); err != nil {
			t.Fatal(err)
		}
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	k.want(k.begin("young", "r", time.Minute), answerv1.Outcome_OUTCOME_COMPLETED)
	k.want(k.begin("old", "other", time.Minute), answerv1.Outcome_OUTCOME_BEGUN)
}
