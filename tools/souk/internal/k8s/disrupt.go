package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/smoke"
	"github.com/souk-shop/souk/tools/souk/internal/images"
)

// disruption is something that an operator, or a cluster, does to a shop.
type disruption struct {
	name    string
	summary string
	needs   string // the flag without which it is not possible
	do      func(ctx context.Context, t *tester) error
}

func disruptions() []disruption {
	out := []disruption{
		{name: "restart-all", summary: "kubectl rollout restart of every deployment at once", do: restartAll},
		{name: "rotate-certificates", summary: "sign all certificates anew, and wait until they are presented", do: func(ctx context.Context, t *tester) error { return t.rotateCertificates(ctx) }},
		{name: "upgrade", summary: "helm upgrade to another image tag", needs: "tag", do: upgrade},
	}
	for _, p := range topology.Processes() {
		out = append(out, deletion(p.Name))
	}
	out = append(out, deletion(topology.Redis), brokerDeletion())
	for _, name := range topology.Databases() {
		out = append(out, deletion(name+"-postgres"))
	}
	return append(out, disruption{name: "drain", summary: "kubectl drain of a node, and uncordon", needs: "node", do: drain})
}

// deletion deletes each pod of a component and waits until the next is there.
func deletion(component string) disruption {
	return disruption{
		name: "delete-" + component, summary: "kubectl delete pod of " + component,
		do: func(ctx context.Context, t *tester) error {
			pods, err := t.kubectl(ctx, "get", "pods", "--selector", t.selector(component), "--field-selector", "status.phase=Running", "--output", "name")
			if err != nil {
				return err
			}
			if strings.TrimSpace(pods) == "" {
				return fmt.Errorf("%s has no pod", component)
			}
			for pod := range strings.FieldsSeq(pods) {
				if _, err := t.kubectl(ctx, "delete", pod, "--wait", "--timeout", "2m"); err != nil {
					return err
				}
				if err := t.ready(ctx); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// brokerDeletion deletes the pods of the bundled broker; a shop may have another one, or none.
func brokerDeletion() disruption {
	d := deletion(topology.NATS)
	whenThere := d.do
	d.do = func(ctx context.Context, t *tester) error {
		out, err := t.kubectl(ctx, "get", "statefulset", "--selector", t.selector(topology.NATS), "--output", "name")
		if err != nil {
			return err
		}
		if strings.TrimSpace(out) == "" {
			fmt.Fprintln(t.stdout, "  the chart runs no broker")
			return nil
		}
		return whenThere(ctx, t)
	}
	return d
}

func restartAll(ctx context.Context, t *tester) error {
	_, err := t.kubectl(ctx, "rollout", "restart", "deployment", "--selector", t.selector(""))
	return err
}

func upgrade(ctx context.Context, t *tester) error {
	root, err := images.Repository(ctx)
	if err != nil {
		return err
	}
	_, err = t.helm(ctx, "upgrade", t.release, chart(root), "--reset-then-reuse-values", "--set", "image.tag="+t.tag, "--wait", "--timeout", "5m")
	return err
}

func drain(ctx context.Context, t *tester) error {
	defer func() { _, _ = t.kubectl(context.WithoutCancel(ctx), "uncordon", t.node) }()
	_, err := t.kubectl(ctx, "drain", t.node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout", "5m",
		"--pod-selector", t.selector("")+",app.kubernetes.io/component!="+clientComponent)
	if err != nil {
		return err
	}
	return t.ready(ctx)
}

// clientComponent lets the chart's network policies take the clients' pod for
// the one of helm test.
const clientComponent = "smoke"

// clients are in the cluster: a port-forward leads to one pod and ends with it,
// and is not the way that requests take.
type clients struct {
	*tester
	pod string
}

// startClients starts the clients and waits until they are served.
func (t *tester) startClients(ctx context.Context) (*clients, error) {
	image, err := t.smokeImage(ctx)
	if err != nil {
		return nil, err
	}
	v := &clients{tester: t, pod: t.name("clients")}
	if err := v.stop(ctx); err != nil { // of a test that was cut off
		return nil, err
	}
	if err := t.apply(ctx, v.manifest(image)); err != nil {
		return nil, err
	}
	if _, err := t.kubectl(ctx, "wait", "pod/"+v.pod, "--for", "condition=Ready", "--timeout", "2m"); err != nil {
		return nil, errors.Join(err, v.stop(context.WithoutCancel(ctx)))
	}
	// They start once the shop is ready and they have read its catalog.
	for until := time.Now().Add(time.Minute); ; {
		if _, err := v.report(ctx); err == nil {
			return v, retry.Sleep(ctx, t.baseline)
		} else if time.Now().After(until) {
			return nil, errors.Join(err, v.stop(context.WithoutCancel(ctx)))
		}
		if err := retry.Sleep(ctx, time.Second); err != nil {
			return nil, errors.Join(err, v.stop(context.WithoutCancel(ctx)))
		}
	}
}

// smokeImage is the image of the program that uses the shop, of the same build.
func (t *tester) smokeImage(ctx context.Context) (string, error) {
	image, err := t.kubectl(ctx, "get", "deployment", t.name("gateway"), "--output", "jsonpath={.spec.template.spec.containers[0].image}")
	return strings.Replace(image, "/gateway:", "/smoke:", 1), err
}

// manifest is the clients' pod. It runs until it is deleted.
func (v *clients) manifest(image string) string {
	node := ""
	if v.node != "" { // the pod is not to be drained
		node = fmt.Sprintf(`
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
          - matchExpressions: [{key: kubernetes.io/hostname, operator: NotIn, values: [%q]}]`, v.node)
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {app.kubernetes.io/name: souk, app.kubernetes.io/instance: %s, app.kubernetes.io/component: %s}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 5
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: clients
      image: %s
      args: [load]
      env:
        - {name: SOUK_SMOKE_URL, value: "http://%s"}
        - {name: SOUK_SMOKE_RATE, value: "%g"}
        - {name: SOUK_SMOKE_MIX, value: %q}
        - {name: SOUK_SMOKE_DURATION, value: 2h}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}%s
`, v.pod, v.release, clientComponent, image, v.name("gateway"), v.rate, v.mix, node)
}

// report returns what the clients have seen so far.
func (v *clients) report(ctx context.Context) (smoke.LoadReport, error) {
	var r smoke.LoadReport
	out, err := v.kubectl(ctx, "logs", v.pod, "--tail", "1")
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, fmt.Errorf("the clients report %q: %w", out, err)
	}
	if time.Since(r.At) > 10*time.Second {
		return r, fmt.Errorf("the clients have reported nothing since %s", r.At.Format(time.TimeOnly))
	}
	return r, nil
}

// worst returns the longest wait, in milliseconds, and a few of the failures that
// clients had since a time.
func (v *clients) worst(ctx context.Context, since time.Time) (slowestMS int64, failures []string, err error) {
	out, err := v.kubectl(ctx, "logs", v.pod, "--since-time", since.UTC().Format(time.RFC3339))
	if err != nil {
		return 0, nil, err
	}
	for line := range strings.Lines(out) {
		var r smoke.LoadReport
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return 0, nil, fmt.Errorf("the clients report %q: %w", line, err)
		}
		slowestMS = max(slowestMS, r.SlowestMS)
		failures = append(failures, r.Errors...)
	}
	return slowestMS, failures[:min(len(failures), 8)], nil
}

// stop ends the clients.
func (v *clients) stop(ctx context.Context) error {
	_, err := v.kubectl(ctx, "delete", "pod", v.pod, "--ignore-not-found", "--wait")
	return err
}
