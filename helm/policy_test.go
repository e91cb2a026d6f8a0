package helm_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// component is a pod's part in the shop.
func component(labels map[string]string) string { return labels["app.kubernetes.io/component"] }

// designed are the shop's arrows, from the topology and not from the chart's
// templates: from, to and port.
func designed(t *testing.T, variant string) [][3]any {
	t.Helper()
	ports := map[string]int{}
	for _, p := range topology(t) {
		ports[p.Name] = p.Port
	}
	var arrows [][3]any
	for _, p := range topology(t) {
		for _, to := range p.Calls {
			if variant != "prod" || p.Name != "stripesim" && to != "stripesim" {
				arrows = append(arrows, [3]any{p.Name, to, ports[to]})
			}
		}
		if p.Redis && variant != "everything" && variant != "offsite" {
			arrows = append(arrows, [3]any{p.Name, "redis", ports["redis"]})
		}
	}
	if variant == "dev" || variant == "ha" || variant == "k8s" {
		for _, p := range topology(t) {
			if p.Events {
				arrows = append(arrows, [3]any{p.Name, "nats", ports["nats"]})
			}
		}
	}
	if variant == "ha" {
		arrows = append(arrows, [3]any{"nats", "nats", 6222})
	}
	if variant == "everything" {
		arrows = append(arrows, [3]any{"gateway", "gateway", 9091}, [3]any{"gateway", "gateway", 7946})
	}
	if variant == "dev" || variant == "tilt" || variant == "k8s" {
		arrows = append(arrows, [3]any{"seed", "gateway", 8080})
	}
	if variant != "prod" && variant != "ha" && variant != "offsite" {
		for _, p := range topology(t, "service") {
			service := p.Name
			arrows = append(arrows, [3]any{service, service + "-postgres", 5432}, [3]any{service + "-migrate", service + "-postgres", 5432})
			if variant == "backup" || variant == "restore" {
				arrows = append(arrows, [3]any{"backup", service + "-postgres", 5432})
			}
			if variant == "restore" {
				arrows = append(arrows, [3]any{"restore", service + "-postgres", 5432})
			}
		}
	}
	return arrows
}

// Over all ordered pairs of pods and all ports that any pod has, exactly the
// design's arrows pass: out of the one and into the other.
func TestNetworkPoliciesAllowTheArrows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, variant string, isUpgrade bool) {
		if variant == "bare" {
			return // without policies
		}
		o := decoded(t, variant, isUpgrade)
		want := designed(t, variant)
		pods := o.pods()
		ports := []int{53, 443, 80, 22}
		for _, p := range pods {
			for _, c := range p.spec.Containers {
				for _, port := range c.Ports {
					ports = append(ports, int(port.ContainerPort))
				}
			}
		}
		slices.Sort(ports)
		ports = slices.Compact(ports)
		pairs := 0
		for _, from := range pods {
			for _, to := range pods {
				for _, port := range ports {
					pairs++
					a := [3]any{component(from.meta.Labels), component(to.meta.Labels), port}
					got := allows(o.Policies, from.meta.Labels, to.meta.Labels, port)
					if got != slices.Contains(want, a) {
						t.Errorf("%v -> %v:%v: allowed %v", a[0], a[1], a[2], got)
					}
				}
			}
		}
		if pairs < 500 {
			t.Errorf("only %d looked at", pairs)
		}
	})
}

