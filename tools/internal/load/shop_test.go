package load

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// stub is a shop that sells one product; answer answers everything but the list.
func stub(t *testing.T, answer http.HandlerFunc, opts Options) *Load {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/products" && r.URL.Query().Get("q") == "" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"products":[{"code":"1","name":"White Metal Lantern","category":"x","variants":[{"sku":"1","name":"","available":9}]}]}`)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	opts.Shop = shopclient.New(srv.URL)
	l, err := Prepare(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A shop that stopped answering costs the load no more than its bound, and what
// was never sent is no error of the shop.
func TestAShopThatHangsDoesNotFillTheMemory(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(hang) }) }
	t.Cleanup(release)
	var calls atomic.Int64
	l := stub(t, func(http.ResponseWriter, *http.Request) { calls.Add(1); <-hang },
		Options{Rate: 500, Duration: 200 * time.Millisecond, Mix: Mix{Search: 1}, Seed: 1, Timeout: time.Minute})
	l.limit = 8
	done := make(chan error, 1)
	go func() { done <- l.Run(context.Background()) }()
	deadline := time.Now().Add(20 * time.Second)
	for l.Snapshot().Shed == 0 && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	if snap := l.Snapshot(); snap.InFlight > 8 || snap.Shed == 0 {
		t.Errorf("in flight %d, shed %d; want at most 8 in flight and the rest shed", snap.InFlight, snap.Shed)
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := calls.Load(); n == 0 || n > 200 {
		t.Errorf("the shop was asked %d times", n)
	}
}

// What the shop refuses to protect itself is told apart from what it got wrong,
// and only a few errors are kept whole.
func TestRefusalsAreCountedAndErrorsBounded(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	l := stub(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		if asked.Add(1)%2 == 0 {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"type":"/problems/unavailable","title":"away","status":503}`)
	}, Options{Rate: 400, Duration: 100 * time.Millisecond, Mix: Mix{Search: 1}, Seed: 1, Timeout: 10 * time.Second})
	if err := l.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	snap := l.Snapshot()
	var errs int64
	for _, row := range snap.Rows {
		errs += row.Errors
	}
	if errs == 0 || snap.Refused != errs {
		t.Errorf("%d errors, %d refused; want all of them refused", errs, snap.Refused)
	}
	if want := (asked.Load() + 1) / 2; snap.Unadvised != want || snap.RefusedP50 == 0 || snap.RefusedP99 < snap.RefusedP50 {
		t.Errorf("%d refusals without Retry-After, want %d; took %v, %v", snap.Unadvised, want, snap.RefusedP50, snap.RefusedP99)
	}
	if n := len(snap.FirstErrors); n == 0 || n > 5 {
		t.Errorf("%d errors are kept, want 1 to 5", n)
	}
	if !strings.Contains(strings.Join(snap.FirstErrors, " "), "503") && !strings.Contains(strings.Join(snap.FirstErrors, " "), "away") {
		t.Errorf("the errors do not say what happened: %q", snap.FirstErrors)
	}
}
