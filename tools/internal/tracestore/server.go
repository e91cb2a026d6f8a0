package tracestore

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/souk-shop/souk/gateway/traces"
	"github.com/souk-shop/souk/tools/internal/storeserver"
)

// ExportPath takes spans by OTLP over HTTP, as protobuf.
const ExportPath = "/v1/traces"

const (
	// maxExport bounds the body of an export, in bytes: the SDK sends 512 spans at a time.
	maxExport = 8 << 20
	// exports is how many are read at a time, which bounds their memory.
	exports = 2
)

// handler answers for a store.
type handler struct {
	store *Store
	slots chan struct{}
}

// NewServer makes a server of a store: exports, lists and traces, for those who have its token.
func NewServer(store *Store, token string) *storeserver.Server {
	h := &handler{store: store, slots: make(chan struct{}, exports)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+ExportPath, h.export)
	mux.HandleFunc("GET "+traces.ListPath, h.list)
	mux.HandleFunc("GET "+traces.TracePath+"{id}", h.trace)
	return storeserver.New(mux, token)
}

func (h *handler) export(w http.ResponseWriter, r *http.Request) {
	if kind := r.Header.Get("Content-Type"); kind != "application/x-protobuf" {
		http.Error(w, "want application/x-protobuf", http.StatusUnsupportedMediaType)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
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
	h.store.add(spans)
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

func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	q, err := traces.ParseQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	storeserver.Answer(w, h.store.List(q))
}

func (h *handler) trace(w http.ResponseWriter, r *http.Request) {
	t := h.store.Trace(r.PathValue("id"))
	if t == nil {
		http.Error(w, traces.ErrNotFound.Error(), http.StatusNotFound)
		return
	}
	storeserver.Answer(w, t)
}