// The edge: the world reaches the gateway alone, and only payment, with real
// payments, reaches the world.
func TestNetworkPoliciesAtTheEdge(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, variant string, isUpgrade bool) {
		if variant == "bare" {
			return
		}
		o := decoded(t, variant, isUpgrade)
		for _, p := range o.pods() {
			name := component(p.meta.Labels)
			service := isService(t, name)
			for _, port := range []int{80, 443, 465, 587, 4222, 4317, 5432, 6379, 7946, 8080, 9000, 9090, 9091, 9464, 12111, 26379} {
				in := ingress(o.Policies, p.meta.Labels, outside, port)
				if want := name == "gateway" && port == 8080 && variant != "everything"; in != want {
					t.Errorf("the world -> %s:%d: allowed %v", name, port, in)
				}
				out := egress(o.Policies, p.meta.Labels, outside, port)
				want := port == 443 && name == "notification" || port == 465 && name == "notification" && variant == "everything" // outgoing webhooks, mails
				events := slices.ContainsFunc(topology(t, "service", "gateway"), func(p part) bool { return p.Name == name && p.Events })
				switch variant {
				case "prod":
					want = want || port == 4222 && events
					want = want || port == 443 && name == "payment" || port == 5432 && (service || strings.HasSuffix(name, "-migrate"))
				case "offsite":
					backup := name == "backup" || name == "restore"
					want = want || port == 9000 && backup || (port == 6379 || port == 26379) && name == "catalog" || port == 5432 && (backup || service || strings.HasSuffix(name, "-migrate"))
				case "everything":
					want = want || port == 4317 && (service || name == "gateway" || name == "stripesim") || port == 6379 && name == "catalog"
				}
				if out != want {
					t.Errorf("%s -> the world:%d: allowed %v", name, port, out)
				}
			}
			if variant == "everything" {
				for _, port := range []int{8080, 9090, 9464} {
					if got, want := ingress(o.Policies, p.meta.Labels, peer{namespace: "monitoring"}, port), port == 9464 && (service || name == "gateway" || name == "stripesim"); got != want {
						t.Errorf("monitoring -> %s:%d: allowed %v", name, port, got)
					}
					if got, want := ingress(o.Policies, p.meta.Labels, peer{namespace: "ingress"}, port), port == 8080 && name == "gateway"; got != want {
						t.Errorf("ingress -> %s:%d: allowed %v", name, port, got)
					}
				}
			}
			for _, private := range []string{"10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "fd00:ec2::254", "64:ff9b::a00:1"} {
				if name == "notification" && egress(o.Policies, p.meta.Labels, peer{address: private}, 443) {
					t.Errorf("webhooks reach %s", private)
				}
			}
			if !egress(o.Policies, p.meta.Labels, peer{namespace: "kube-system"}, 53) {
				t.Errorf("%s cannot resolve names", name)
			}
			if egress(o.Policies, p.meta.Labels, peer{namespace: "kube-system"}, 8443) && variant != "bare" {
				t.Errorf("%s reaches the cluster's own", name)
			}
		}
	})
}

// peer is the other end: a pod of the release, one of another namespace, or an
// address outside.
type peer struct {
	labels    map[string]string
	namespace string // another than the release's
	address   string // one outside
}

var outside = peer{address: "93.184.215.14"}

func allows(policies []networkingv1.NetworkPolicy, from, to map[string]string, port int) bool {
	return egress(policies, from, peer{labels: to}, port) && ingress(policies, to, peer{labels: from}, port)
}

// ingress evaluates what may come in, as the API describes it: a pod that no
// policy selects takes everything, else the union of what they allow.
func ingress(policies []networkingv1.NetworkPolicy, pod map[string]string, from peer, port int) bool {
	selected := false
	for _, p := range policies {
		if !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) || !selects(&p.Spec.PodSelector, pod) {
			continue
		}
		selected = true
		for _, rule := range p.Spec.Ingress {
			if hasPort(rule.Ports, port) && hasPeer(rule.From, from) {
				return true
			}
		}
	}
	return !selected
}

func egress(policies []networkingv1.NetworkPolicy, pod map[string]string, to peer, port int) bool {
	selected := false
	for _, p := range policies {
		if !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) || !selects(&p.Spec.PodSelector, pod) {
			continue
		}
		selected = true
		for _, rule := range p.Spec.Egress {
			if hasPort(rule.Ports, port) && hasPeer(rule.To, to) {
				return true
			}
		}
	}
	return !selected
}

func hasPort(ports []networkingv1.NetworkPolicyPort, port int) bool {
	if len(ports) == 0 {
		return true
	}
	return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		return p.Port.IntValue() == port && (port == 53 || p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP)
	})
}

func hasPeer(peers []networkingv1.NetworkPolicyPeer, other peer) bool {
	if len(peers) == 0 {
		return true
	}
	return slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		switch {
		case p.NamespaceSelector != nil:
			return other.namespace != "" && selects(p.NamespaceSelector, map[string]string{"kubernetes.io/metadata.name": other.namespace}) &&
				(p.PodSelector == nil || selects(p.PodSelector, other.labels))
		case p.PodSelector != nil:
			return other.namespace == "" && other.labels != nil && selects(p.PodSelector, other.labels)
		case p.IPBlock != nil && other.address != "":
			in := func(cidr string) bool {
				return netip.MustParsePrefix(cidr).Contains(netip.MustParseAddr(other.address))
			}
			return in(p.IPBlock.CIDR) && !slices.ContainsFunc(p.IPBlock.Except, in)
		default:
			return false
		}
	})
}

func selects(s *metav1.LabelSelector, labels map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return false
	}
	return selector.Matches(set(labels))
}

// set are labels as selectors read them.
type set map[string]string

func (s set) Has(key string) bool              { _, ok := s[key]; return ok }
func (s set) Get(key string) string            { return s[key] }
func (s set) Lookup(key string) (string, bool) { v, ok := s[key]; return v, ok }
