package helm_test

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// knativeService is what Souk uses of serving.knative.dev/v1's Service.
type knativeService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Template struct {
			metav1.ObjectMeta `json:"metadata"`
			Spec              struct {
				corev1.PodSpec       `json:",inline"`
				ContainerConcurrency *int64 `json:"containerConcurrency"`
				TimeoutSeconds       *int64 `json:"timeoutSeconds"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

// TestKnativeRenderer: the manifest of the renderer has no field that there is not, listens
// where the topology says, is reached from the cluster alone and may do nothing.
func TestKnativeRenderer(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "k8s/serverless/renderer.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var s knativeService
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		t.Fatal(err)
	}
	if s.APIVersion != "serving.knative.dev/v1" || s.Kind != "Service" || s.Labels["networking.knative.dev/visibility"] != "cluster-local" {
		t.Errorf("%s %s %v", s.APIVersion, s.Kind, s.Labels)
	}
	parts := topology(t, "function")
	if len(parts) != 1 || parts[0].Name != "renderer" {
		t.Fatalf("functions of the topology: %v", parts)
	}
	pod := s.Spec.Template.Spec
	if len(pod.Containers) != 1 {
		t.Fatalf("%d containers", len(pod.Containers))
	}
	c := pod.Containers[0]
	if c.Image != "souk/"+parts[0].Name+":dev" || len(c.Ports) != 1 || int(c.Ports[0].ContainerPort) != parts[0].Port {
		t.Errorf("image %s, ports %v", c.Image, c.Ports)
	}
	sc := c.SecurityContext
	if sc == nil || !*sc.ReadOnlyRootFilesystem || !*sc.RunAsNonRoot || *sc.AllowPrivilegeEscalation || len(sc.Capabilities.Drop) != 1 || sc.Capabilities.Drop[0] != "ALL" ||
		*pod.AutomountServiceAccountToken || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("what the container may do: %+v", sc)
	}
	if *s.Spec.Template.Spec.ContainerConcurrency <= 0 || *s.Spec.Template.Spec.TimeoutSeconds <= 0 {
		t.Error("without limits")
	}
}
