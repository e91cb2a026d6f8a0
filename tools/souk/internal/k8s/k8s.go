// Package k8s is `souk k8s`: it brings the shop up on a Kubernetes cluster from
// the sources, takes it down, adds what it is watched with, and tests what the chart
// promises there: that nothing done to a pod fails a client or loses a penny. It drives the programs
// that an operator has anyway, kubectl and helm, and kind if there is no cluster.
package k8s

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

const usage = `usage: souk k8s up|down|test|connect|observe|logs [flags]

  up       make or reuse a cluster, build and load the images, install the chart
  down     uninstall it; with --data its volumes and secrets, too
  test     run the end-to-end tests against it, then replace its pods under load
           and audit the ledgers
  connect  open ways to it, for a browser and for the commands that take --data
  observe  add what it is watched with: a collector of traces, Prometheus,
           Alertmanager, Jaeger, Grafana; --remove takes it away
  logs     print what its pods have logged about a trace

` + "`souk k8s VERB -h` tells more.\n"

// Command is `souk k8s`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	verbs := map[string]func(context.Context, []string, io.Writer, io.Writer) error{"up": up, "down": down, "test": test, "connect": connect, "observe": observe, "logs": logs}
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return errors.New("up, down, test, connect, observe or logs?")
	}
	verb, ok := verbs[args[0]]
	switch {
	case ok:
		return verb(ctx, args[1:], stdout, stderr)
	case args[0] == "-h" || args[0] == "--help" || args[0] == "-help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	fmt.Fprint(stderr, usage)
	return fmt.Errorf("there is no verb %q", args[0])
}

// cluster is where the shop is: the context and namespace for kubectl and helm.
type cluster struct {
	context   string
	namespace string
	release   string
	stderr    io.Writer // what the programs complain about
}

// flags adds the flags that all verbs share.
func (c *cluster) flags(name string, help string, stderr io.Writer) *flag.FlagSet {
	c.stderr = stderr
	f := flag.NewFlagSet("k8s "+name, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.context, "context", "", "the kubectl `context`; the current one if it is of a local cluster")
	f.StringVar(&c.namespace, "namespace", "souk", "the `namespace` of the shop")
	f.StringVar(&c.release, "release", "souk", "the `name` of the Helm release")
	f.Usage = func() {
		fmt.Fprint(stderr, help)
		f.PrintDefaults()
	}
	return f
}

// local says whether a context is one of the clusters that people run on their
// own machines.
func local(context string) bool {
	for _, prefix := range []string{"kind-", "k3d-"} {
		if strings.HasPrefix(context, prefix) {
			return true
		}
	}
	switch context {
	case "minikube", "docker-desktop", "orbstack", "rancher-desktop", "colima":
		return true
	}
	return false
}

// errNoContext means that kubectl has no current context.
var errNoContext = errors.New("kubectl has no current context")

// choose settles on a context: the named one, or the current one, but only if
// it is of a local cluster, so that a real shop is not tested by accident.
func (c *cluster) choose(ctx context.Context) error {
	if err := need("kubectl", "helm"); err != nil {
		return err
	}
	if c.context == "" {
		// It fails when there is none.
		out, err := exec.CommandContext(ctx, "kubectl", "config", "current-context").Output()
		current := strings.TrimSpace(string(out))
		if err != nil || current == "" {
			return errNoContext
		}
		if !local(current) {
			return fmt.Errorf("the current context %q is not one of a local cluster: say --context %s if you mean it", current, current)
		}
		c.context = current
	}
	if _, err := c.kubectl(ctx, "version", "--request-timeout=10s"); err != nil {
		return fmt.Errorf("the cluster of context %q does not answer: %w", c.context, err)
	}
	return nil
}

// need fails for the first program that is not installed.
func need(programs ...string) error {
	where := map[string]string{
		"kubectl": "https://kubernetes.io/docs/tasks/tools/",
		"helm":    "https://helm.sh/docs/intro/install/",
		"kind":    "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s is not installed: see %s", p, where[p])
		}
	}
	return nil
}

// kubectl runs kubectl in the shop's namespace and returns what it printed.
func (c *cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, nil, "kubectl", append([]string{"--context", c.context, "--namespace", c.namespace}, args...)...)
}

// apply makes or changes the objects of a manifest.
func (c *cluster) apply(ctx context.Context, manifest string) error {
	_, err := c.run(ctx, strings.NewReader(manifest), "kubectl", "--context", c.context, "--namespace", c.namespace, "apply", "--filename", "-")
	return err
}

// helm runs helm on the shop's namespace and returns what it printed.
func (c *cluster) helm(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, nil, "helm", append([]string{"--kube-context", c.context, "--namespace", c.namespace}, args...)...)
}

// run runs a program. Its error has what the program complained about.
func (c *cluster) run(ctx context.Context, stdin io.Reader, program string, args ...string) (string, error) {
	var out, complaint strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		text := strings.TrimSpace(complaint.String())
		if text == "" {
			text = err.Error()
		}
		return out.String(), fmt.Errorf("%s: %s", command(program, args), text)
	}
	return out.String(), nil
}

// command is a command line to show, without the flags that all have.
func command(program string, args []string) string {
	var shown []string
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--context", "--kube-context", "--namespace":
			i++
		default:
			shown = append(shown, args[i])
		}
	}
	return program + " " + strings.Join(shown, " ")
}

// selector picks the objects of the release, those of a component alone if it is
// named.
func (c *cluster) selector(component string) string {
	s := "app.kubernetes.io/name=souk,app.kubernetes.io/instance=" + c.release
	if component != "" {
		s += ",app.kubernetes.io/component=" + component
	}
	return s
}

// name is what the chart calls an object of the release.
func (c *cluster) name(part string) string {
	full := c.release
	if !strings.Contains(full, "souk") {
		full += "-souk"
	}
	if part == "" {
		return full
	}
	return full + "-" + part
}

// secret returns a value of a secret.
func (c *cluster) secret(ctx context.Context, name, key string) (string, error) {
	return c.kubectl(ctx, "get", "secret", name, "--output", fmt.Sprintf("go-template={{ index .data %q | base64decode }}", key))
}

// chart is the chart's folder in the repository.
func chart(root string) string { return filepath.Join(root, "helm", "souk") }
