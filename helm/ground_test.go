package helm_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
)

const groundDir = "k8s/terraform/aws"

// TestReleaseOnAWS: the chart takes the values that k8s/terraform/aws gives (its own tests
// compare them with this file), and the job that makes backups has no key but its account's.
func TestReleaseOnAWS(t *testing.T) {
	t.Parallel()
	v := chartutil.CoalesceTables(values(t, filepath.Join("..", groundDir, "tests/values.yaml")), values(t, "prod"))
	text, err := renderRelease(t, v, chartutil.ReleaseOptions{Name: "souk", Namespace: "souk", Revision: 1, IsInstall: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/souk-mock/gateway:v1", "nodePort: 30080", "serviceAccountName: souk-backup",
		"RCLONE_CONFIG_S3_ENV_AUTH", "cidr: 169.254.170.23/32", "https://shop.example.com", "renderer-key",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the manifests have no %q", want)
		}
	}
	for _, bad := range []string{"access-key-id", "kind: Ingress\n"} {
		if strings.Contains(text, bad) {
			t.Errorf("the manifests have %q", bad)
		}
	}
}

// TestRepositoriesOnAWS: each image of the shop has a repository there, but for the simulator.
func TestRepositoriesOnAWS(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, groundDir, "cluster.tf"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^  programs = toset\(\[(.*)\]\)$`).FindSubmatch(text)
	if m == nil {
		t.Fatal("cluster.tf has no list of programs")
	}
	got := strings.Split(strings.ReplaceAll(string(m[1]), `"`, ""), ", ")
	var want []string
	for _, p := range topology(t, "service", "gateway", "function", "tool") {
		want = append(want, p.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("repositories %v, programs %v", got, want)
	}
}
