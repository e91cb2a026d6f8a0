// Package idempotency makes an operation once for each key of its caller: repeats
// get the first answer, byte for byte. The service that performs the operation
// keeps the answer.
package idempotency

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// Client are the RPCs of a service that keeps answers.
type Client interface {
	Begin(context.Context, *answerv1.BeginRequest, ...grpc.CallOption) (*answerv1.BeginResponse, error)
	Complete(context.Context, *answerv1.CompleteRequest, ...grpc.CallOption) (*answerv1.CompleteResponse, error)
	Abandon(context.Context, *answerv1.AbandonRequest, ...grpc.CallOption) (*answerv1.AbandonResponse, error)
}

// Answer is what is kept: a status, the header fields that belong to it, a body.
type Answer struct {
	Status  int
	Headers map[string]string
	Body    []byte
}

// Request is one of an operation with a key.
type Request struct {
	// Scope is the operation and its caller: keys of others are other keys.
	Scope string
	Key   string
	// Owner is the shopper who asks, in whose bucket the answer is kept; the zero UUID for
	// others: theirs is by the key.
	Owner uuid.UUID
	// Hash is the SHA-256 of everything that the caller decided.
	Hash []byte
}

// owner is in whose bucket the answer is kept. A hash of the key is not chosen by who sends it.
func (r Request) owner() uuid.UUID {
	if r.Owner == uuid.Nil {
		return uuid.NewSHA1(uuid.Nil, []byte(r.Scope+"\x00"+r.Key))
	}
	return r.Owner
}

// lease is for how long an operation is taken for being made without a sign of who
// makes it. It bounds how long a repeat waits after a gateway has died.
const lease = 10 * time.Second

// Once makes the operation unless its key has an answer. perform gets the id of the
// operation by ID; it may be called again under the same id when its first outcome was
// not known. Problems: IdempotencyKeyReused, IdempotencyKeyInFlight, those of perform.
func Once(ctx context.Context, service Client, caller *client.Caller, r Request, perform func(context.Context) (Answer, error)) (out Answer, replayed bool, err error) {
	key, attempt := &answerv1.Key{Scope: r.Scope, Key: r.Key, OwnerId: r.owner().String()}, uuid.NewString()
	// The client may go away at any time; what was begun and done is noted all the same.
	noted := context.WithoutCancel(ctx)
	abandon := func(nothingDone bool) {
		_, _ = client.Call(noted, caller, 0, service.Abandon, &answerv1.AbandonRequest{
			Viewer: client.Self, Key: key, AttemptId: attempt, NothingDone: nothingDone,
		}) // else the lease ends it
	}
	begin := &answerv1.BeginRequest{Viewer: client.Self, Key: key, RequestHash: r.Hash, Lease: durationpb.New(lease), AttemptId: attempt}
	res, err := client.Call(noted, caller, 0, service.Begin, begin)
	if err != nil {
		abandon(false) // it may have begun
		return Answer{}, false, err
	}
	switch res.GetOutcome() {
	case answerv1.Outcome_OUTCOME_COMPLETED:
		return answer(res.GetAnswer()), true, nil
	case answerv1.Outcome_OUTCOME_IN_FLIGHT:
		return Answer{}, false, problem.New(problem.IdempotencyKeyInFlight)
	case answerv1.Outcome_OUTCOME_ANOTHER_REQUEST:
		return Answer{}, false, problem.New(problem.IdempotencyKeyReused)
	}
	id, err := uuid.Parse(res.GetOperationId())
	if err != nil {
		return Answer{}, false, fmt.Errorf("the operation's id: %w", err)
	}
	// While the operation is made, its lease is renewed: the attempt begins it again.
	stop := every(noted, lease/3, func(ctx context.Context) {
		_, _ = client.Call(ctx, caller, 0, service.Begin, begin) // the next may succeed
	})
	made, err := perform(context.WithValue(ctx, idKey{}, id))
	stop()
	if err != nil {
		abandon(problem.As(err).Type.Status < 499 && !res.GetResumed())
		return Answer{}, false, err
	}
	kept, err := client.Call(noted, caller, 0, service.Complete, &answerv1.CompleteRequest{Viewer: client.Self, Key: key, Answer: &answerv1.Answer{
		Status: int32(made.Status), Headers: made.Headers, Body: made.Body,
	}})
	if err != nil {
		abandon(false) // a repeat makes it again, under the same id
		return Answer{}, false, err
	}
	return answer(kept.GetAnswer()), false, nil
}

// every calls fn again and again until the function that it returns is called, which
// returns when fn has.
func every(ctx context.Context, pause time.Duration, fn func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for retry.Sleep(ctx, pause) == nil {
			fn(ctx)
		}
	}()
	return func() { cancel(); <-ended }
}

func answer(a *answerv1.Answer) Answer {
	return Answer{Status: int(a.GetStatus()), Headers: a.GetHeaders(), Body: a.GetBody()}
}

type idKey struct{}

// ID is the id of the operation that is being made, the same for its repeats, or a
// new one for an operation without a key. kept reports which.
func ID(ctx context.Context) (id uuid.UUID, kept bool) {
	if id, ok := ctx.Value(idKey{}).(uuid.UUID); ok {
		return id, true
	}
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New() // panics without randomness
	}
	return id, false
}
