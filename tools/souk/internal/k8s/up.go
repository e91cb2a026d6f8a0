package k8s

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/souk/internal/images"
)

// kindCluster is the cluster that up makes, by the name in k8s/kind.yaml.
const kindCluster = "souk"

const upHelp = `usage: souk k8s up [flags]

Brings the shop up on a cluster, from the sources in this repository: builds the
images, hands them to the cluster, installs the chart or upgrades it, and waits
until every pod is ready. Where kubectl has no current context it makes a kind
cluster. It touches a cluster that is not local only if --context names it.

`

func up(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c cluster
	var values list
	f := c.flags("up", upHelp, stderr)
	f.Var(&values, "values", "a `file` of values for the chart, besides values-dev.yaml; may be repeated")
	load := f.String("load", "", "how the images get into the cluster: `kind`, minikube, docker, containerd or none; by the context's name when empty")
	timeout := f.Duration("timeout", 10*time.Minute, "how long the pods may take to be ready")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 {
		f.Usage()
		return errors.New("up takes no arguments")
	}
	root, err := images.Repository(ctx)
	if err != nil {
		return err
	}
	step := func(format string, args ...any) { fmt.Fprintf(stdout, format+"\n", args...) }
	err = c.choose(ctx)
	if errors.Is(err, errNoContext) {
		if err := need("kind"); err != nil {
			return fmt.Errorf("there is no cluster, and to make one: %w", err)
		}
		step("making a kind cluster")
		if _, err := c.run(ctx, nil, "kind", "create", "cluster", "--config", filepath.Join(root, "k8s", "kind.yaml"), "--wait", "2m"); err != nil {
			return err
		}
		c.context, err = "kind-"+kindCluster, nil
	}
	if err != nil {
		return err
	}
	where, name, err := loader(*load, c.context)
	if err != nil {
		return err
	}

	step("building the images")
	dir := filepath.Join(root, "bin", "images")
	if err := images.Compile(ctx, root, dir, runtime.GOARCH, topology.Programs(), stderr); err != nil {
		return err
	}
	// A tag of their content: pods are replaced when it changes, and only then.
	tag, err := contentTag(dir)
	if err != nil {
		return err
	}
	imagesArgs := []string{"--out", dir, "--tag", tag}
	if where != "none" {
		imagesArgs = append(imagesArgs, "--load", where, "--cluster", name)
	}
	if err := images.Command(ctx, imagesArgs, io.Discard, stderr); err != nil {
		return err
	}

	step("installing release %s into namespace %s of %s, images %s", c.release, c.namespace, c.context, tag)
	began := time.Now()
	if err := c.install(ctx, root, tag, values, *timeout); err != nil {
		return err
	}
	step("every pod is ready after %s", time.Since(began).Round(100*time.Millisecond))
	step("\n  storefront      %s", c.address())
	step("  operator token  in the secret %s", c.name("operator"))
	step("\n  go run ./tools/souk k8s test --context %s", c.context)
	return nil
}

// install installs the chart, or upgrades it, and waits for its pods.
func (c *cluster) install(ctx context.Context, root, tag string, values []string, timeout time.Duration) error {
	args := []string{
		"upgrade", c.release, chart(root), "--install", "--create-namespace", "--wait", "--timeout", timeout.String(),
		"--values", filepath.Join(chart(root), "values-dev.yaml"),
	}
	for _, v := range values {
		args = append(args, "--values", v)
	}
	if _, err := c.helm(ctx, append(args, "--set", "image.tag="+tag)...); err != nil {
		pods, _ := c.kubectl(ctx, "get", "pods") // what is known helps
		return fmt.Errorf("%w\n%s", err, pods)
	}
	return nil
}

// address is how the storefront is reached.
func (c *cluster) address() string {
	if c.context == "kind-"+kindCluster { // k8s/kind.yaml maps the port
		return "http://localhost:8080/"
	}
	if c.context == "minikube" {
		return fmt.Sprintf("minikube service --namespace %s %s", c.namespace, c.name("gateway"))
	}
	return fmt.Sprintf("http://localhost:8080/ after: kubectl --context %s --namespace %s port-forward service/%s 8080:80", c.context, c.namespace, c.name("gateway"))
}

// loader says how images get into the cluster of a context, and the name that
// its program knows the cluster by.
func loader(load, context string) (where, name string, err error) {
	kind, isKind := strings.CutPrefix(context, "kind-")
	switch {
	case load != "":
		if load == "kind" {
			return load, kind, nil
		}
		return load, "", nil
	case isKind:
		return "kind", kind, nil
	case context == "minikube":
		return "minikube", "", nil
	case context == "docker-desktop", context == "orbstack":
		return "docker", "", nil // they run the images of the Docker engine
	}
	return "", "", fmt.Errorf("say by --load how images get into the cluster of context %q; none if it pulls them", context)
}

// contentTag is a tag for programs that changes when one of them does.
func contentTag(dir string) (string, error) {
	sum := sha256.New()
	for _, p := range topology.Programs() {
		if err := hashFile(sum, filepath.Join(dir, p.Name)); err != nil {
			return "", err
		}
	}
	return "dev-" + hex.EncodeToString(sum.Sum(nil))[:12], nil
}

func hashFile(sum hash.Hash, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(sum, file)
	return err
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }
