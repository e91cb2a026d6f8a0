// Package storeserver serves a store of recent traces or metrics by HTTP, for those who have
// its token.
package storeserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

// Server answers for a store.
type Server struct {
	token [sha256.Size]byte
	http  *http.Server
}

// New makes a server of what handler answers to those who have the token.
func New(handler http.Handler, token string) *Server {
	s := &Server{token: sha256.Sum256([]byte(token))}
	s.http = &http.Server{Handler: s.guard(handler), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second}
	return s
}

// Handler answers.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve serves until ctx is done; it closes the listener.
func (s *Server) Serve(ctx context.Context, lis net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(lis) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(stopping)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// guard refuses those without the token.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		sum := sha256.Sum256([]byte(given))
		if !ok || subtle.ConstantTimeCompare(sum[:], s.token[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this needs the store's token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Answer answers with a value as JSON.
func Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the asker may be gone
}
