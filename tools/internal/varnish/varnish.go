//go:build unix

// Package varnish runs Varnish in front of a gateway, as a process of this machine, with the
// configuration of k8s/edge. It is for laptops and tests.
package varnish

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
)

//go:generate cp edge.vcl ../../../k8s/edge/edge.vcl

// VCL is the configuration. k8s/edge has a copy (go generate).
//
//go:embed edge.vcl
var VCL string

// ErrMissing means that the machine lacks Varnish, or the modules that the configuration uses.
var ErrMissing = errors.New("an edge needs varnishd and the vmod xkey (Debian's packages varnish and varnish-modules)")

const (
	// ask is the pause between two looks at an edge that starts, and askTimeout bounds one.
	ask        = 10 * time.Millisecond
	askTimeout = time.Second
	// startTimeout bounds the start: the configuration is compiled by a C compiler.
	startTimeout = 60 * time.Second
)

// Config says where and how an edge runs.
type Config struct {
	// Dir holds configuration and log.
	Dir string
	// Listen is where clients reach it, host:port; any free loopback port when empty.
	Listen string
	// Gateway is host:port of the gateway.
	Gateway string
	// Secret is what a PURGE has to bring.
	Secret string
	// Proxies are addresses whose X-Forwarded-Proto is believed.
	Proxies []string
	// Memory bounds what is kept, as Varnish writes it; 64m when empty.
	Memory string
	Log    *slog.Logger
	// OnStart is called when a process has started; may be nil.
	OnStart func()
}

// Edge is a running Varnish.
type Edge struct {
	// Addr is where clients reach it, PurgeURL where it takes a PURGE.
	Addr, PurgeURL string
	proc           *process.Supervisor
	stop           context.CancelFunc
	done           chan struct{}
}

// Find returns the program.
func Find() (string, error) {
	path, err := exec.LookPath("varnishd")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/varnishd"); err != nil { // not on the PATH of an ordinary user
			return "", ErrMissing
		}
	}
	for _, pattern := range []string{"/usr/lib/*/varnish/vmods/libvmod_xkey.so", "/usr/lib*/varnish/vmods/libvmod_xkey.so", "/usr/local/lib/varnish/vmods/libvmod_xkey.so", "/opt/homebrew/lib/varnish/vmods/libvmod_xkey.*"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return path, nil
		}
	}
	return "", ErrMissing
}

var backends = template.Must(template.New("").Parse(`# Made anew at each start.
probe catalog {
	.url = "/readyz?service=catalog";
	.interval = 1s;
	.timeout = 1s;
	.window = 3;
	.threshold = 2;
	.initial = 2;
}
backend gateway {
	.host = "{{.Host}}";
	.port = "{{.Port}}";
	.first_byte_timeout = 120s;
	.between_bytes_timeout = 120s;
}
backend reads {
	.host = "{{.Host}}";
	.port = "{{.Port}}";
	.first_byte_timeout = 30s;
	.probe = catalog;
}
acl proxies {
{{- range .Proxies}}
	"{{.}}";
{{- end}}
}
`))

