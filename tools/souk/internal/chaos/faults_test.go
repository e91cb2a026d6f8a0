package chaos

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// announced are the faults that the shop is said to survive, beside partitions,
// which follow from who calls whom.
func announced() []string {
	out := []string{
		"kill-random", "kill-" + topology.Stripesim,
		"postgres-kill", "postgres-restart", "postgres-freeze-15s", "replica-kill", "replica-freeze-15s", "replica-pause", "disk-full",
		"primary-kill", "primary-freeze", "primary-cut-off", "switchover", "standby-kill", "etcd-kill",
		"peer-kill", "peer-freeze", "edge-kill", "edge-freeze", "edge-not-told",
		"database-read-only", "database-serializable", "column-type-changed", "row-locked-30s", "import-under-load",
		"redis-flush", "redis-kill", "redis-freeze-15s", "nats-kill", "nats-freeze-15s", "nats-lost", "nats-disk-full",
		"latency-50ms", "latency-500ms", "latency-5000ms", "resets", "truncated",
		"provider-slow-30s", "provider-drop", "provider-500", "provider-429", "provider-hang", "provider-down-5m",
		"webhook-triple", "webhook-reorder", "webhook-late", "webhook-never",
		"mail-server-down", "mail-server-silent", "webhook-endpoint-down", "webhook-endpoint-silent",
		"client-five-times", "client-disconnect", "client-key-reuse", "rolling-restart",
	}
	for _, service := range topology.Names(topology.Of(topology.Service, topology.Gateway)) {
		out = append(out, "kill-"+service, "clock-"+service+"-ahead", "clock-"+service+"-behind", "certificate-expired-"+service)
		for _, seconds := range []int{3, 15, 45} {
			out = append(out, fmt.Sprintf("freeze-%s-%ds", service, seconds))
		}
	}
	for _, part := range topology.Of(topology.Service, topology.Gateway) {
		if len(part.CrashPoints) > 0 {
			out = append(out, "crash-"+part.Name)
		}
	}
	for _, service := range topology.Databases() {
		out = append(out, "pool-exhausted-"+service)
	}
	return out
}

func TestDocumentsCountTheFaults(t *testing.T) {
	t.Parallel()
	all := len(Faults()) - 1 // "none" is no fault
	for path, sentences := range map[string][]string{
		"../../../../README.md":     {"under %d kinds of faults", "names all %d faults"},
		"../../../../docs/chaos.md": {"each of the %d,"},
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sentences {
			if s = fmt.Sprintf(s, all); !strings.Contains(string(text), s) {
				t.Errorf("%s does not say %q", path, s)
			}
		}
	}
}

func TestTheCatalogueOfFaults(t *testing.T) {
	t.Parallel()
	wellFormed := regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)*$`)
	var names []string
	for _, f := range Faults() {
		if slices.Contains(names, f.Name) {
			t.Errorf("two faults are called %s", f.Name)
		}
		names = append(names, f.Name)
		if !wellFormed.MatchString(f.Name) || f.Group == "" || f.Doc == "" || f.Inject == nil {
			t.Errorf("%q, group %q, is not complete: %q", f.Name, f.Group, f.Doc)
		}
	}
	for _, name := range announced() {
		if !slices.Contains(names, name) {
			t.Errorf("there is no %s", name)
		}
	}
	for _, l := range localshop.Links() {
		for _, name := range []string{"partition-" + l.From + "-" + l.To, "partition-" + l.To + "-" + l.From} {
			if !slices.Contains(names, name) {
				t.Errorf("there is no %s", name)
			}
		}
	}
}
