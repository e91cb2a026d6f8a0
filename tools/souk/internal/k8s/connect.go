package k8s

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// connectedDir is the data folder of a shop on a cluster: one of its own, so that
// the shop that runs here keeps its.
const connectedDir = ".souk-k8s"

const connectHelp = `usage: souk k8s connect [flags]

Opens ways from this machine to the shop on the cluster, its databases and the
payment simulator included, and keeps them open until it is interrupted. The
commands that work on a running shop find it by --data: souk load, replay, verify.

`

func connect(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c cluster
	f := c.flags("connect", connectHelp, stderr)
	data := f.String("data", connectedDir, "the `folder` in which to say where the shop is")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 {
		f.Usage()
		return errors.New("connect takes no arguments")
	}
	if err := c.choose(ctx); err != nil {
		return err
	}
	if _, err := state.Read(*data); !errors.Is(err, state.ErrNotRunning) {
		return errors.Join(fmt.Errorf("the folder %s belongs to a shop that runs, or to a connection that was killed: name another, or delete it", *data), err)
	}
	if err := os.MkdirAll(*data, 0o700); err != nil {
		return err
	}
	return c.reach(ctx, *data, func(dir string, shop *state.State) error {
		fmt.Fprintf(stdout, "  storefront      %s\n  operator token  in %s\n\n  go run ./tools/souk load --data %s\n", shop.URL, state.OperatorToken(dir), dir)
		<-ctx.Done()
		return nil
	})
}

// reach opens ways to the gateway, the databases and the payment simulator and
// writes them as the state of a running shop into a folder, a new one if none is
// named, for as long as use runs. To the databases they are those of the roles that read.
func (c *cluster) reach(ctx context.Context, dir string, use func(dir string, shop *state.State) error) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "souk-k8s-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	var forwards sync.WaitGroup
	defer forwards.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	open := func(service string, port int) (string, error) { return c.forward(ctx, &forwards, service, port) }

	shop := &state.State{Postgres: map[string]string{}, StartedAt: time.Now()}
	addr, err := open(c.name(topology.Edge), 80)
	if err != nil {
		return err
	}
	shop.URL = "http://" + addr
	provider, _ := topology.Find(topology.Stripesim)
	if addr, err = open(c.name(provider.Name), provider.Port); err != nil {
		return err
	}
	shop.StripesimURL = "http://" + addr
	shop.JournalURL = shop.StripesimURL + "/_sim/journal" // its file is in the pod
	database, _ := topology.Find(topology.Postgres)
	for _, service := range topology.Databases() {
		name := c.name(service + "-postgres")
		dsn, err := c.secret(ctx, name, "reader-dsn")
		if err != nil {
			return err
		}
		at, err := url.Parse(dsn)
		if err != nil {
			return fmt.Errorf("secret %s: %w", name, err)
		}
		ca := filepath.Join(dir, service+"-ca.pem")
		if at.RawQuery, err = c.believe(ctx, name, ca); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, removed(ca)) }()
		if at.Host, err = open(name, database.Port); err != nil {
			return err
		}
		shop.Postgres[service] = at.String()
	}
	token, err := c.secret(ctx, c.name("operator"), "token")
	if err != nil {
		return err
	}
	if err := errors.Join(state.WriteFile(state.OperatorToken(dir), []byte(token+"\n")), state.Write(dir, shop)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Remove(dir), os.Remove(state.OperatorToken(dir))) }()
	if shop, err = state.Read(dir); err != nil {
		return err
	}
	return use(dir, shop)
}

// believe writes the authorities of a database's certificate into a file and returns the
// parameters that check it with them. Its name is not checked: here it is another one.
func (c *cluster) believe(ctx context.Context, database, ca string) (parameters string, err error) {
	secret, err := c.kubectl(ctx, "get", "statefulset", database, "--output", `jsonpath={.spec.template.spec.volumes[?(@.name=="tls")].secret.secretName}`)
	if err != nil {
		return "", err
	}
	if secret == "" { // tls.kind is off
		return "sslmode=disable", nil
	}
	text, err := c.secret(ctx, secret, "ca.crt")
	if err != nil {
		return "", err
	}
	return url.Values{"sslmode": {"verify-ca"}, "sslrootcert": {ca}}.Encode(), state.WriteFile(ca, []byte(text))
}

// removed removes a file that need not be there.
func removed(file string) error {
	if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

var forwarding = regexp.MustCompile(`^Forwarding from 127\.0\.0\.1:(\d+)`)

// forward opens a way to a service's port and returns its address here. It is
// open until ctx ends: kubectl's own ends with the pod that it leads to, and is
// opened again then.
func (c *cluster) forward(ctx context.Context, forwards *sync.WaitGroup, service string, port int) (addr string, err error) {
	open := func(local string) (opened string, ended <-chan struct{}, err error) {
		var complaint strings.Builder
		cmd := exec.CommandContext(ctx, "kubectl", "--context", c.context, "--namespace", c.namespace,
			"port-forward", "--address", "127.0.0.1", "service/"+service, fmt.Sprintf("%s:%d", local, port))
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 5 * time.Second
		cmd.Stderr = &complaint
		out, err := cmd.StdoutPipe()
		if err != nil {
			return "", nil, err
		}
		if err := cmd.Start(); err != nil {
			return "", nil, err
		}
		ready, done := make(chan string, 1), make(chan struct{})
		forwards.Go(func() {
			defer close(done)
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if m := forwarding.FindStringSubmatch(lines.Text()); m != nil {
					select {
					case ready <- m[1]:
					default: // it says so for each of its ways
					}
				}
			}
			_ = cmd.Wait() // the reader ends when it does
		})
		select {
		case opened = <-ready:
			return opened, done, nil
		case <-done:
			if ctx.Err() != nil {
				return "", nil, ctx.Err()
			}
			return "", nil, fmt.Errorf("kubectl port-forward service/%s: %s", service, strings.TrimSpace(complaint.String()))
		}
	}
	local, ended, err := open("")
	if err != nil {
		return "", err
	}
	forwards.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-ended:
			}
			for {
				if retry.Sleep(ctx, 500*time.Millisecond) != nil {
					return
				}
				if _, ended, err = open(local); err == nil {
					break // otherwise its next pod is not there yet
				}
			}
		}
	})
	return net.JoinHostPort("127.0.0.1", local), nil
}
