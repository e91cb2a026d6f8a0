package replay

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/history"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// TestAnInterruptedReplayGoesOn replays a sample of the data set on a real
// shop, stopping it twice: once in the middle of things, once so hard that the
// history lacks what the shop has already done. The ledgers are those of the plan.
func TestAnInterruptedReplayGoesOn(t *testing.T) {
	t.Parallel()
	plan, _, err := load(filepath.FromSlash("../../../internal/retail/testdata/sample.csv"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Sales == 0 || plan.Refunds == 0 || plan.UnmatchedUnits == 0 {
		t.Fatalf("the sample lacks what is tested: %+v", plan)
	}
	shop, err := localshop.Start(t.Context(), localshop.Options{Dir: filepath.Join(pgtest.Folder(t), "data"), Events: localshop.EmbeddedEvents, Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(t.TempDir(), "history.jsonl")
	run := func(ctx context.Context, progress func(Progress)) (*Result, error) {
		log, done, err := history.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		return Run(ctx, plan, Options{
			Shop: shopclient.New(shop.URL).WithToken(shop.OperatorToken), Log: log, Done: done,
			Concurrency: 4, RetryFor: time.Minute, Progress: progress,
		})
	}

	// Interrupted after a third.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := run(ctx, func(p Progress) {
		if 3*p.Done >= p.Total {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted replay: %v", err)
	}
	// As a crash before the last answers were written down would leave it.
	forget(t, path, history.KindOrder, 3)

	res, err := run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Problems) > 0 || res.Done != res.Total || res.Resumed == 0 || res.Resumed == res.Total {
		t.Errorf("result = %+v", res)
	}
	// Once more changes nothing.
	if res, err := run(t.Context(), nil); err != nil || res.Resumed != res.Total || res.Orders != 0 {
		t.Errorf("a third run = %+v, %v", res, err)
	}

	report, err := audit.Run(t.Context(), audit.Sources{
		Databases: shop.DSNs(), Broker: shop.EventsURL() != "", ProviderJournal: shop.Journal, Histories: []string{path},
	}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range report.Differences {
		t.Errorf("%s: %s", d.Subject, d.What)
	}
	if mails := report.Messages; len(mails) != 1 || mails[0].Made != plan.Sales+plan.Refunds {
		t.Errorf("told %+v, want a mail for each of %d orders and %d refunds", mails, plan.Sales, plan.Refunds)
	}
	for _, book := range report.Ledgers {
		var captured, refunded int64
		for _, e := range book.Entries {
			captured += e.Captured
			refunded += e.Refunded
		}
		if int64(len(book.Entries)) != plan.Sales || captured != plan.Gross.Units || refunded != plan.Refunded.Units {
			t.Errorf("%s has %d orders, %d captured, %d refunded; the plan has %d, %s, %s",
				book.Name, len(book.Entries), captured, refunded, plan.Sales, plan.Gross, plan.Refunded)
		}
	}
	if report.Others != 0 || report.Stock.Returned != plan.RefundedUnits || report.Stock.Sold != plan.Units {
		t.Errorf("others %d, stock %+v", report.Others, report.Stock)
	}
}

// forget removes the last n records of a kind.
func forget(t *testing.T, path string, kind history.Kind, n int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	for i := len(lines) - 1; i >= 0 && n > 0; i-- {
		if strings.Contains(lines[i], `"kind":"`+string(kind)+`"`) {
			lines[i] = ""
			n--
		}
	}
	if n > 0 {
		t.Fatalf("the history has too few records to forget")
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestACustomerWithManyOrders: a shopper has a number of carts at most, and seven months of a
// customer's orders are replayed in less time than the shop takes to let go of the old ones.
func TestACustomerWithManyOrders(t *testing.T) {
	t.Parallel()
	const most, orders = 50, 102
	carts, guests := map[string]int{}, 0 // by token
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		out := map[string]string{"id": rand.Text()}
		if token == "" {
			guests++
			token = fmt.Sprint("guest-", guests)
			out["token"] = token
		}
		if carts[token]++; carts[token] > most {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"type": "/problems/too-many-carts", "title": "Too many carts", "status": 422}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(srv.Close)
	log, _, err := history.Open(filepath.Join(t.TempDir(), "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := &runner{
		Options: Options{Shop: shopclient.New(srv.URL), Log: log, RetryFor: time.Minute},
		carts:   map[string]history.Record{}, tokens: map[string]string{},
	}
	for i := range orders {
		e := Event{Sale: &Sale{Invoice: fmt.Sprint(i), Customer: "14911"}}
		rec, err := r.cart(t.Context(), e)
		if err != nil {
			t.Fatalf("order %d: %v", i+1, err)
		}
		if want := fmt.Sprint("guest-", 1+i/most); rec.Token != want {
			t.Fatalf("order %d is of %s, not of %s", i+1, rec.Token, want)
		}
	}
}
