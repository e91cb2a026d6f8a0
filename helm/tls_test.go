package helm_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
)

// certified are the parts that show each other certificates.
func certified(t *testing.T) (names []string) {
	t.Helper()
	for _, p := range topology(t, "service", "gateway") {
		names = append(names, p.Name)
	}
	return names
}

// stores are the bundled ones, which show a certificate and are asked for none.
func stores(t *testing.T) (names []string) {
	t.Helper()
	for _, p := range topology(t, "service") {
		names = append(names, p.Name+"-postgres")
	}
	return append(names, "redis")
}

// checkCertificate reads the secret of a part or a store as its process would, and as
// those it talks to, by these names and no others.
func checkCertificate(t *testing.T, part string, data map[string][]byte, names ...string) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
	if err != nil {
		t.Fatalf("%s: %v", part, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data["ca.crt"]) {
		t.Fatalf("%s: no authority", part)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: names[0], KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
	if !slices.Equal(pair.Leaf.DNSNames, names) {
		t.Errorf("%s: its names are %v", part, pair.Leaf.DNSNames)
	}
	return pair.Leaf
}

// authoritiesOnly says whether a volume has a secret's authorities and not its key.
func authoritiesOnly(s *corev1.SecretVolumeSource) bool {
	return len(s.Items) == 1 && s.Items[0].Key == "ca.crt"
}

func secretsByName(o objects) map[string]corev1.Secret {
	all := map[string]corev1.Secret{}
	for _, s := range o.Secrets {
		all[s.Name] = s
	}
	return all
}

// TestCertificatesOfTheChart: each part gets a certificate of the one authority, in a
// secret that only its pods mount, and is told where it is.
func TestCertificatesOfTheChart(t *testing.T) {
	t.Parallel()
	o, parts := decoded(t, "default", install), certified(t)
	secrets := secretsByName(o)
	for _, part := range parts {
		checkCertificate(t, part, secrets["souk-"+part+"-tls"].Data, part+".souk")
	}
	for _, store := range stores(t) {
		checkCertificate(t, store, secrets["souk-"+store+"-tls"].Data, "souk-"+store, "souk-"+store+".default", "souk-"+store+".default.svc")
	}
	for _, p := range o.pods() {
		part := strings.TrimPrefix(p.name, "souk-")
		var mounted []string
		for _, v := range p.spec.Volumes {
			if v.Secret != nil && strings.HasSuffix(v.Secret.SecretName, "-tls") && !authoritiesOnly(v.Secret) {
				mounted = append(mounted, v.Secret.SecretName)
			}
		}
		if !slices.Contains(slices.Concat(parts, stores(t)), part) {
			if len(mounted) > 0 {
				t.Errorf("%s has the certificate of another: %v", p.name, mounted)
			}
			continue
		}
		if !slices.Equal(mounted, []string{"souk-" + part + "-tls"}) {
			t.Errorf("%s mounts %v", p.name, mounted)
		}
		if !slices.Contains(parts, part) {
			continue
		}
		told := map[string]string{}
		for _, e := range p.spec.Containers[0].Env {
			told[e.Name] = e.Value
		}
		prefix := "SOUK_" + strings.ToUpper(part) + "_TLS_"
		if told[prefix+"CERT"] != "/tls/tls.crt" || told[prefix+"KEY"] != "/tls/tls.key" || told[prefix+"CA"] != "/tls/ca.crt" || told[prefix+"OFF"] != "" {
			t.Errorf("%s: %v", p.name, told)
		}
		probe := p.spec.Containers[0].ReadinessProbe
		if probe.GRPC != nil {
			t.Errorf("%s: a kubelet has no certificate for gRPC", p.name)
		}
	}
}

// TestCertificatesOverUpgrades: an upgrade keeps the authority, and the certificates
// that are not old.
func TestCertificatesOverUpgrades(t *testing.T) {
	t.Parallel()
	first, parts := secretsByName(decoded(t, "default", install)), certified(t)
	aged := first["souk-order-tls"]
	aged.Annotations = maps.Clone(aged.Annotations)
	aged.Annotations["souk.shop/issued"] = time.Now().AddDate(0, 0, -200).Format(time.DateOnly)
	var there []runtime.Object
	for name, s := range first {
		if name == aged.Name {
			s = aged
		}
		there = append(there, &s)
	}
	second := secretsByName(upgraded(t, "default", there...))
	if string(second["souk-ca"].Data["tls.key"]) != string(first["souk-ca"].Data["tls.key"]) {
		t.Error("the authority has changed")
	}
	for _, part := range parts {
		name := "souk-" + part + "-tls"
		was, is := checkCertificate(t, part, first[name].Data, part+".souk"), checkCertificate(t, part, second[name].Data, part+".souk")
		if changed := !was.Equal(is); changed != (part == "order") {
			t.Errorf("%s: the certificate has changed: %v", part, changed)
		}
	}
	block, _ := pem.Decode(second["souk-ca"].Data["tls.crt"])
	if ca, err := x509.ParseCertificate(block.Bytes); err != nil || !ca.IsCA || time.Until(ca.NotAfter) < 9*365*24*time.Hour {
		t.Errorf("authority: %v", err)
	}
}

// upgraded renders the second revision on a cluster that has these objects.
func upgraded(t *testing.T, variant string, there ...runtime.Object) objects {
	t.Helper()
	for _, object := range there {
		if o, ok := object.(metav1.Object); ok {
			o.SetNamespace("default")
		}
		if s, ok := object.(*corev1.Secret); ok && s.Data == nil {
			s.Data = map[string][]byte{}
			for key, value := range s.StringData { // as the API server has it
				s.Data[key] = []byte(value)
			}
		}
	}
	v, err := chartutil.ToRenderValues(load(t), values(t, variant),
		chartutil.ReleaseOptions{Name: "souk", Namespace: "default", Revision: 2, IsUpgrade: true}, chartutil.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.RenderWithClientProvider(load(t), v, cluster{t, there})
	if err != nil {
		t.Fatal(err)
	}
	text, err := manifests(files)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// cluster is one that templates look up objects of.
type cluster struct {
	t     *testing.T
	there []runtime.Object
}

func (c cluster) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	s := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(s), appsv1.AddToScheme(s)); err != nil {
		c.t.Error(err)
	}
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, false, err
	}
	return fake.NewSimpleDynamicClient(s, c.there...).Resource(version.WithResource(strings.ToLower(kind) + "s")), true, nil
}

