package k8s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	forwards, err := c.openForwards(ctx)
	if err != nil {
		return err
	}
	defer func() { cancel(); forwards.wait() }()
	open := func(service string, port int) (string, error) { return forwards.to(ctx, service, port) }

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
