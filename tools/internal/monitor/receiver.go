package monitor

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxNotification bounds what Alertmanager sends at once, in bytes.
const maxNotification = 4 << 20

// Notified is an alert of which a receiver was told.
type Notified struct {
	// Receiver is "page" or "ticket".
	Receiver string
	Labels   map[string]string
	Summary  string
	// Fired is when the receiver was told first, and Ended when it was told that it ended; zero
	// while it fires.
	Fired, Ended time.Time
}

// Name is the alert with the labels that tell one from another.
func (n Notified) Name() string {
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		if v := n.Labels[k]; v != "" && !slices.Contains([]string{"alertname", "severity", "instance", "slo"}, k) {
			labels = append(labels, k+"="+v)
		}
	}
	return strings.TrimSpace(n.Labels["alertname"] + " " + strings.Join(labels, " "))
}

// Receiver is whom Alertmanager tells, by webhooks.
type Receiver struct {
	url    string
	server *http.Server
	ended  chan struct{}

	mu  sync.Mutex
	all []*Notified
}

func newReceiver(ctx context.Context) (*Receiver, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Receiver{url: "http://" + lis.Addr().String() + "/", ended: make(chan struct{})}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(r.ended)
		_ = r.server.Serve(lis) // until close
	}()
	return r, nil
}

func (r *Receiver) close() error {
	err := r.server.Close()
	<-r.ended
	return err
}

// ServeHTTP takes a notification, version 4 of Alertmanager's webhooks.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var message struct {
		Receiver string
		Alerts   []struct {
			Status              string
			Labels, Annotations map[string]string
		}
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxNotification)).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range message.Alerts {
		firing := slices.IndexFunc(r.all, func(n *Notified) bool {
			return n.Ended.IsZero() && n.Receiver == message.Receiver && maps.Equal(n.Labels, a.Labels)
		})
		switch {
		case a.Status == "resolved" && firing >= 0:
			r.all[firing].Ended = now
		case a.Status == "firing" && firing < 0:
			r.all = append(r.all, &Notified{Receiver: message.Receiver, Labels: a.Labels, Summary: a.Annotations["summary"], Fired: now})
		}
	}
}

// All are the alerts that were told, in their order.
func (r *Receiver) All() []Notified {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Notified, len(r.all))
	for i, n := range r.all {
		out[i] = *n
	}
	return out
}