// TestCertificatesOfOthers: cert-manager is asked for the same names, and secrets of
// the operator's own are mounted.
func TestCertificatesOfOthers(t *testing.T) {
	t.Parallel()
	var asked []string
	for _, other := range decoded(t, "tls: {kind: certManager}", install).Others {
		if other.Kind == "Certificate" {
			asked = append(asked, strings.TrimPrefix(other.Name, "souk-"))
		}
	}
	want := append(slices.Concat(certified(t), stores(t)), "ca")
	slices.Sort(asked)
	slices.Sort(want)
	if !slices.Equal(asked, want) {
		t.Errorf("certificates for %v, want %v", asked, want)
	}
	for _, p := range decoded(t, `tls: {kind: external, external: {secret: "%s-mine"}}`, install).pods() {
		for _, v := range p.spec.Volumes {
			if v.Name == "tls" && v.Secret.SecretName != strings.TrimPrefix(p.name, "souk-")+"-mine" {
				t.Errorf("%s mounts %s", p.name, v.Secret.SecretName)
			}
		}
	}
	for values, names := range map[string]string{"tls: {kind: external}": "tls.external.secret", "tls: {kind: none}": "tls"} {
		if _, err := render(t, values, install); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("%s: %v", values, err)
		}
	}
	if _, found := secretsByName(decoded(t, "bare", install))["souk-ca"]; found {
		t.Error("an authority is made though TLS is off")
	}
}
