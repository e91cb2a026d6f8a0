package slo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/souk-shop/souk/tools/internal/slo"
)

func TestScaled(t *testing.T) {
	t.Parallel()
	const text = "interval: 30s\nfor: 2m\nwindow: 1h\nexpr: rate(x[5m]) > 300 - x offset 1h and avg_over_time(y[3d])\ngroup_wait: 10s\n"
	const want = "interval: 3000ms\nfor: 12000ms\nwindow: 1h\nexpr: rate(x[30000ms]) > 300 - x offset 360000ms and avg_over_time(y[25920000ms])\ngroup_wait: 1000ms\n"
	if got := string(slo.Scaled([]byte(text), 10)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := string(slo.Scaled([]byte(text), 1)); got != text {
		t.Errorf("the factor 1 gives\n%s", got)
	}
}

// TestPrometheusAndAlertmanagerTakeScaledFiles: and no window in them is left as it was.
func TestPrometheusAndAlertmanagerTakeScaledFiles(t *testing.T) {
	t.Parallel()
	tools := find(t)
	rules, err := slo.Rules()
	if err != nil {
		t.Fatal(err)
	}
	routes, err := slo.AlertmanagerWith("http://127.0.0.1:1/")
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string][]string{"rules": {tools.Promtool, "check", "rules"}, "routes": {tools.Amtool, "check-config"}} {
		text := slo.Scaled(map[string][]byte{"rules": rules, "routes": routes}[name], 7)
		if left := regexp.MustCompile(`\[\d+[smhd]\]|(?:for|interval|group_wait): \d+[smhd]\b`).FindAll(text, -1); len(left) > 0 {
			t.Errorf("%s: %q", name, left)
		}
		file := filepath.Join(t.TempDir(), name+".yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), check[0], append(check[1:], file)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
