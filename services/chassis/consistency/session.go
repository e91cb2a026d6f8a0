package consistency

import (
	"context"
	"sync"
)

// Session is what one request has to see and what it has written. Its methods may be called
// concurrently, and on nil, which is no session.
type Session struct {
	mu      sync.Mutex
	came    Token           // with the request
	gained  Token           // by it
	floors  Token           // what its reads have seen
	written map[string]bool // through this process: the position is not known yet
	primary map[string]bool // answered a read: a replica may be behind that
}

type sessionKey struct{}

// Begin returns a context with a session that has to see what a token says.
func Begin(ctx context.Context, t Token) (context.Context, *Session) {
	s := &Session{came: t}
	return context.WithValue(ctx, sessionKey{}, s), s
}

// FromContext returns the session of a context, nil if it has none.
func FromContext(ctx context.Context) *Session {
	s, _ := ctx.Value(sessionKey{}).(*Session)
	return s
}

// Token is what a service that is called for the request has to see.
func (s *Session) Token() Token {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came.Merge(s.gained)
}

// Needs is what the request has to see of a database. It is not ok where the request may have
// written there at a position that is not known yet: what was read before it is too old.
func (s *Session) Needs(database string) (at Position, ok bool) {
	if s == nil {
		return Position{}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written[database] {
		return Position{}, false
	}
	return s.came.Merge(s.gained)[database], true
}

// Gained is what the request has written, in any database: its caller's token has to have it.
func (s *Session) Gained() Token {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gained
}

// Gain adds what was written for the request.
func (s *Session) Gain(t Token) {
	if s == nil || len(t) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gained = s.gained.Merge(t)
}

// Write says that the request may be writing to a database, at a position that is not
// known yet.
func (s *Session) Write(database string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written == nil {
		s.written = map[string]bool{}
	}
	s.written[database] = true
}

// Written reports whether Write was called for a database.
func (s *Session) Written(database string) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written[database]
}

// SawPrimary says that a database's primary has answered a read of the request: its further
// reads go there, too, because a replica could be behind.
func (s *Session) SawPrimary(database string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.primary == nil {
		s.primary = map[string]bool{}
	}
	s.primary[database] = true
}

// Saw says how far the replica was that has answered a read of the request: its further
// reads, of another replica perhaps, are not of an earlier state.
func (s *Session) Saw(database string, at Position) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floors = s.floors.Merge(Token{database: at})
}

// Floor is how far a replica has to be to answer the request's next read of a database. It
// is not ok where only the primary can tell, or there is no session: then no caller has said
// what has to be seen.
func (s *Session) Floor(database string) (at Position, ok bool) {
	if s == nil {
		return Position{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written[database] || s.primary[database] {
		return Position{}, false
	}
	for _, t := range []Token{s.came, s.gained, s.floors} {
		if p := t[database]; p.Compare(at) > 0 {
			at = p
		}
	}
	return at, true
}
