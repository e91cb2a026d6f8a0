package idempotency

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	answerv1 "github.com/souk-shop/souk/proto/gen/souk/answer/v1"
)

// sealed begins a body that is encrypted; no JSON does.
const sealed = 1

// Sealer encrypts the bodies of kept answers: they have tokens, e-mail and postal
// addresses, which the service that keeps them need not know, nor a copy of its
// database.
type Sealer struct{ aeads []cipher.AEAD } // the first seals

// NewSealer derives the keys from secrets that all replicas share: the first is sealed
// with, any of them opens. What was kept under another secret cannot be read any more.
func NewSealer(secret string, old ...string) (*Sealer, error) {
	s := &Sealer{}
	for _, secret := range append([]string{secret}, old...) {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "souk kept answers v1", 32)
		if err != nil {
			return nil, fmt.Errorf("key of kept answers: %w", err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("key of kept answers: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("key of kept answers: %w", err)
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

// Keeper returns a client that keeps encrypted answers in a service.
func (s *Sealer) Keeper(service Client) Client { return keeper{service, s} }

type keeper struct {
	Client
	*Sealer
}

func (k keeper) Begin(ctx context.Context, r *answerv1.BeginRequest, opts ...grpc.CallOption) (*answerv1.BeginResponse, error) {
	res, err := k.Client.Begin(ctx, r, opts...)
	if err == nil {
		err = k.open(r.GetKey(), res.GetAnswer())
	}
	return res, err
}

func (k keeper) Complete(ctx context.Context, r *answerv1.CompleteRequest, opts ...grpc.CallOption) (*answerv1.CompleteResponse, error) {
	a := r.GetAnswer()
	body := k.aeads[0].Seal([]byte{sealed}, nil, a.GetBody(), about(r.GetKey())) //nolint:gosec // the cipher makes the nonce
	res, err := k.Client.Complete(ctx, &answerv1.CompleteRequest{
		Viewer: r.GetViewer(), Key: r.GetKey(), Answer: &answerv1.Answer{Status: a.GetStatus(), Headers: a.GetHeaders(), Body: body},
	}, opts...)
	if err == nil {
		err = k.open(r.GetKey(), res.GetAnswer())
	}
	return res, err
}

// open decrypts the body of an answer. One of before bodies were encrypted stays as
// it is.
func (k keeper) open(key *answerv1.Key, a *answerv1.Answer) error {
	if len(a.GetBody()) == 0 || a.GetBody()[0] != sealed {
		return nil
	}
	var failed error
	for _, aead := range k.aeads {
		body, err := aead.Open(nil, nil, a.GetBody()[1:], about(key))
		if err == nil {
			a.Body = body
			return nil
		}
		failed = err
	}
	return status.Errorf(codes.FailedPrecondition, "the kept answer is of another secret: %v", failed)
}

// about ties a body to its key, so that no answer is given for another's.
func about(key *answerv1.Key) []byte {
	return fmt.Appendf(nil, "%q %q", key.GetScope(), key.GetKey())
}
