package localshop

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestMetric: series are summed by their labels, one that is not there yet counts nothing, and a part that
// shows none is an error.
func TestMetric(t *testing.T) {
	t.Parallel()
	well := true
	part := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !well {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("# TYPE a counter\na{b=\"1\",c=\"1\"} 2\na{b=\"1\",c=\"2\"} 3\na{b=\"2\"} 7\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4\nh_sum 1\nh_count 4\n"))
	}))
	t.Cleanup(part.Close)
	addr := strings.TrimPrefix(part.URL, "http://")
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{{"a", nil, 12}, {"a", []string{"b", "1"}, 5}, {"a", []string{"b", "1", "c", "2"}, 3}, {"h", nil, 4}, {"none", nil, 0}} {
		if got, err := Metric(t.Context(), addr, c.name, c.labels...); err != nil || got != c.want {
			t.Errorf("%s %q: %v, %v", c.name, c.labels, got, err)
		}
	}
	well = false
	if got, err := Metric(t.Context(), addr, "a"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("of a part that shows none: %v, %v", got, err)
	}
}
