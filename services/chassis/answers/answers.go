// Package answers keeps in a service's database what its operations were answered,
// by the caller's key, so that repeats get the same bytes. See
// souk.answer.v1.AnswerService.
package answers

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"go.opentelemetry.io/otel/metric"

	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

var schema = pg.Schema{Table: "souk_answers_version", Migrations: migrations}

var (
	// Migrate brings the table of answers to the schema of this version. Replicas may
	// run it at once.
	Migrate = schema.Migrate
	// Migrated returns pg.ErrNotMigrated until the table is at the schema of this version.
	Migrated = schema.Migrated
)

// Keep is for how long an answer is kept, and a key known: what the REST API promises.
// After it a request under the key is a new one.
const Keep = 24 * time.Hour

const (
	// sweepEvery is the pause between two sweeps, and sweepBatch how many answers one
	// statement forgets.
	sweepEvery = time.Minute
	sweepBatch = 500
)

// Server implements answerv1.AnswerServiceServer.
type Server struct {
	answerv1.UnimplementedAnswerServiceServer
	pool      *pgxpool.Pool
	forgotten metric.Int64Counter
	log       *slog.Logger
}

// NewServer returns a server that keeps answers in the database. Its Sweep has to run.
func NewServer(pool *pgxpool.Pool, tel *telemetry.Telemetry) (*Server, error) {
	forgotten, err := tel.Meter().Int64Counter("souk.answer.forgotten", metric.WithUnit("{answer}"),
		metric.WithDescription("Answers of operations that were kept for their time, and then forgotten."))
	if err != nil {
		return nil, err
	}
	return &Server{pool: pool, forgotten: forgotten, log: tel.Log}, nil
}

// Serve has a service keep the answers of its operations.
func Serve(p *service.Parts) error {
	s, err := NewServer(p.Pool, p.Telemetry)
	if err != nil {
		return err
	}
	answerv1.RegisterAnswerServiceServer(p.Server, s)
	p.AddReady("forget answers", s.Sweep)
	return nil
}

// Sweep forgets old answers until ctx is done. Replicas may sweep at once.
func (s *Server) Sweep(ctx context.Context) error {
	for failed := false; ; {
		n, err := s.Forget(ctx)
		if err != nil && ctx.Err() == nil && !failed { // once per outage
			s.log.WarnContext(ctx, "old answers not forgotten; it is tried again", "error", err)
		}
		if failed = err != nil; n == sweepBatch {
			continue // there may be more; each batch is a transaction of its own
		}
		if retry.Sleep(ctx, sweepEvery) != nil {
			return nil //nolint:nilerr // the process stops, which is no failure
		}
	}
}

// forget deletes answers that are too old, the oldest first.
const forget = `
DELETE FROM souk_answers WHERE (scope, key) IN (
    SELECT scope, key FROM souk_answers
    WHERE created_at < now() - $1::bigint * interval '1 microsecond'
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
)`

// Forget forgets a batch of what is older than Keep, whatever became of it, and returns
// how much it was.
func (s *Server) Forget(ctx context.Context) (int, error) {
	tag, err := s.pool.Exec(ctx, forget, Keep.Microseconds(), sweepBatch)
	if err != nil {
		return 0, fmt.Errorf("forget answers: %w", err)
	}
	s.forgotten.Add(ctx, tag.RowsAffected())
	return int(tag.RowsAffected()), nil
}

// erase deletes the answers to a caller, whose id ends their scope. There is no index by
// it: it reads what was answered in a day, which an erasure can wait for.
const erase = `DELETE FROM souk_answers WHERE right(scope, length($1) + 1) = ' ' || $1`

// Erase forgets what a caller was answered, and what is under way for them: a repeat is a
// new request.
func Erase(ctx context.Context, db pg.DB, caller string) error {
	if _, err := db.Exec(ctx, erase, caller); err != nil {
		return fmt.Errorf("erase answers: %w", err)
	}
	return nil
}

// begin makes the row, or takes over one that was left unfinished by the same request.
const begin = `
INSERT INTO souk_answers AS a (scope, key, request_hash, operation_id, attempt_id, lease_until)
VALUES ($1, $2, $3, $4, $6, clock_timestamp() + $5::bigint * interval '1 microsecond')
ON CONFLICT (scope, key) DO UPDATE SET lease_until = excluded.lease_until, attempt_id = excluded.attempt_id
WHERE a.status IS NULL AND (a.lease_until <= clock_timestamp() OR a.attempt_id = excluded.attempt_id) AND a.request_hash = excluded.request_hash
RETURNING operation_id`

