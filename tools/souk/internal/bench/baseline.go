package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
)

// BaselineCommand is the subcommand that runs Baseline, for the benchmark alone.
const BaselineCommand = "bench-baseline"

// page is a response that the baseline repeats.
type page struct {
	Path        string `json:"path"`
	ContentType string `json:"content_type"`
	Body        []byte `json:"body"`
}

// Baseline is the limit of reading: a bare chi handler that writes the bytes
// the shop wrote. It reads the pages as JSON from in, prints its address to out
// and serves until ctx is done.
func Baseline(ctx context.Context, in io.Reader, out io.Writer) error {
	var pages []page
	if err := json.NewDecoder(in).Decode(&pages); err != nil {
		return err
	}
	r := chi.NewRouter()
	byPath := map[string]page{}
	for _, p := range pages {
		byPath[p.Path] = p
	}
	serve := func(w http.ResponseWriter, req *http.Request) {
		p := byPath[req.URL.RequestURI()]
		w.Header().Set("Content-Type", p.ContentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(p.Body)))
		_, _ = w.Write(p.Body) // a client that went away is its own business
	}
	// The shop's own routes, so that the router has the same work.
	r.Get("/v1/products", serve)
	r.Get("/v1/products/{sku}", serve)
	r.Get("/products/{sku}", serve)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { srv.Close() })
	fmt.Fprintln(out, "listening on", l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
