//go:build unix

// Package patroni runs a PostgreSQL that survives the death of its primary: three servers
// under Patroni, which agree by three etcd on which of them takes writes. All are processes
// of this machine, from the system's packages, with their data in one folder. It is for laptops
// and tests: what is lost with the machine is lost.
//
// A commit is acknowledged when one standby has it on its disk, too (synchronous_mode). Only that
// standby is promoted. Where there is no standby left the primary goes on alone, and nothing
// is promoted in its place.
package patroni

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// Nodes are the names of the PostgreSQL servers and of the etcd members.
var (
	Nodes   = []string{"postgres-1", "postgres-2", "postgres-3"}
	Members = []string{"etcd-1", "etcd-2", "etcd-3"}
)

const (
	superuser  = "postgres"
	replicator = "replicator"
	// scope is the cluster's name in etcd.
	scope = "souk"
	// bootstrapWait is Patroni's loop_wait while a cluster comes to be, loopWait then, in
	// seconds: how often a node looks at the cluster where nothing wakes it up. ttl is after which time without a sign of its life a primary is replaced: 20 is
	// the least that Patroni takes.
	bootstrapWait, loopWait, retryTimeout, ttl = 1, 5, 5, 20
	// maxAsynchronousLag is how far a standby may be behind, in bytes, to be promoted where commits
	// wait for none.
	maxAsynchronousLag = 1 << 30
	// portsWithin is how long a cluster waits for its ports.
	portsWithin = 5 * time.Second
	// apiTimeout bounds one question to a Patroni.
	apiTimeout = 2 * time.Second
)

// ErrMissing means that the machine lacks a program.
var ErrMissing = errors.New("PostgreSQL under Patroni needs programs that are not on PATH")

// ErrPortTaken means that another program has a port of the cluster, which keeps its addresses.
var ErrPortTaken = errors.New("another program has the port that it has had before")

// Options says where and how a cluster runs.
type Options struct {
	// Dir holds all of the cluster: data, configurations, logs and passwords.
	Dir string
	// Settings are added to PostgreSQL's configuration.
	Settings map[string]string
	// NodeSettings returns settings of the one node whose folder is dir; may be nil.
	NodeSettings func(dir string) (map[string]string, error)
	// Log is told of starts and stops; may be nil.
	Log *slog.Logger
	// Disposable data may be lost with the machine's power: nothing is synced to disk.
	Disposable bool
	// Asynchronous has commits wait for no standby: what was acknowledged is lost with its
	// primary. It shows what a failover loses without.
	Asynchronous bool
	// loopWait is Patroni's, in seconds; 5 when 0. For tests.
	loopWait int
	// Route returns the address at which a node reaches another, or an etcd, that is at addr;
	// may be nil. From is "" where each other node uses the address.
	Route func(from, to, addr string) (string, error)
}

// Cluster is a running cluster.
type Cluster struct {
	opts Options
	log  *slog.Logger
	// programs is the folder of PostgreSQL's, and as who runs them.
	programs string
	as       *pgserver.Account
	state    *stored
	parts    map[string]*part // of Nodes and Members
	// peers is where nodes reach one another, by name.
	peers map[string]string
	http  *http.Client
	lock  *os.File
}

// stored is what a cluster keeps from one start to the next. Addresses are in etcd's data,
// too: they stay the same.
type stored struct {
	Ports     map[string]int    `json:"ports"` // of nodes, of the Patroni of each (NAME-api), of members and of what they tell one another (NAME-peer)
	Passwords map[string]string `json:"passwords"`
}

