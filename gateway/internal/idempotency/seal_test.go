package idempotency_test

import (
	"bytes"
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/gateway/internal/idempotency"
	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
)

// stored is a service that keeps one answer.
type stored struct {
	idempotency.Client
	answer *answerv1.Answer
}

func (s *stored) copied() *answerv1.Answer {
	return &answerv1.Answer{Status: s.answer.GetStatus(), Headers: s.answer.GetHeaders(), Body: bytes.Clone(s.answer.GetBody())}
}

func (s *stored) Begin(context.Context, *answerv1.BeginRequest, ...grpc.CallOption) (*answerv1.BeginResponse, error) {
	return &answerv1.BeginResponse{Outcome: answerv1.Outcome_OUTCOME_COMPLETED, Answer: s.copied()}, nil
}

func (s *stored) Complete(_ context.Context, r *answerv1.CompleteRequest, _ ...grpc.CallOption) (*answerv1.CompleteResponse, error) {
	if s.answer == nil {
		s.answer = r.GetAnswer()
	}
	return &answerv1.CompleteResponse{Answer: s.copied()}, nil
}

func keeperOf(t *testing.T, service idempotency.Client, secret string, old ...string) idempotency.Client {
	t.Helper()
	sealer, err := idempotency.NewSealer(secret, old...)
	if err != nil {
		t.Fatal(err)
	}
	return sealer.Keeper(service)
}

// What is kept tells nothing to who reads the service's database.
func TestKeptAnswersAreEncrypted(t *testing.T) {
	t.Parallel()
	ctx, service := t.Context(), &stored{}
	k := keeperOf(t, service, "0123456789abcdef0123456789abcdef")
	key := &answerv1.Key{Scope: "CreateCart guest", Key: "k"}
	const body = `{"token":"secret","email":"ada@example.com"}`
	for range 2 { // the second gets what the first kept
		res, err := k.Complete(ctx, &answerv1.CompleteRequest{Key: key, Answer: &answerv1.Answer{Status: 201, Body: []byte(body)}})
		if err != nil || string(res.GetAnswer().GetBody()) != body {
			t.Fatalf("%q, %v", res.GetAnswer().GetBody(), err)
		}
	}
	for _, secret := range []string{"secret", "ada@example.com", "token"} {
		if bytes.Contains(service.answer.GetBody(), []byte(secret)) {
			t.Errorf("%q is kept in the clear", secret)
		}
	}
	res, err := k.Begin(ctx, &answerv1.BeginRequest{Key: key})
	if err != nil || string(res.GetAnswer().GetBody()) != body || res.GetAnswer().GetStatus() != 201 {
		t.Errorf("a repeat gets %v, %v", res.GetAnswer(), err)
	}
	other := &answerv1.Key{Scope: "CreateCart guest", Key: "other"}
	if _, err := k.Begin(ctx, &answerv1.BeginRequest{Key: other}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the answer of another key: %v", err)
	}
	changed := keeperOf(t, service, "another secret, of 32 bytes, too", "0123456789abcdef0123456789abcdef")
	if res, err := changed.Begin(ctx, &answerv1.BeginRequest{Key: key}); err != nil || string(res.GetAnswer().GetBody()) != body {
		t.Errorf("after a change of the secret: %v, %v", res, err)
	}
	rotated := keeperOf(t, service, "another secret, of 32 bytes, too")
	if _, err := rotated.Begin(ctx, &answerv1.BeginRequest{Key: key}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("under another secret: %v", err)
	}
	service.answer = &answerv1.Answer{Status: 200, Body: []byte(body)} // of a version before
	if res, err := rotated.Begin(ctx, &answerv1.BeginRequest{Key: key}); err != nil || string(res.GetAnswer().GetBody()) != body {
		t.Errorf("in the clear: %v, %v", res, err)
	}
}
