package localshop_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// Further gateways of a shop are peers of the first, and answer what it does.
func TestGatewaysArePeers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := pgtest.Folder(t)
	shop, err := localshop.Start(ctx, localshop.Options{Dir: dir, Disposable: true, Gateways: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	st, err := state.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	admins := []string{st.Admin["gateway"]}
	for _, g := range shop.Gateways() {
		admins = append(admins, g.Admin)
		client := shopclient.New(g.URL)
		if _, err := client.Products(ctx, shopclient.ProductQuery{}); err != nil {
			t.Error(err)
		}
		client.Close()
	}
	for _, admin := range admins {
		eventually(ctx, t, admin+" sees three gateways", func() bool {
			res, err := http.Get("http://" + admin + "/metrics")
			if err != nil {
				return false
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "souk_peers_members{") || strings.HasPrefix(line, "souk_peers_members ") {
					return strings.HasSuffix(line, " 3\n")
				}
			}
			return false
		})
	}
	if len(admins) != 3 {
		t.Errorf("%d gateways", len(admins))
	}
}