// Start starts the cluster and returns when its primary takes writes and two standbys follow
// it. ctx bounds the start; the cluster runs until Stop.
func Start(ctx context.Context, opts Options) (_ *Cluster, err error) {
	c := &Cluster{opts: opts, log: opts.Log, parts: map[string]*part{}, peers: map[string]string{}, http: &http.Client{Timeout: apiTimeout}}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.opts.Dir, 0o711); err != nil { // PostgreSQL's user passes through
		return nil, err
	}
	if err := c.findPrograms(ctx); err != nil {
		return nil, err
	}
	if c.lock, err = pgserver.LockFolder(c.opts.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			err = errors.Join(err, c.Stop(stopping))
		}
	}()
	if c.as, err = pgserver.AccountFor(c.opts.Dir); err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	if err := c.arrange(); err != nil {
		return nil, err
	}
	for _, p := range c.parts {
		if err := p.clear(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.portsAreFree(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := c.upAll(ctx); err != nil {
		return nil, err
	}
	if err := c.AwaitWhole(ctx); err != nil {
		return nil, fmt.Errorf("PostgreSQL under Patroni (logs in %s): %w", c.opts.Dir, err)
	}
	if err := c.configure(ctx); err != nil {
		return nil, err
	}
	c.log.InfoContext(ctx, "postgres is up, under patroni", "data", c.opts.Dir, "took", time.Since(began).Round(time.Millisecond))
	return c, nil
}

// upAll starts all parts. A node without data makes a new cluster where etcd knows of none, as after
// a restore, or joins: those with data are the first.
func (c *Cluster) upAll(ctx context.Context) error {
	var with, without []string
	for _, name := range Nodes {
		if _, err := os.Stat(filepath.Join(c.Data(name), "PG_VERSION")); err == nil {
			with = append(with, name)
		} else {
			without = append(without, name)
		}
	}
	for _, name := range slices.Concat(Members, with) {
		c.parts[name].up()
	}
	if len(with) > 0 && len(without) > 0 {
		if _, err := c.AwaitPrimary(ctx, ""); err != nil {
			return fmt.Errorf("PostgreSQL under Patroni (logs in %s): no node with data takes writes: %w", c.opts.Dir, err)
		}
	}
	for _, name := range without {
		c.parts[name].up()
	}
	return nil
}

// findPrograms looks for all programs, and says what to install.
func (c *Cluster) findPrograms(ctx context.Context) (err error) {
	var missing []string
	for _, name := range []string{"patroni", "etcd"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s (Debian and Ubuntu: apt install patroni python3-etcd etcd-server; `souk test --install-only` does it)", ErrMissing, strings.Join(missing, ", "))
	}
	c.programs, err = pgserver.Programs(ctx, c.Data(Nodes[0]), "pg_ctl", "pg_basebackup", "pg_rewind", "pg_controldata", "pg_isready")
	return err
}

// Renew makes the folder of a cluster anew from the one that has been set aside at old: with its ports
// and passwords, and no data. It returns the folder of the node that data is to be restored to, whose superuser's
// password is in the file "password".
func Renew(old, dir string) (node string, err error) {
	b, err := os.ReadFile(filepath.Join(old, stateName))
	if err != nil {
		return "", err
	}
	state := &stored{}
	if err := json.Unmarshal(b, state); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(old, stateName), err)
	}
	node = filepath.Join(dir, Nodes[0])
	if err := os.MkdirAll(node, 0o711); err != nil {
		return "", err
	}
	return node, errors.Join(os.WriteFile(filepath.Join(dir, stateName), b, 0o600), NotePassword(dir, node))
}

// NotePassword writes the superuser's password of the cluster in dir to where a server that is started alone
// with the data of a node looks for it.
func NotePassword(dir, node string) error {
	b, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		return err
	}
	state := &stored{}
	if err := json.Unmarshal(b, state); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, stateName), err)
	}
	return os.WriteFile(filepath.Join(node, "password"), []byte(state.Passwords[superuser]+"\n"), 0o600)
}

// stateName is the file with what is stored.
const stateName = "cluster.json"

// load reads what is stored, or makes it.
func (c *Cluster) load() error {
	path := filepath.Join(c.opts.Dir, stateName)
	c.state = &stored{}
	switch b, err := os.ReadFile(path); {
	case err == nil:
		if err := json.Unmarshal(b, c.state); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	c.state.Ports, c.state.Passwords = map[string]int{}, map[string]string{}
	for _, name := range slices.Concat(Nodes, suffixed(Nodes, "-api"), Members, suffixed(Members, "-peer")) {
		port, err := process.FreePort()
		if err != nil {
			return err
		}
		c.state.Ports[name] = port
	}
	for _, role := range []string{superuser, replicator, "api"} {
		c.state.Passwords[role] = rand.Text()
	}
	b, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o600)
}

func suffixed(names []string, suffix string) []string {
	var out []string
	for _, name := range names {
		out = append(out, name+suffix)
	}
	return out
}

