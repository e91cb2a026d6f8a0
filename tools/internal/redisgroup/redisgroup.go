//go:build unix

// Package redisgroup runs several Redis that go on without one of them: a primary with two
// replicas, watched by three Sentinels, or a cluster of three primaries with a replica each. All
// are processes of this machine that keep nothing on disk. It is for laptops and tests.
package redisgroup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// Kind is how the servers know who takes another's place.
type Kind string

// The kinds.
const (
	// Sentinel: processes of their own watch the servers and agree.
	Sentinel Kind = "sentinel"
	// Cluster: the servers have a part of the keys each, and agree among themselves.
	Cluster Kind = "cluster"
)

const (
	// master is the name by which Sentinels know the servers.
	master = "souk"
	// sentinels is how many watch.
	sentinels = 3
	// downAfter is after which time without an answer a server is taken for dead.
	downAfter = 500 * time.Millisecond
	// slots of a cluster: Redis cluster specification, "Key distribution model".
	slots = 16384
	// look is the time between two looks at a group that is to come to be whole.
	look = 50 * time.Millisecond
	// askTimeout bounds one question.
	askTimeout = 2 * time.Second
)

// Config says where and how a group runs.
type Config struct {
	// Dir holds configurations and logs.
	Dir  string
	Kind Kind
	// Binary is redis-server or valkey-server, from PATH when empty.
	Binary string
	// Memory bounds what each server keeps, as Redis writes it (64mb).
	Memory string
	Log    *slog.Logger
	// OnStart is called when a process has started; may be nil.
	OnStart func()
}

// Group is several Redis.
type Group struct {
	cfg   Config
	nodes []*node // servers, then Sentinels
	stop  context.CancelFunc
	run   sync.WaitGroup
}

// node is a server or a Sentinel.
type node struct {
	name, addr string
	proc       *process.Supervisor
	client     *redis.Client
	// sentinel is the client of one; nil of a server.
	sentinel *redis.SentinelClient
}

// Find returns the program that runs servers.
func Find() (path string, err error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("several Redis need a program that is not on PATH: %w", err)
}

// Start starts a group and waits until it is whole. Processes that die are started again.
func Start(ctx context.Context, cfg Config) (_ *Group, err error) {
	if cfg.Kind != Sentinel && cfg.Kind != Cluster {
		return nil, fmt.Errorf("kind %q: want %s or %s", cfg.Kind, Sentinel, Cluster)
	}
	if cfg.Binary == "" {
		if cfg.Binary, err = Find(); err != nil {
			return nil, err
		}
	}
	cfg.Memory = cmp.Or(cfg.Memory, "64mb")
	running, stop := context.WithCancel(context.Background())
	g := &Group{cfg: cfg, stop: stop}
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	primary := ""
	for i := range g.servers() {
		args := []string{"--save", "", "--appendonly", "no", "--maxmemory", cfg.Memory, "--maxmemory-policy", "allkeys-lru"}
		switch {
		case cfg.Kind == Cluster:
			args = append(args, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", strconv.FormatInt(downAfter.Milliseconds(), 10),
				"--cluster-require-full-coverage", "no")
		case i > 0:
			host, port, _ := strings.Cut(primary, ":")
			args = append(args, "--replicaof", host+" "+port)
		}
		n, err := g.start(running, fmt.Sprintf("redis-%d", i+1), args)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			primary = n.addr
		}
	}
	if cfg.Kind == Cluster {
		err = g.meet(ctx)
	} else {
		err = g.watch(running, primary)
	}
	if err != nil {
		return nil, err
	}
	return g, g.AwaitWhole(ctx)
}

func (g *Group) servers() int {
	if g.cfg.Kind == Cluster {
		return 6
	}
	return 3
}

