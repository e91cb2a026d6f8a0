package promtool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// alertmanagerModule is Alertmanager as k8s/observability runs it.
const alertmanagerModule, alertmanagerVersion = "github.com/prometheus/alertmanager", "v0.35.0"

// Alertmanager returns the server: that of PATH, or one that is built once, of its module, into
// the user's cache. (Debian's works only where it is installed: it reads a file of /usr/share at its
// start.) Its web page is left out, which the module does not have. notice is told of a build.
func Alertmanager(ctx context.Context, notice func(string)) (string, error) {
	for _, name := range []string{"alertmanager", "prometheus-alertmanager"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "souk", "alertmanager-"+alertmanagerVersion)
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", errors.New("alertmanager is missing, and there is no Go to build it with: install Alertmanager (brew install alertmanager)")
	}
	notice(fmt.Sprintf("building Alertmanager %s, once, to %s", alertmanagerVersion, program))
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(program), "alertmanager-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	return program, buildAlertmanager(ctx, scratch, program)
}

// buildAlertmanager builds the server in a scratch folder. Its module embeds a folder that its
// releases alone have; one with a page that says so takes its place.
func buildAlertmanager(ctx context.Context, scratch, program string) error {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", alertmanagerModule+"@"+alertmanagerVersion)
	download.Dir = scratch
	text, err := download.Output()
	if err != nil {
		return fmt.Errorf("go mod download %s: %w", alertmanagerModule, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		return err
	}
	src := filepath.Join(scratch, "src")
	if err := os.CopyFS(src, os.DirFS(module.Dir)); err != nil {
		return err
	}
	page := filepath.Join(src, "ui", "app", "dist")
	if err := os.MkdirAll(page, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(page, "index.html"), []byte("<!doctype html><title>Alertmanager</title>built without its page\n"), 0o600); err != nil {
		return err
	}
	built := filepath.Join(scratch, "alertmanager")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", built, "./cmd/alertmanager")
	cmd.Dir, cmd.Env = src, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build Alertmanager: %w: %s", err, out)
	}
	// Another process may have been faster; then its program is as good.
	return os.Rename(built, program)
}
