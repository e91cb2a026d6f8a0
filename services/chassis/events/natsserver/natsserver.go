// Package natsserver runs a server of NATS JetStream inside a process: in the embedded
// shop, in `souk nats` and in tests. No service imports it.
package natsserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// startTimeout is how long a server may take to listen, with what it reads of its
	// streams before that.
	startTimeout = time.Minute
	// maxStore is what the streams may reserve together: more than any of them use. The
	// server's own limit, three quarters of what is free on the disk, may be less than that.
	maxStore = 64 << 30
)

// Config is how a server runs.
type Config struct {
	// Dir is where the streams are.
	Dir string
	// Address is where it listens, "127.0.0.1:0" for a free port.
	Address string
	// User and Password are those of the one user, or NKey is that user's public key. With
	// neither everybody who reaches the server may use it.
	User     string
	Password config.Secret
	NKey     string
	// Readers are users beside User who may follow events and nothing else.
	Readers []Reader
	// CertFile and KeyFile turn TLS on.
	CertFile, KeyFile string
	// Name, ClusterAddress and Routes make the server one node of a cluster. All have
	// different names and know the cluster addresses of the others.
	Name           string
	ClusterAddress string
	Routes         []string
	// Log takes what the server says; warnings and worse.
	Log *slog.Logger
}

// Reader is a user who may follow what is published from now on of some sources. It can
// neither publish an event nor change or read what is kept of one.
type Reader struct {
	User     string
	Password config.Secret
	Sources  []string
}

// permissions are the least that the driver's subscription without a group needs.
func (r Reader) permissions() *server.Permissions {
	p := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{"$JS.API.INFO"}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
	for _, source := range r.Sources {
		for _, request := range []string{"CREATE.souk-%s.*", "MSG.NEXT.souk-%s.*", "DELETE.souk-%s.*"} {
			p.Publish.Allow = append(p.Publish.Allow, fmt.Sprintf("$JS.API.CONSUMER."+request, source))
		}
	}
	return p
}

// Server is a server that runs.
type Server struct {
	server *server.Server
	health server.HealthzOptions
}

// unwellLooks is how many looks in a row, a second apart, find a server unwell before Wait ends
// it.
const unwellLooks = 3

// Start starts a server and waits until clients can connect. Each publication is on the
// disk before it is acknowledged: the default, a sync every two minutes, loses what was
// acknowledged when the machine crashes.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	host, port, err := split(cfg.Address)
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		Host: host, Port: cmp.Or(port, server.RANDOM_PORT), ServerName: cmp.Or(cfg.Name, "souk"),
		JetStream: true, StoreDir: cfg.Dir, SyncAlways: true, JetStreamMaxStore: maxStore, JetStreamMaxMemory: 64 << 20,
		NoSigs: true, DisableShortFirstPing: true, WriteDeadline: 10 * time.Second,
	}
	switch {
	case cfg.NKey != "":
		opts.Nkeys = []*server.NkeyUser{{Nkey: cfg.NKey}}
	case len(cfg.Readers) > 0:
		opts.Users = []*server.User{{Username: cfg.User, Password: cfg.Password.Reveal()}}
		for _, r := range cfg.Readers {
			opts.Users = append(opts.Users, &server.User{Username: r.User, Password: r.Password.Reveal(), Permissions: r.permissions()})
		}
	default:
		opts.Username, opts.Password = cfg.User, cfg.Password.Reveal()
	}
	if cfg.CertFile != "" {
		tc, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: cfg.CertFile, KeyFile: cfg.KeyFile})
		if err != nil {
			return nil, fmt.Errorf("nats server: %w", err)
		}
		opts.TLSConfig, opts.TLS, opts.TLSTimeout = tc, true, 5
	}
	if cfg.ClusterAddress != "" {
		host, port, err := split(cfg.ClusterAddress)
		if err != nil {
			return nil, err
		}
		opts.Cluster = server.ClusterOpts{Name: "souk", Host: host, Port: port}
		for _, route := range cfg.Routes {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: route})
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	said := &logger{log: cfg.Log}
	s.SetLoggerV2(said, false, false, false)
	s.Start()
	for deadline := time.Now().Add(startTimeout); !s.ReadyForConnections(100 * time.Millisecond); {
		if !s.Running() || time.Now().After(deadline) || ctx.Err() != nil {
			s.Shutdown()
			return nil, fmt.Errorf("nats server on %s does not start: %s", cfg.Address, cmp.Or(said.fatal(), "no answer"))
		}
	}
	// A node of a cluster that has lost touch with the others is well; where it cannot write
	// it turns its streams off.
	return &Server{server: s, health: server.HealthzOptions{JSEnabledOnly: cfg.ClusterAddress != ""}}, nil
}

func split(address string) (string, int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("nats server: address: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("nats server: port %q: %w", port, err)
	}
	return host, int(n), nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.server.Addr().String() }

// Stop ends the server. What it acknowledged is on the disk.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// Wait returns nil when ctx ends, after it stopped the server, or an error when the server
// stopped by itself or has given up its streams: after an error of the disk, such as one that
// is full, it answers and takes nothing any more. Who started it starts it anew. A server that
// recovers, or whose stream is made anew, is unwell for a moment: only what lasts for several
// looks counts.
func (s *Server) Wait(ctx context.Context) error {
	for unwell := 0; retry.Sleep(ctx, time.Second) == nil; {
		if !s.server.Running() {
			return errors.New("nats server stopped by itself")
		}
		health := s.server.Healthz(&s.health)
		if health.StatusCode == http.StatusOK {
			unwell = 0
			continue
		}
		if unwell++; unwell == unwellLooks {
			s.Stop()
			return fmt.Errorf("nats server: %s", cmp.Or(health.Error, health.Status))
		}
	}
	s.Stop()
	return nil
}