// portsAreFree finds a program that has taken a port of the cluster since that ran last. Those that
// were ended just now may take a moment to give theirs back.
func (c *Cluster) portsAreFree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, portsWithin)
	defer cancel()
	for _, name := range slices.Sorted(maps.Keys(c.state.Ports)) {
		err := retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 10 * time.Millisecond, Max: 100 * time.Millisecond}}, func(context.Context) error {
			lis, err := net.Listen("tcp", c.own(name))
			if err == nil {
				err = lis.Close()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w: %w", name, ErrPortTaken, err)
		}
	}
	return nil
}

// own is where a part listens.
func (c *Cluster) own(name string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.state.Ports[name]))
}

// Addr is where a node or an etcd listens.
func (c *Cluster) Addr(name string) string { return c.own(name) }

func (c *Cluster) dir(name string) string { return filepath.Join(c.opts.Dir, name) }

// Data is the folder of a node's data.
func (c *Cluster) Data(node string) string { return filepath.Join(c.dir(node), "data") }

// DSN is the URL of a database for a role, on the servers at addrs, as they are reached: the
// first that has the attributes that are asked for (target_session_attrs) is connected to.
func DSN(addrs []string, database, user, password, attributes string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Host: strings.Join(addrs, ","), Path: "/" + database,
		RawQuery: "sslmode=disable&target_session_attrs=" + attributes,
	}
	return u.String()
}

// SuperuserDSN is the URL of a database on the primary, for the superuser.
func (c *Cluster) SuperuserDSN(database string) string {
	return DSN(c.addrs(), database, superuser, c.state.Passwords[superuser], "read-write")
}

// NodeDSN is the URL of a database on one node, for the superuser.
func (c *Cluster) NodeDSN(node, database string) string {
	return DSN([]string{c.own(node)}, database, superuser, c.state.Passwords[superuser], "any")
}

func (c *Cluster) addrs() []string {
	var out []string
	for _, name := range Nodes {
		out = append(out, c.own(name))
	}
	return out
}

// Stop shuts all down, PostgreSQL in good order: the standbys first, which a primary would wait
// for. When ctx ends first they are killed, to recover at their next start.
func (c *Cluster) Stop(ctx context.Context) error {
	defer func() {
		if c.lock != nil {
			pgserver.UnlockFolder(c.lock)
			c.lock = nil
		}
	}()
	if len(c.parts) == 0 {
		return nil
	}
	primary, _ := c.Primary(ctx) // "" when it is not known: then any order will do
	var standbys errgroup.Group
	for _, name := range Nodes {
		if p := c.parts[name]; p != nil && name != primary { // nil after a start that failed early
			standbys.Go(func() error { return p.stop(ctx) })
		}
	}
	err := standbys.Wait()
	if p := c.parts[primary]; p != nil {
		err = errors.Join(err, p.stop(ctx))
	}
	var members errgroup.Group
	for _, name := range Members {
		if p := c.parts[name]; p != nil {
			members.Go(func() error { return p.stop(ctx) })
		}
	}
	return errors.Join(err, members.Wait())
}

// AwaitWhole returns when there is a primary, two standbys follow it, and one of them
// synchronously unless the cluster is Asynchronous.
func (c *Cluster) AwaitWhole(ctx context.Context) error {
	var last error
	err := retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 100 * time.Millisecond, Max: 200 * time.Millisecond}}, func(ctx context.Context) error {
		last = c.whole(ctx)
		return last
	})
	if err != nil {
		return fmt.Errorf("%w (last: %w)", err, last)
	}
	return nil
}

func (c *Cluster) whole(ctx context.Context) error {
	members, err := c.Status(ctx)
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, m := range members {
		if m.State == "running" || m.State == "streaming" {
			count[m.Role]++
		}
	}
	standbys := map[bool]string{false: syncStandby, true: replica}[c.opts.Asynchronous]
	if count[leader] != 1 || count[replica]+count[syncStandby] != len(Nodes)-1 || count[standbys] == 0 {
		return fmt.Errorf("not all nodes run: %v", members)
	}
	// What etcd has may be of an earlier life, for as long as a node may be silent.
	for _, m := range members {
		var standby bool
		if err := c.one(ctx, m.Name, "SELECT pg_is_in_recovery()", &standby); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if standby == (m.Role == leader) {
			return fmt.Errorf("%s is not what the others take it for: %v", m.Name, members)
		}
	}
	return nil
}
