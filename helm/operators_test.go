package helm_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var operatorToken = regexp.MustCompile(`souk_op_([0-9a-z]{8})_[0-9A-Za-z]{43}[0-9a-f]{8}`)

// The chart makes a first operator: its token in one secret, the hash in the other, which
// alone the gateway is given. Hooks make them, so that no rollback brings a token back.
func TestFirstOperator(t *testing.T) {
	t.Parallel()
	o := decoded(t, "default", install)
	secrets := map[string]corev1.Secret{}
	for _, s := range o.Secrets {
		secrets[s.Name] = s
	}
	file, token := secrets["souk-operators"].StringData["operators.json"], secrets["souk-operator"].StringData["token"]
	for _, name := range []string{"souk-operators", "souk-operator"} {
		if hook := secrets[name].Annotations["helm.sh/hook"]; hook != "pre-install,pre-upgrade" || len(secrets[name].StringData) != 1 {
			t.Errorf("%s: hook %q, %d values", name, hook, len(secrets[name].StringData))
		}
	}
	body, sum := token[:max(len(token)-8, 0)], token[max(len(token)-8, 0):]
	found := operatorToken.FindStringSubmatch(token)
	if found == nil || found[0] != token || fmt.Sprintf("%x", sha256.Sum256([]byte(body)))[:8] != sum {
		t.Fatalf("%q is no token", token)
	}
	if strings.Contains(file, body) || !strings.Contains(file, fmt.Sprintf("%x", sha256.Sum256([]byte(token)))) {
		t.Errorf("not the token's hash: %s", file)
	}
	path := filepath.Join(t.TempDir(), "operators.json")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "run", "-buildvcs=false", "./souk", "operator", "list", "--file", path)
	list.Dir = filepath.Join(root, "tools")
	out, err := list.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^admin +`+found[1]+` +read,catalog,orders,money,customers,webhooks,audit .* works$`).Match(out) {
		t.Errorf("%v: %s", err, out)
	}
	if again, err := render(t, "default", install); err != nil || strings.Contains(again, token) {
		t.Errorf("every install has the same token, or none: %v", err)
	}
	for _, p := range o.pods() {
		for _, v := range p.spec.Volumes {
			if v.Secret != nil && v.Secret.SecretName == "souk-operators" && (p.name != "souk-gateway" || v.Secret.Optional == nil || !*v.Secret.Optional) {
				t.Errorf("%s has the operators: %+v", p.name, v.Secret)
			}
		}
		for _, c := range p.spec.Containers {
			for _, e := range c.Env {
				if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == "souk-operator" && p.name == "souk-gateway" {
					t.Error("the gateway is given a token")
				}
			}
		}
	}
}

// What is rendered without a cluster has no operator: everybody would know the token.
func TestNoKnownOperator(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"k8s", "tilt"} {
		text, err := render(t, variant, install)
		if err != nil {
			t.Fatal(err)
		}
		if operatorToken.MatchString(text) || strings.Contains(text, "name: souk-operators\n") {
			t.Errorf("%s makes an operator", variant)
		}
	}
}
