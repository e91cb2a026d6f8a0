package k8s

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/smoke"
)

// Only a stranger who was refused everywhere passes: an answer fails, and so does a server
// of which nothing is known, or that was not tried.
func TestStrangers(t *testing.T) {
	t.Parallel()
	services := "souk-gateway souk-redis souk-nats"
	for _, name := range topology.Names(topology.Of(topology.Service)) {
		services += " souk-" + name
	}
	for _, name := range topology.Databases() {
		services += " souk-" + name + "-postgres"
	}
	for name, c := range map[string]struct {
		outcome    func(target string, open bool) smoke.Outcome
		fails, say string
	}{
		"refused":  {func(string, bool) smoke.Outcome { return smoke.Refused }, "", "does not enforce"},
		"enforced": {func(_ string, open bool) smoke.Outcome { return when(open, smoke.Refused, smoke.Unreachable) }, "", "keep it from all"},
		"answered": {func(target string, _ bool) smoke.Outcome {
			return when(strings.HasPrefix(target, "redis="), smoke.Answered, smoke.Refused)
		}, "redis=souk-redis:6379, plain text: answered", ""},
		"unknown": {func(target string, _ bool) smoke.Outcome {
			return when(strings.HasPrefix(target, "grpc=souk-order"), smoke.Unreachable, smoke.Refused)
		}, "grpc=souk-order:9090, plain text: unreachable", ""},
		"a gap in the policies": {func(target string, open bool) smoke.Outcome {
			return when(open || strings.HasPrefix(target, "redis="), smoke.Refused, smoke.Unreachable)
		}, "keep a stranger from 13 of 14", ""},
		"not tried": {func(target string, _ bool) smoke.Outcome {
			return when(target == "redis=souk-redis:6379", "", smoke.Refused)
		},
			"did not try redis=souk-redis:6379", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := false
			targets := ""
			w := pretended(t, func(call call) *answer {
				switch line := call.String(); {
				case strings.HasPrefix(line, "kubectl get deployment souk-gateway"):
					return &answer{Stdout: "registry/souk/gateway:v1"}
				case strings.HasPrefix(line, "kubectl get services"):
					return &answer{Stdout: services}
				case strings.HasPrefix(line, "kubectl apply"):
					if _, after, ok := strings.Cut(call.Stdin, "SOUK_SMOKE_TARGETS, value: \""); ok {
						targets, _, _ = strings.Cut(after, "\"")
					}
					open = open || strings.Contains(call.Stdin, "kind: NetworkPolicy")
					if strings.Contains(call.Stdin, "kind: Pod") && (!strings.Contains(call.Stdin, "image: registry/souk/smoke:v1\n") || strings.Contains(call.Stdin, "app.kubernetes.io")) {
						t.Errorf("the stranger is %s", call.Stdin)
					}
					return &answer{}
				case strings.HasPrefix(line, "kubectl delete networkpolicy souk-stranger"):
					open = false
					return &answer{}
				case strings.HasPrefix(line, "kubectl wait pod/souk-stranger"), strings.HasPrefix(line, "kubectl delete pod souk-stranger"):
					return &answer{}
				case strings.HasPrefix(line, "kubectl logs souk-stranger"):
					var out bytes.Buffer
					for _, target := range strings.Split(targets, ",") {
						if outcome := c.outcome(target, open); outcome != "" {
							if err := json.NewEncoder(&out).Encode(smoke.Attempt{Target: target, Attempt: "plain text", Outcome: outcome}); err != nil {
								t.Error(err)
							}
						}
					}
					return &answer{Stdout: out.String()}
				}
				return nil
			})
			var out bytes.Buffer
			err := newTester(w, &out).strangers(t.Context())
			if c.fails == "" && (err != nil || !strings.Contains(out.String(), c.say)) {
				t.Errorf("%v: %s", err, out.String())
			}
			if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("%v, want %s", err, c.fails)
			}
			if open {
				t.Error("the policy that lets it in stays")
			}
		})
	}
}

func newTester(w *world, out *bytes.Buffer) *tester {
	return &tester{cluster: w.cluster(), stdout: out}
}

func when(yes bool, one, other smoke.Outcome) smoke.Outcome {
	if yes {
		return one
	}
	return other
}
