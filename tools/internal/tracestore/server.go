package tracestore

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/souk-shop/souk/gateway/traces"
)

// ExportPath takes spans by OTLP over HTTP, as protobuf.
const ExportPath = "/v1/traces"

const (
	// maxExport bounds the body of an export, in bytes: the SDK sends 512 spans at a time.
	maxExport = 8 << 20
	// exports is how many are read at a time, which bounds their memory.
	exports = 2
)

// Server answers for a store over HTTP: exports, lists and traces, for those who have its token.
type Server struct {
	store *Store
	token [sha256.Size]byte
	slots chan struct{}
	http  *http.Server
}

// NewServer makes a server of a store.
func NewServer(store *Store, token string) *Server {
	s := &Server{store: store, token: sha256.Sum256([]byte(token)), slots: make(chan struct{}, exports)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+ExportPath, s.export)
	mux.HandleFunc("GET "+traces.ListPath, s.list)
	mux.HandleFunc("GET "+traces.TracePath+"{id}", s.trace)
	s.http = &http.Server{Handler: s.guard(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second}
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

func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	if kind := r.Header.Get("Content-Type"); kind != "application/x-protobuf" {
		http.Error(w, "want application/x-protobuf", http.StatusUnsupportedMediaType)
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-r.Context().Done():
		return
	}
	body, status, err := readExport(w, r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	var request coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		http.Error(w, "the body is no ExportTraceServiceRequest", http.StatusBadRequest)
		return
	}
	spans, refused := ofOTLP(&request)
	s.store.add(spans)
	var response coltracepb.ExportTraceServiceResponse
	if refused > 0 {
		response.PartialSuccess = &coltracepb.ExportTracePartialSuccess{RejectedSpans: refused, ErrorMessage: "spans need ids"}
	}
	answer, err := proto.Marshal(&response)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer) // the exporter may be gone
}

// readExport reads a body, also one that gzip has made small; the status is for an error.
func readExport(w http.ResponseWriter, r *http.Request) (body []byte, status int, err error) {
	var from io.Reader = http.MaxBytesReader(w, r.Body, maxExport)
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
	case "gzip":
		if from, err = gzip.NewReader(from); err != nil {
			return nil, http.StatusBadRequest, fmt.Errorf("gzip: %w", err)
		}
	default:
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content encoding %q: want gzip or none", coding)
	}
	body, err = io.ReadAll(io.LimitReader(from, maxExport+1))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large) || len(body) > maxExport:
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("an export has %d bytes at most", maxExport)
	case err != nil:
		return nil, http.StatusBadRequest, err
	}
	return body, 0, nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	q, err := traces.ParseQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, s.store.List(q))
}

func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	t := s.store.Trace(r.PathValue("id"))
	if t == nil {
		http.Error(w, traces.ErrNotFound.Error(), http.StatusNotFound)
		return
	}
	answer(w, t)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the asker may be gone
}
