package seed_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/tools/internal/seed"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

func TestName(t *testing.T) {
	t.Parallel()
	for description, want := range map[string]string{
		"WHITE HANGING HEART T-LIGHT HOLDER":  "White Hanging Heart T-Light Holder",
		"S/4 VALENTINE DECOUPAGE HEART BOX":   "Set of 4 Valentine Découpage Heart Box",
		"SET/20 RED RETROSPOT PAPER NAPKINS ": "Set of 20 Red Retrospot Paper Napkins",
		"PINK B'FLY C/COVER W BOBBLES":        "Pink Butterfly Cushion Cover with Bobbles",
		"POPPY'S PLAYHOUSE BEDROOM ":          "Poppy's Playhouse Bedroom",
		"LETTER \"A\" BLING KEY RING":         "Letter \"A\" Bling Key Ring",
		"KEY FOB , FRONT  DOOR":               "Key Fob, Front Door",
		"*USB Office Mirror Ball":             "USB Office Mirror Ball",
		"BAG 500g SWIRLY MARBLES":             "Bag 500g Swirly Marbles",
		"GIN + TONIC DIET METAL SIGN":         "Gin + Tonic Diet Metal Sign",
		"A HEART OF GLASS":                    "A Heart of Glass",
		"":                                    "",
	} {
		if have := seed.Name(description); have != want {
			t.Errorf("%q: %q, want %q", description, have, want)
		}
	}
}

func TestCategoryOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"White Hanging Heart T-Light Holder": "candles-lighting",
		"Christmas Paper Napkins":            "christmas-easter",
		"Coffee Mug Dog and Ball Design":     "tableware",
		"Hand Warmer Scotty Dog Design":      "home-comforts",
		"Brocade Ring Purse":                 "bags",
		"Blue Glass Bag Charm":               "jewellery",
		"Ring of Roses Birthday Card":        "stationery",
		"Thing":                              "gifts",
	} {
		if have := seed.CategoryOf(name).Slug; have != want {
			t.Errorf("%q: %s, want %s", name, have, want)
		}
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	r, err := seed.Open()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if have, want := strings.Join(rows[0], ","), "code,sku,name,variant,description,category,category_name,price,currency,stock,popularity"; have != want {
		t.Fatalf("columns %s", have)
	}
	rows = rows[1:]
	if len(rows) != seed.Products {
		t.Errorf("%d products, want %d", len(rows), seed.Products)
	}
	known := map[string]bool{}
	for _, c := range seed.Categories() {
		known[c.Slug] = true
	}
	codes, inCategory := map[string]bool{}, map[string]int{}
	for _, row := range rows {
		code, name, category, price := row[0], row[2], row[5], row[7]
		if codes[code] {
			t.Errorf("%s is there twice", code)
		}
		codes[code] = true
		inCategory[category]++
		if p, err := money.Parse(price, row[8]); err != nil || p.Units <= 0 || row[8] != "GBP" {
			t.Errorf("%s: price %s %s: %v", code, price, row[8], err)
		}
		for _, column := range []int{9, 10} {
			if n, err := strconv.ParseInt(row[column], 10, 64); err != nil || n < 0 {
				t.Errorf("%s: number %q: %v", code, row[column], err)
			}
		}
		if len(name) < 4 || strings.ToUpper(name) == name || strings.Contains(name, "  ") || !known[category] {
			t.Errorf("%s: name %q, category %q", code, name, category)
		}
		if junk := strings.ToLower(name); strings.Contains(junk, "?") || strings.Contains(junk, "damage") || junk == "check" || junk == "lost" {
			t.Errorf("%s: name %q", code, name)
		}
	}
	for slug := range known {
		if n := inCategory[slug]; n == 0 || n > len(rows)/5 {
			t.Errorf("category %s has %d products", slug, n)
		}
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	var sent int64
	var calls atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 2 { // the operator's budget is spent
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		rows, err := csv.NewReader(r.Body).ReadAll()
		if err != nil || r.Header.Get("Authorization") != "Bearer operator" || rows[0][0] != "code" {
			t.Errorf("%v, %v", err, r.Header)
		}
		sent += int64(len(rows) - 1)
		fmt.Fprintf(w, `{"created":%d,"updated":0,"variants":%[1]d}`, len(rows)-1)
	}))
	defer srv.Close()
	var done, total int
	got, err := seed.Import(context.Background(), shopclient.New(srv.URL).WithToken("operator"), func(n, of int) { done, total = n, of })
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != seed.Products || sent != seed.Products || done != total || total != seed.Products {
		t.Errorf("%+v; sent %d, told %d of %d", got, sent, done, total)
	}
}
