package observability_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/souk-shop/souk/tools/internal/slo/promtool"
)

const stack = "../../../k8s/observability"

// kubernetes is what Debian's Prometheus was built without: how pods are found.
type kubernetes struct {
	Role      string `yaml:"role"`
	Selectors []struct {
		Role  string `yaml:"role"`
		Label string `yaml:"label"`
	} `yaml:"selectors"`
}

// TestPrometheusTakesItsConfiguration: promtool takes it, with the rules beside it, all but how pods
// are found, which is compared with the API's fields here.
func TestPrometheusTakesItsConfiguration(t *testing.T) {
	t.Parallel()
	tools, err := promtool.Find(t.Context(), func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(stack, "prometheus", "prometheus.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, c := range config["scrape_configs"].([]any) {
		scrape := c.(map[string]any)
		pods, ok := scrape["kubernetes_sd_configs"]
		if !ok {
			continue
		}
		found++
		delete(scrape, "kubernetes_sd_configs")
		scrape["static_configs"] = []any{map[string]any{"targets": []string{"localhost:9464"}}}
		part, err := yaml.Marshal(pods)
		if err != nil {
			t.Fatal(err)
		}
		strict := yaml.NewDecoder(bytes.NewReader(part))
		strict.KnownFields(true)
		var discovery []kubernetes
		if err := strict.Decode(&discovery); err != nil {
			t.Fatal(err)
		}
		for _, d := range discovery {
			if d.Role != "pod" || len(d.Selectors) != 1 || d.Selectors[0].Role != "pod" || d.Selectors[0].Label != "app.kubernetes.io/part-of=souk" {
				t.Errorf("pods are found by %+v", d)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d jobs find pods", found)
	}
	dir := t.TempDir()
	rest, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(filepath.Join(stack, "prometheus", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"prometheus.yaml": rest, "rules.yaml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), tools.Promtool, "check", "config", filepath.Join(dir, "prometheus.yaml")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
