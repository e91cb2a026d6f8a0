package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func testPrices(t *testing.T) Prices {
	t.Helper()
	p, err := readPrices(listPrices)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// use has numbers to reckon with by head.
var use = Use{
	Orders: Work{Count: 1, Shop: 20, Database: 10, Bytes: 3000, Statements: 60}, Pages: Work{Count: 1, Shop: 1, Database: .5, Bytes: 2000, Statements: 1},
	Pictures: Work{Count: 1, Shop: .5, Bytes: 1000}, Idle: Work{Shop: 100, Database: 50, Statements: 100}, StoredBytes: 20_000,
}

var assumed = Assumed{Reads: 100, Pictures: 10, InBrowser: .5, PicturesKept: .9, Peak: 4, Busy: .5, Speed: 1, Months: 12, ProviderBytes: 10_000}

// TestBill reckons a bill by hand.
func TestBill(t *testing.T) {
	t.Parallel()
	p := testPrices(t)
	b, err := p.bill(use, assumed, 100)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"EKS control plane":           73,
		"nodes, m7g.large":            3 * 730 * .0816, // 20+100+50×.5 = 145 ms × 400 / 3.6e6 + .1 = .116 cores
		"disks of nodes and broker":   135 * .08,
		"RDS Multi-AZ, db.t4g.medium": 730 * .129, // 10+50 = 60 ms × 400 / 3.6e6 + .05 = .057 of .4 × .5 cores
		"RDS storage":                 50 * .23,   // 73,000 × 12 × 20 kB = 17.5 GB, twice is 36
		"ElastiCache, 2 nodes":        2 * 730 * .0256,
		"NAT, 3 zones":                3*730*.05 + .73*.045,
		"load balancer":               730 * (.0225 + 100*(3000+100*2000+50*1000)/1e9*.008),
		"CloudFront, bytes":           73_000 * (3000 + 100*2000 + 500*1000) / 1e9 * .085,
		"CloudFront, requests":        73_000 * 602 / 1e4 * .01,
		"S3, 14 dumps":                14 * 17.52 / 4 * .023,
		"key and secret":              1.4,
	}
	total := 0.0
	for _, l := range b.Lines {
		total += l.USD
		if w, ok := want[l.Name]; !ok || math.Abs(w-l.USD) > .001 {
			t.Errorf("%s: %.4f, want %.4f (%s)", l.Name, l.USD, w, l.Arithmetic)
		}
		delete(want, l.Name)
	}
	if len(want) > 0 || math.Abs(total-b.USD) > 1e-9 || math.Abs(b.AnOrder-b.USD/73_000) > 1e-12 {
		t.Errorf("missing %v; %.2f in all, %.2f by lines, %.6f an order", want, b.USD, total, b.AnOrder)
	}
	if w := 73_000*50*(.2/1e6+.001*.25*.0000133334+.01/1e4) + 3.65*(.085+.045); math.Abs(b.Lambda.USD-w) > 1e-9 {
		t.Errorf("Lambda %.5f, want %.5f", b.Lambda.USD, w)
	}
	if !strings.Contains(strings.Join(b.Steps, "\n"), "= 118 a second") { // 100 × 4 / 3600 × 160 + 100
		t.Errorf("statements: %v", b.Steps)
	}
}

// TestBillGrows: more orders never cost less, the shop grows with them, and what no class of
// database can do is an error.
func TestBillGrows(t *testing.T) {
	t.Parallel()
	p := testPrices(t)
	before := Bill{}
	for _, rate := range []float64{1, 10, 100, 1000, 10_000, 100_000} {
		b, err := p.bill(use, assumed, rate)
		if err != nil {
			t.Fatal(err)
		}
		if b.USD < before.USD || b.Nodes < before.Nodes || rate > 1 && b.AnOrder > before.AnOrder {
			t.Errorf("at %g: %+v after %+v", rate, b, before)
		}
		before = b
	}
	if before.Nodes <= minNodes || before.Database == p.Databases[0].Class {
		t.Errorf("100,000 orders an hour on %d nodes and %s", before.Nodes, before.Database)
	}
	if _, err := p.bill(use, assumed, 1e8); err == nil || !strings.Contains(err.Error(), "divide the services") {
		t.Errorf("a hundred million an hour: %v", err)
	}
}

// TestCostFlags: what is wrong is named.
func TestCostFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--rates": {"--rates", "1,0"}, "--peak": {"--peak", "0.5"}, "--busy": {"--busy", "0"}, "--in-browser": {"--in-browser", "1.5"},
		"--speed": {"--speed", "NaN"}, "--orders": {"--orders", "0"}, "--measured": {"--measured", "prices.json"},
	} {
		if err := CostCommand(context.Background(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
	for want, change := range map[string]func(map[string]any){
		"usd.nat_hour": func(m map[string]any) { delete(m["usd"].(map[string]any), "nat_hour") },
		"usd.nat_day":  func(m map[string]any) { m["usd"].(map[string]any)["nat_day"] = 1 },
		"source":       func(m map[string]any) { m["source"] = "" },
		"node:":        func(m map[string]any) { m["node"] = map[string]any{} },
		"databases":    func(m map[string]any) { m["databases"] = []any{} },
	} {
		var m map[string]any
		if err := json.Unmarshal(listPrices, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readPrices(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestWireCounts: what the shop sends is counted, and nothing else.
func TestWireCounts(t *testing.T) {
	t.Parallel()
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10_000)) }))
	t.Cleanup(shop.Close)
	w, err := newWire(t.Context(), shop.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	for range 3 {
		if err := w.get(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.sent.Load(); n < 30_000 || n > 31_000 {
		t.Errorf("%d bytes", n)
	}
}

// TestCostPage: docs/cost.md shows what the command prints of the measurement that is kept.
func TestCostPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := CostCommand(t.Context(), []string{"--measured", "testdata/cost.json"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```\n"+out.String()+"```\n") {
		t.Errorf("docs/cost.md is not what go run ./tools/souk cost --measured tools/souk/internal/bench/testdata/cost.json prints:\n%s", out.String())
	}
}
