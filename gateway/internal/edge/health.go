package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// Health reports whether the gateway lives and whether it can serve. Living never
// depends on a service: restarting the gateway repairs none.
type Health struct {
	names    []string
	clients  [][]healthpb.HealthClient // of each service's cells
	stopping atomic.Bool

	mu      sync.Mutex
	asked   time.Time
	answers map[string]string
}

// NewHealth makes a Health that depends on the named services. One of several cells serves
// while one of them does: the gateway is ready for that cell's customers.
func NewHealth(services map[string][]*grpc.ClientConn) *Health {
	h := &Health{}
	for name := range services {
		h.names = append(h.names, name)
	}
	slices.Sort(h.names)
	for _, name := range h.names {
		var cells []healthpb.HealthClient
		for _, conn := range services[name] {
			cells = append(cells, healthpb.NewHealthClient(conn))
		}
		h.clients = append(h.clients, cells)
	}
	return h
}

// Stop makes the gateway not ready: it is about to end.
func (h *Health) Stop() { h.stopping.Store(true) }

// Live answers /healthz.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) {
	answerHealth(w, http.StatusOK, map[string]string{"status": "alive"})
}

// Ready answers /readyz: 200 when every service that the gateway needs is
// serving, 503 with the ones that are not otherwise. With ?service=NAME it is about that
// one alone, for caches in front, which ask whether they can be filled.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	if h.stopping.Load() {
		answerHealth(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})
		return
	}
	answers := h.check(r.Context())
	if name := r.URL.Query().Get("service"); name != "" {
		said, ok := answers[name]
		if !ok {
			answerHealth(w, http.StatusNotFound, map[string]string{"service": "unknown"})
			return
		}
		answers = map[string]string{name: said}
	}
	status := http.StatusOK
	if missing(answers) != nil {
		status = http.StatusServiceUnavailable
	}
	answerHealth(w, status, answers)
}

// Check fails while Ready answers 503.
func (h *Health) Check(ctx context.Context) error {
	if h.stopping.Load() {
		return errors.New("stopping")
	}
	return missing(h.check(ctx))
}

// missing names the services that do not serve.
func missing(answers map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		if answers[name] != serving {
			errs = append(errs, fmt.Errorf("%s: %s", name, answers[name]))
		}
	}
	return errors.Join(errs...)
}

const (
	serving = "serving"
	// checkEvery bounds what requests of any origin to /readyz cost the services.
	checkEvery   = 250 * time.Millisecond
	checkTimeout = time.Second
)

// check asks the services, all at once, or returns what they said just now.
func (h *Health) check(ctx context.Context) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.asked) < checkEvery {
		return h.answers
	}
	// Not the asker's context alone: others wait for the same answers.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	said := make([]string, len(h.names))
	var wg sync.WaitGroup
	for i, cells := range h.clients {
		wg.Go(func() { said[i] = ask(ctx, cells) })
	}
	wg.Wait()
	h.answers = map[string]string{}
	for i, name := range h.names {
		h.answers[name] = said[i]
	}
	h.asked = time.Now()
	return h.answers
}

// ask asks the cells of a service, all at once: it is serving when one of them is, else what the
// last of them says.
func ask(ctx context.Context, cells []healthpb.HealthClient) string {
	said := make(chan string, len(cells))
	for _, client := range cells {
		go func() {
			res, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
			if err != nil {
				said <- "unreachable"
				return
			}
			said <- strings.ToLower(res.GetStatus().String())
		}()
	}
	answer := ""
	for range cells {
		if answer = <-said; answer == serving {
			break
		}
	}
	return answer
}

func answerHealth(w http.ResponseWriter, status int, answers map[string]string) {
	body, err := json.Marshal(answers)
	if err != nil {
		body = nil // strings only
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the asker may be gone
}