// Start starts an edge and returns when it answers. It is started again when it dies.
func Start(ctx context.Context, cfg Config) (*Edge, error) {
	binary, err := Find()
	if err != nil {
		return nil, err
	}
	if cfg.Listen == "" {
		port, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		cfg.Listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	purge, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	purgeAddr := net.JoinHostPort("127.0.0.1", strconv.Itoa(purge))
	as, err := prepare(dir, cfg)
	if err != nil {
		return nil, err
	}
	memory := cfg.Memory
	if memory == "" {
		memory = "64m"
	}
	running, stop := context.WithCancel(context.Background())
	e := &Edge{Addr: cfg.Listen, PurgeURL: "http://" + purgeAddr, stop: stop, done: make(chan struct{})}
	e.proc = process.NewSupervisor(process.Config{
		Name: "varnish", Log: cfg.Log,
		Command: func() (process.Command, error) {
			log, err := os.OpenFile(filepath.Join(dir, "varnish.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			if err != nil {
				return process.Command{}, err
			}
			cmd := exec.Command(binary, "-F", "-n", filepath.Join(dir, "run"), "-f", filepath.Join(dir, "edge.vcl"),
				"-a", "shop="+cfg.Listen, "-a", "purge="+purgeAddr, "-T", "none", "-s", "malloc,"+memory,
				"-p", "thread_pool_min=20", "-p", "thread_pool_max=1000", "-p", "thread_pools=2")
			as.Prepare(cmd)
			if as == nil {
				cmd.Env = os.Environ()
			}
			cmd.Env = append(cmd.Env, "SOUK_EDGE_SECRET="+cfg.Secret)
			cmd.Stdout, cmd.Stderr = log, log
			return process.Command{Cmd: cmd, Inherited: []io.Closer{log}}, nil
		},
		OnStart: func(int) {
			if cfg.OnStart != nil {
				cfg.OnStart()
			}
		},
	})
	go func() {
		defer close(e.done)
		e.proc.Run(running)
	}()
	if err := e.Await(ctx); err != nil {
		e.Close()
		said, _ := os.ReadFile(filepath.Join(dir, "varnish.log")) // is not there where nothing was started
		return nil, fmt.Errorf("varnish does not answer: %w: %s", err, said[:min(len(said), 2<<10)])
	}
	return e, nil
}

// prepare makes what the edge reads, for the user that it runs as.
func prepare(dir string, cfg Config) (*pgserver.Account, error) {
	host, port, err := net.SplitHostPort(cfg.Gateway)
	if err != nil {
		return nil, err
	}
	run := filepath.Join(dir, "run")
	if err := errors.Join(os.RemoveAll(run), os.MkdirAll(run, 0o711)); err != nil {
		return nil, err
	}
	as, err := pgserver.AccountFor(dir)
	if err != nil {
		return nil, fmt.Errorf("varnish: %w", err)
	}
	var b strings.Builder
	if err := backends.Execute(&b, struct {
		Host, Port string
		Proxies    []string
	}{host, port, cfg.Proxies}); err != nil {
		return nil, err
	}
	// In one file: its compiler has lost the right to search folders that are not its user's.
	const include = `include "backend.vcl";`
	if strings.Count(VCL, include) != 1 {
		return nil, errors.New("edge.vcl has no place for the gateway")
	}
	config := filepath.Join(dir, "edge.vcl")
	if err := os.WriteFile(config, []byte(strings.Replace(VCL, include, b.String(), 1)), 0o600); err != nil {
		return nil, err
	}
	return as, as.Own(run, config)
}

// Await waits until the edge answers.
func (e *Edge) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client := &http.Client{Timeout: askTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		err := func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.PurgeURL+"/healthz", nil)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("it answered %s", res.Status)
			}
			return nil
		}()
		if err == nil {
			return nil
		}
		if e.proc.Deaths() >= 3 {
			return errors.New("it does not start")
		}
		if retry.Sleep(ctx, ask) != nil {
			return err
		}
	}
}

// URL is where clients reach the edge, without a slash at its end.
func (e *Edge) URL() string { return "http://" + e.Addr }

// Process is what keeps the edge running.
func (e *Edge) Process() *process.Supervisor { return e.proc }

// Signal sends a signal to both processes of the edge, the one that keeps answers and the one that
// starts it. process.ErrNotRunning: they have just ended.
func (e *Edge) Signal(sig syscall.Signal) error {
	pid := e.proc.PID()
	if pid == 0 {
		return fmt.Errorf("varnish: %w", process.ErrNotRunning)
	}
	if err := syscall.Kill(-pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("varnish: %w", err)
	}
	return nil
}

// Close ends the edge.
func (e *Edge) Close() {
	e.stop()
	<-e.done
}
