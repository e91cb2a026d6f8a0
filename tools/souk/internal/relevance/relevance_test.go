package relevance_test

import (
	"os"
	"testing"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/souk/internal/relevance"
)

// What the search is held to: of the first ten products, and in each script.
const (
	leastQueries   = 200
	leastScripts   = 8
	leastPrecision = 0.98
	leastRecall    = 0.99
)

func TestRelevance(t *testing.T) {
	t.Parallel()
	shop, err := localshop.Start(t.Context(), localshop.Options{Dir: pgtest.Folder(t), Seed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := shop.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	client := shopclient.New(shop.URL)
	if err := relevance.Import(t.Context(), client.WithToken(shop.OperatorToken)); err != nil {
		t.Fatal(err)
	}
	all, err := relevance.Judge(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	scripts := relevance.Scripts(all)
	if len(all) < leastQueries || len(scripts) < leastScripts {
		t.Errorf("%d queries in %d scripts", len(all), len(scripts))
	}
	for _, script := range scripts {
		precision, recall, wrong := relevance.Mean(relevance.Of(all, script))
		if precision < leastPrecision || recall < leastRecall || wrong > 0 {
			t.Errorf("%s: precision %.3f, recall %.3f, %d wrong", script, precision, recall, wrong)
		}
	}
	if t.Failed() || testing.Verbose() {
		if err := relevance.Print(os.Stderr, all, t.Failed()); err != nil {
			t.Error(err)
		}
	}
}
