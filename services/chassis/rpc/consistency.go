package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	"github.com/souk-shop/souk/services/chassis/consistency"
)

// begin returns the context of a call with the session that its caller's token asks for. A
// caller that sends none, not even an empty one, acts for no client, such as a job: it has no
// session and is answered by primaries alone.
func begin(ctx context.Context) (context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	texts := md.Get(consistency.Metadata)
	if len(texts) == 0 {
		return ctx, nil
	}
	var token consistency.Token
	for _, text := range texts {
		t, err := consistency.Parse(text)
		if err != nil {
			return nil, refusal(errorv1.ErrorReason_ERROR_REASON_INVALID, err.Error(), nil).Err()
		}
		token = token.Merge(t)
	}
	ctx, _ = consistency.Begin(ctx, token)
	return ctx, nil
}

// tell has the trailer of a call say what it has written, also one that failed: a write may
// have happened all the same.
func (s *Server) tell(ctx context.Context, setTrailer func(metadata.MD)) {
	if s.gain != nil {
		s.gain(ctx)
	}
	if gained := consistency.FromContext(ctx).Gained(); len(gained) > 0 {
		setTrailer(metadata.Pairs(consistency.Metadata, gained.String()))
	}
}

// gain adds what a neighbor says in its trailer that it has written to the session for which
// it was called. What cannot be read is of another version, and left out.
func gain(session *consistency.Session, trailer metadata.MD) {
	for _, text := range trailer.Get(consistency.Metadata) {
		if t, err := consistency.Parse(text); err == nil {
			session.Gain(t)
		}
	}
}

// outgoing sends the session's token with a call, also an empty one.
func outgoing(ctx context.Context, session *consistency.Session) context.Context {
	if session == nil {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, consistency.Metadata, session.Token().String())
}
