package k8s

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/smoke"
)

// strangers fails unless every part and store refuses a pod that has neither a certificate
// nor a password. The chart's network policies would keep it from all of them, so that
// nothing would be known of the servers: it is tried once past them, and once with them,
// to tell whether the cluster's network keeps to them.
func (t *tester) strangers(ctx context.Context) (err error) {
	fmt.Fprintln(t.stdout, "a pod without a certificate")
	servers, err := t.servers(ctx)
	if err != nil {
		return err
	}
	var targets []string
	for _, s := range servers {
		targets = append(targets, s.target())
	}
	if err := t.apply(ctx, t.openPolicy()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.closePolicy(context.WithoutCancel(ctx))) }()
	attempts, err := t.stranger(ctx, targets)
	if err != nil {
		return err
	}
	var wrong error
	for _, a := range attempts {
		fmt.Fprintf(t.stdout, "  %-58s %-36s %s: %s\n", a.Target, a.Attempt, a.Outcome, a.Detail)
		if a.Outcome != smoke.Refused {
			wrong = errors.Join(wrong, fmt.Errorf("%s, %s: %s: %s", a.Target, a.Attempt, a.Outcome, a.Detail))
		}
	}
	if wrong != nil {
		return fmt.Errorf("a pod without a certificate is not refused: %w", wrong)
	}
	if err := t.closePolicy(ctx); err != nil {
		return err
	}
	if attempts, err = t.stranger(ctx, targets); err != nil {
		return err
	}
	unreachable := 0
	for _, a := range attempts {
		switch a.Outcome {
		case smoke.Unreachable:
			unreachable++
		case smoke.Answered:
			return fmt.Errorf("%s, %s: %s: %s", a.Target, a.Attempt, a.Outcome, a.Detail)
		case smoke.Refused:
		}
	}
	switch unreachable {
	case len(attempts):
		fmt.Fprintln(t.stdout, "  the network policies keep it from all of them")
	case 0:
		fmt.Fprintln(t.stdout, "  this cluster's network does not enforce network policies: it reaches all of them, and is refused")
	default:
		return fmt.Errorf("the network policies keep a stranger from %d of %d", unreachable, len(attempts))
	}
	return nil
}

// grpcKind is the kind of servers that speak gRPC.
const grpcKind = "grpc"

// server is a part that speaks gRPC, or a store, that the release has a service for.
type server struct {
	kind     string // grpcKind or the store's name in the topology
	service  string
	port     int
	database string // of PostgreSQL
}

// target is how the smoke program names a server.
func (s server) target() string {
	target := fmt.Sprintf("%s=%s:%d", s.kind, s.service, s.port)
	if s.database != "" {
		target += "/" + s.database
	}
	return target
}

// servers are those of the release, one or more.
func (t *tester) servers(ctx context.Context) ([]server, error) {
	listed, err := t.kubectl(ctx, "get", "services", "--selector", "app.kubernetes.io/instance="+t.release, "--output", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return nil, err
	}
	services := strings.Fields(listed)
	var out []server
	add := func(kind, name string, port int, database string) {
		if slices.Contains(services, t.name(name)) {
			out = append(out, server{kind: kind, service: t.name(name), port: port, database: database})
		}
	}
	for _, p := range topology.Parts {
		switch {
		case p.Kind == topology.Service:
			add(grpcKind, p.Name, p.Port, "")
		case p.Name == topology.Redis, p.Name == topology.NATS:
			add(p.Name, p.Name, p.Port, "")
		}
	}
	database, _ := topology.Find(topology.Postgres)
	for _, name := range topology.Databases() {
		add(topology.Postgres, name+"-postgres", database.Port, name)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("release %s has no services", t.release)
	}
	return out, nil
}

// stranger runs the pod to its end and returns what it tried, by target.
func (t *tester) stranger(ctx context.Context, targets []string) (attempts []smoke.Attempt, err error) {
	image, err := t.smokeImage(ctx)
	if err != nil {
		return nil, err
	}
	pod := t.name("stranger")
	remove := func(ctx context.Context) error {
		_, err := t.kubectl(ctx, "delete", "pod", pod, "--ignore-not-found", "--wait")
		return err
	}
	if err := remove(ctx); err != nil { // of a test that was cut off
		return nil, err
	}
	defer func() { err = errors.Join(err, remove(context.WithoutCancel(ctx))) }()
	if err := t.apply(ctx, t.strangerPod(pod, image, targets)); err != nil {
		return nil, err
	}
	if _, err := t.kubectl(ctx, "wait", "pod/"+pod, "--for", "jsonpath={.status.phase}=Succeeded", "--timeout", "2m"); err != nil {
		logs, _ := t.kubectl(ctx, "logs", pod)
		return nil, fmt.Errorf("%w\n%s", err, logs)
	}
	out, err := t.kubectl(ctx, "logs", pod)
	if err != nil {
		return nil, err
	}
	tried := map[string]bool{}
	for line := range strings.Lines(out) {
		var a smoke.Attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			return nil, fmt.Errorf("the stranger reports %q: %w", line, err)
		}
		attempts = append(attempts, a)
		tried[a.Target] = true
	}
	for _, target := range targets {
		if !tried[target] {
			return nil, fmt.Errorf("the stranger did not try %s", target)
		}
	}
	slices.SortStableFunc(attempts, func(a, b smoke.Attempt) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Attempt, b.Attempt))
	})
	return attempts, nil
}

// strangerPod is no pod of the release: neither its labels nor its secrets are.
func (t *tester) strangerPod(name, image string, targets []string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {souk.shop/stranger: %q}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: stranger
      image: %s
      args: [stranger]
      env:
        - {name: SOUK_SMOKE_URL, value: "http://%s"}
        - {name: SOUK_SMOKE_TARGETS, value: %q}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`, name, t.release, image, t.name(topology.Edge), strings.Join(targets, ","))
}

// openPolicy lets the stranger into every pod of the release; policies add up.
func (t *tester) openPolicy() string {
	return fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: %s
spec:
  podSelector:
    matchLabels: {app.kubernetes.io/name: souk, app.kubernetes.io/instance: %s}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels: {souk.shop/stranger: %q}
`, t.name("stranger"), t.release, t.release)
}

func (t *tester) closePolicy(ctx context.Context) error {
	_, err := t.kubectl(ctx, "delete", "networkpolicy", t.name("stranger"), "--ignore-not-found", "--wait")
	return err
}
