package monitor_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/monitor"
	"github.com/souk-shop/souk/tools/internal/slo"
)

// TestAlertsAreTold: a real Prometheus reads a part whose database is away, with the rules sixty times
// as fast; a real Alertmanager tells the receiver of pages, and that it ended. The hour before, in
// which all went well, is known.
func TestAlertsAreTold(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it may build Alertmanager")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute) // to build, once
	defer cancel()
	var passing atomic.Int64
	part := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "souk_check_passing{souk_check_name=\"postgres\"} %d\n", passing.Load())
	}))
	defer part.Close()
	rules, err := slo.Rules()
	if err != nil {
		t.Fatal(err)
	}
	const scale = 60
	m, err := monitor.Start(ctx, monitor.Config{
		Dir: t.TempDir(), Targets: map[string]string{"order": strings.TrimPrefix(part.URL, "http://")}, Rules: rules, Scale: scale, Alerts: true,
		History: monitor.History(time.Now(), monitor.Traffic{Browse: 10, Checkout: 5}, scale), Notice: func(s string) { t.Log(s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	told := func(what string, so func(monitor.Notified) bool) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			all := m.Received.All()
			if len(all) > 1 {
				t.Fatalf("told of %+v", all)
			}
			if len(all) == 1 && so(all[0]) {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("nobody is told that %s; %+v", what, all)
			}
		}
	}
	told("PostgreSQL is away", func(n monitor.Notified) bool {
		return n.Receiver == "page" && n.Name() == "PostgresDown dependency=postgres job=order" && n.Ended.IsZero()
	})
	passing.Store(1)
	told("PostgreSQL is back", func(n monitor.Notified) bool { return !n.Ended.IsZero() })

	var before struct {
		Result []struct{ Value [2]any }
	}
	if err := m.Get(ctx, "query", url.Values{"query": {`sum(souk:slo_errors:ratio_rate1h)`}}, &before); err != nil {
		t.Fatal(err)
	}
	if len(before.Result) != 1 || before.Result[0].Value[1] != "0" {
		t.Errorf("of the hour before Prometheus knows %v", before)
	}
	if err := m.Get(ctx, "query", url.Values{"query": {`sum(`}}, &before); err == nil {
		t.Error("what is no query was answered")
	}
}