// start starts a process. Its configuration is a file that Redis writes anew: it remembers whose
// replica it is, or whom it watches.
func (g *Group) start(ctx context.Context, name string, args []string) (*node, error) {
	dir := filepath.Join(g.cfg.Dir, name)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	n := &node{name: name, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	all := append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--protected-mode", "yes", "--dir", dir, "--logfile", "log", "--daemonize", "no"}, args...)
	if g.cfg.Kind == Cluster {
		bus, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		all = append(all, "--cluster-port", strconv.Itoa(bus))
	}
	config := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(config, []byte(lines(all)), 0o600); err != nil {
		return nil, err
	}
	command, watches := []string{config}, strings.HasPrefix(name, "sentinel")
	if watches {
		command = append(command, "--sentinel")
	}
	n.proc = process.NewSupervisor(process.Config{
		Name: name, Log: g.cfg.Log, Pause: 200 * time.Millisecond,
		Command: func() (process.Command, error) {
			return process.Command{Cmd: exec.Command(g.cfg.Binary, command...)}, nil
		},
		OnStart: func(int) {
			if g.cfg.OnStart != nil {
				g.cfg.OnStart()
			}
		},
	})
	options := redis.Options{Addr: n.addr, DialTimeout: askTimeout, ReadTimeout: askTimeout, WriteTimeout: askTimeout, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true}
	if n.client = redis.NewClient(&options); watches {
		n.sentinel = redis.NewSentinelClient(&options)
	}
	g.nodes = append(g.nodes, n)
	g.run.Go(func() { n.proc.Run(ctx) })
	return n, nil
}

// lines makes a configuration of flags and their values, a line for each.
func lines(flags []string) string {
	var b strings.Builder
	for i := 0; i+1 < len(flags); i += 2 {
		value := flags[i+1]
		if value == "" {
			value = `""`
		}
		fmt.Fprintf(&b, "%s %s\n", strings.TrimPrefix(flags[i], "--"), value)
	}
	return b.String()
}

// watch starts the Sentinels.
func (g *Group) watch(ctx context.Context, primary string) error {
	host, port, _ := strings.Cut(primary, ":")
	for i := range sentinels {
		_, err := g.start(ctx, fmt.Sprintf("sentinel-%d", i+1), []string{
			"--sentinel monitor", strings.Join([]string{master, host, port, strconv.Itoa(sentinels/2 + 1)}, " "),
			"--sentinel down-after-milliseconds", fmt.Sprintf("%s %d", master, downAfter.Milliseconds()),
			"--sentinel failover-timeout", master + " 3000",
			"--sentinel parallel-syncs", master + " 1",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// meet makes a cluster of the servers: the first half takes the slots, the others are replicas.
func (g *Group) meet(ctx context.Context) error {
	ids := make([]string, len(g.nodes))
	for i, n := range g.nodes {
		err := await(ctx, func(ctx context.Context) (err error) {
			ids[i], err = n.client.ClusterMyID(ctx).Result()
			return err
		})
		if err != nil {
			return fmt.Errorf("%s does not answer: %w", n.name, err)
		}
	}
	primaries := len(g.nodes) / 2
	for i, n := range g.nodes {
		if i < primaries {
			if err := n.client.ClusterAddSlotsRange(ctx, slots*i/primaries, slots*(i+1)/primaries-1).Err(); err != nil {
				return fmt.Errorf("give slots to %s: %w", n.name, err)
			}
		}
		for _, other := range g.nodes[:i] {
			host, port, _ := strings.Cut(other.addr, ":")
			bus, err := other.client.ConfigGet(ctx, "cluster-port").Result()
			if err != nil {
				return fmt.Errorf("ask %s for its port: %w", other.name, err)
			}
			if err := n.client.Do(ctx, "cluster", "meet", host, port, bus["cluster-port"]).Err(); err != nil {
				return fmt.Errorf("%s meets %s: %w", n.name, other.name, err)
			}
		}
	}
	for i, n := range g.nodes[primaries:] {
		err := await(ctx, func(ctx context.Context) error { return n.client.ClusterReplicate(ctx, ids[i]).Err() }) // once it knows of it
		if err != nil {
			return fmt.Errorf("%s replicates %s: %w", n.name, g.nodes[i].name, err)
		}
	}
	return nil
}

func await(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if retry.Sleep(ctx, look) != nil {
			return err
		}
	}
}

// Address is that of the group, as cache.RedisConfig takes it.
func (g *Group) Address() string {
	var addrs []string
	for _, n := range g.nodes {
		if g.cfg.Kind == Cluster || n.sentinel != nil {
			addrs = append(addrs, n.addr)
		}
	}
	if g.cfg.Kind == Cluster {
		return "redis+cluster://" + strings.Join(addrs, ",")
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/" + master
}

// AwaitWhole waits until each server does what is its part: a primary with all its replicas in
// touch, and everyone who watches knows of all.
func (g *Group) AwaitWhole(ctx context.Context) error {
	err := await(ctx, func(ctx context.Context) error {
		if g.cfg.Kind == Cluster {
			return g.clusterWhole(ctx)
		}
		return g.sentinelWhole(ctx)
	})
	if err != nil {
		return fmt.Errorf("the Redis are not whole: %w", err)
	}
	return nil
}

func (g *Group) sentinelWhole(ctx context.Context) error {
	for _, n := range g.nodes[g.servers():] {
		answer, err := n.client.Do(ctx, "sentinel", "ckquorum", master).Text()
		if err != nil {
			return err
		}
		if !strings.HasPrefix(answer, fmt.Sprintf("OK %d usable", sentinels)) {
			return fmt.Errorf("%s says %s", n.name, answer)
		}
		state, err := n.sentinel.Master(ctx, master).Result()
		if err != nil {
			return err
		}
		if state["flags"] != "master" || state["num-slaves"] != strconv.Itoa(g.servers()-1) {
			return fmt.Errorf("%s says that the primary is %s with %s replicas", n.name, state["flags"], state["num-slaves"])
		}
	}
	primaries, err := g.Primaries(ctx)
	if err != nil {
		return err
	}
	for _, n := range g.nodes[:g.servers()] {
		if err := n.plays(ctx, slices.Contains(primaries, n.name), g.servers()-1); err != nil {
			return err
		}
	}
	return nil
}

// plays fails unless a server is a primary with so many replicas, or a replica in touch with its
// primary.
func (n *node) plays(ctx context.Context, primary bool, replicas int) error {
	info, err := n.client.Info(ctx, "replication").Result()
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	want := []string{"role:slave", "master_link_status:up"}
	if primary {
		want = []string{"role:master", fmt.Sprintf("connected_slaves:%d", replicas)}
	}
	for _, line := range want {
		if !strings.Contains(info, line+"\r\n") {
			return fmt.Errorf("%s is not %s yet", n.name, line)
		}
	}
	return nil
}

func (g *Group) clusterWhole(ctx context.Context) error {
	for _, n := range g.nodes {
		info, err := n.client.ClusterInfo(ctx).Result()
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		for _, want := range []string{"cluster_state:ok", fmt.Sprintf("cluster_slots_ok:%d", slots), fmt.Sprintf("cluster_known_nodes:%d", len(g.nodes))} {
			if !strings.Contains(info, want+"\r\n") {
				return fmt.Errorf("%s is not %s yet", n.name, want)
			}
		}
		role, err := n.client.Info(ctx, "replication").Result()
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		if !strings.Contains(role, "role:master\r\n") && !strings.Contains(role, "master_link_status:up\r\n") {
			return fmt.Errorf("%s is not in touch with its primary yet", n.name)
		}
	}
	return nil
}

// Primaries are the names of the servers that take writes: the one of whom the Sentinels say so, or
// those that have slots of a cluster, as its servers that answer say.
func (g *Group) Primaries(ctx context.Context) (names []string, err error) {
	for _, n := range g.nodes {
		var addrs []string
		switch {
		case g.cfg.Kind == Cluster:
			var owners []owner
			if owners, err = n.owners(ctx); err != nil {
				continue
			}
			for _, o := range owners {
				addrs = append(addrs, o.addr)
			}
		case n.sentinel != nil:
			var at []string
			if at, err = n.sentinel.GetMasterAddrByName(ctx, master).Result(); err != nil {
				continue
			}
			addrs = []string{strings.Join(at, ":")}
		default:
			continue
		}
		for _, n := range g.nodes {
			if slices.Contains(addrs, n.addr) {
				names = append(names, n.name)
			}
		}
		return names, nil
	}
	return nil, err
}

// AwaitPrimaries waits until other servers have the place of one that was a primary, and returns
// all that are.
func (g *Group) AwaitPrimaries(ctx context.Context, was string) (now []string, err error) {
	err = await(ctx, func(ctx context.Context) error {
		if now, err = g.Primaries(ctx); err != nil {
			return err
		}
		if len(now) == 0 || slices.Contains(now, was) {
			return fmt.Errorf("%s is a primary still", was)
		}
		return nil
	})
	return now, err
}

// owner is a primary of a cluster and its slots.
type owner struct {
	id, addr string
	slots    []int
}

// owners are those of which a server of a cluster knows.
func (n *node) owners(ctx context.Context) ([]owner, error) {
	shards, err := n.client.ClusterShards(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	var out []owner
	for _, shard := range shards {
		for _, m := range shard.Nodes {
			if m.Role != "master" || len(shard.Slots) == 0 {
				continue
			}
			o := owner{id: m.ID, addr: net.JoinHostPort(m.IP, strconv.FormatInt(m.Port, 10))}
			for _, r := range shard.Slots {
				for slot := r.Start; slot <= r.End; slot++ {
					o.slots = append(o.slots, int(slot))
				}
			}
			out = append(out, o)
		}
	}
	return out, nil
}

// Reshard moves slots of a cluster, with their keys, from the primary that has most to the one that
// has fewest, and returns from where to where.
func (g *Group) Reshard(ctx context.Context, count int) (from, to string, err error) {
	list, err := g.nodes[0].owners(ctx)
	if err != nil {
		return "", "", err
	}
	owners := map[string]owner{} // by address
	for _, o := range list {
		owners[o.addr] = o
	}
	var source, target *node
	for _, n := range g.nodes {
		o, ok := owners[n.addr]
		if !ok {
			continue
		}
		if source == nil || len(o.slots) > len(owners[source.addr].slots) {
			source = n
		}
		if target == nil || len(o.slots) <= len(owners[target.addr].slots) {
			target = n
		}
	}
	if source == nil || source == target {
		return "", "", errors.New("the cluster has not two primaries")
	}
	host, port, _ := strings.Cut(target.addr, ":")
	moving := owners[source.addr].slots
	for _, slot := range moving[:min(count, len(moving))] {
		// Redis cluster specification, "Live reshard".
		err := errors.Join(
			target.client.Do(ctx, "cluster", "setslot", slot, "importing", owners[source.addr].id).Err(),
			source.client.Do(ctx, "cluster", "setslot", slot, "migrating", owners[target.addr].id).Err(),
		)
		for err == nil {
			var keys []string
			if keys, err = source.client.ClusterGetKeysInSlot(ctx, slot, 100).Result(); err != nil || len(keys) == 0 {
				break
			}
			move := []any{"migrate", host, port, "", 0, askTimeout.Milliseconds(), "replace", "keys"}
			for _, key := range keys {
				move = append(move, key)
			}
			err = source.client.Do(ctx, move...).Err()
		}
		if err == nil {
			err = target.client.Do(ctx, "cluster", "setslot", slot, "node", owners[target.addr].id).Err()
		}
		if err == nil {
			err = source.client.Do(ctx, "cluster", "setslot", slot, "node", owners[target.addr].id).Err()
		}
		if err != nil {
			return "", "", fmt.Errorf("move slot %d from %s to %s: %w", slot, source.name, target.name, err)
		}
	}
	return source.name, target.name, nil
}

// Process is what keeps a server or a Sentinel running; nil for a name that is none.
func (g *Group) Process(name string) *process.Supervisor {
	if i := slices.IndexFunc(g.nodes, func(n *node) bool { return n.name == name }); i >= 0 {
		return g.nodes[i].proc
	}
	return nil
}

// PIDs are the process ids of all, by name.
func (g *Group) PIDs() map[string]int {
	pids := map[string]int{}
	for _, n := range g.nodes {
		pids[n.name] = n.proc.PID()
	}
	return pids
}

// Close ends all processes.
func (g *Group) Close() {
	g.stop()
	g.run.Wait()
	for _, n := range g.nodes {
		_ = n.client.Close()
		if n.sentinel != nil {
			_ = n.sentinel.Close()
		}
	}
}