// Begin implements answerv1.AnswerServiceServer.
func (s *Server) Begin(ctx context.Context, req *answerv1.BeginRequest) (*answerv1.BeginResponse, error) {
	fresh, err := newID(req.GetKey().GetOwnerId())
	if err != nil {
		return nil, err
	}
	scope, key := req.GetKey().GetScope(), req.GetKey().GetKey()
	var id uuid.UUID
	err = s.pool.QueryRow(ctx, begin, scope, key, req.GetRequestHash(), fresh, req.GetLease().AsDuration().Microseconds(), req.GetAttemptId()).Scan(&id)
	if err == nil {
		return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_BEGUN, OperationId: id.String(), Resumed: id != fresh}, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("begin: %w", err)
	}
	same, answer, err := s.load(ctx, req.GetKey(), req.GetRequestHash())
	switch {
	case errors.Is(err, pgx.ErrNoRows): // abandoned just now
		return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_IN_FLIGHT}, nil
	case err != nil:
		return nil, err
	case !same:
		return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_ANOTHER_REQUEST}, nil
	case answer == nil:
		return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_IN_FLIGHT}, nil
	}
	return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_COMPLETED, Answer: answer}, nil
}

// newID is the id of an operation, in the bucket of its owner.
func newID(owner string) (uuid.UUID, error) {
	if owner == "" {
		return uuid.NewV7()
	}
	b, err := cell.OfText(owner)
	if err != nil {
		return uuid.Nil, err
	}
	return cell.NewID(b)
}

// load returns the answer, nil if there is none yet, and whether the request is of
// the hash.
func (s *Server) load(ctx context.Context, key *answerv1.Key, hash []byte) (same bool, answer *answerv1.Answer, err error) {
	var (
		status  *int32
		headers []byte
		body    []byte
	)
	err = s.pool.QueryRow(ctx, "SELECT request_hash IS NOT DISTINCT FROM $3, status, headers, body FROM souk_answers WHERE scope = $1 AND key = $2", key.GetScope(), key.GetKey(), hash).
		Scan(&same, &status, &headers, &body)
	if err != nil {
		return false, nil, fmt.Errorf("load answer: %w", err)
	}
	if status == nil {
		return same, nil, nil
	}
	answer = &answerv1.Answer{Status: *status, Body: body}
	if err := json.Unmarshal(headers, &answer.Headers); err != nil {
		return false, nil, fmt.Errorf("load answer: %w", err)
	}
	return same, answer, nil
}

// Complete implements answerv1.AnswerServiceServer.
func (s *Server) Complete(ctx context.Context, req *answerv1.CompleteRequest) (*answerv1.CompleteResponse, error) {
	a := req.GetAnswer()
	headers := a.GetHeaders()
	if headers == nil {
		headers = map[string]string{}
	}
	text, err := json.Marshal(headers)
	if err != nil {
		return nil, err
	}
	_, err = s.pool.Exec(ctx, "UPDATE souk_answers SET status = $3, headers = $4, body = $5 WHERE scope = $1 AND key = $2 AND status IS NULL",
		req.GetKey().GetScope(), req.GetKey().GetKey(), a.GetStatus(), text, a.GetBody())
	if err != nil {
		return nil, fmt.Errorf("complete: %w", err)
	}
	_, kept, err := s.load(ctx, req.GetKey(), nil)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // forgotten meanwhile
		return &answerv1.CompleteResponse{Answer: a}, nil
	case err != nil:
		return nil, err
	}
	return &answerv1.CompleteResponse{Answer: kept}, nil
}

// Abandon implements answerv1.AnswerServiceServer.
func (s *Server) Abandon(ctx context.Context, req *answerv1.AbandonRequest) (*answerv1.AbandonResponse, error) {
	statement := "UPDATE souk_answers SET lease_until = clock_timestamp() WHERE scope = $1 AND key = $2 AND attempt_id = $3 AND status IS NULL"
	if req.GetNothingDone() {
		statement = "DELETE FROM souk_answers WHERE scope = $1 AND key = $2 AND attempt_id = $3 AND status IS NULL"
	}
	if _, err := s.pool.Exec(ctx, statement, req.GetKey().GetScope(), req.GetKey().GetKey(), req.GetAttemptId()); err != nil {
		return nil, fmt.Errorf("abandon: %w", err)
	}
	return &answerv1.AbandonResponse{}, nil
}
