//go:build unix

package patroni

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
)

// arrange makes the folders and the configuration of all parts.
func (c *Cluster) arrange() error {
	for _, name := range slices.Concat(Nodes, Members) {
		if err := os.MkdirAll(c.dir(name), 0o700); err != nil {
			return err
		}
		if err := c.as.Own(c.dir(name)); err != nil {
			return err
		}
	}
	for _, name := range Members {
		c.parts[name] = &part{name: name, dir: c.opts.Dir, log: c.log, mark: c.dir(name), command: func() *exec.Cmd { return c.etcd(name) }}
	}
	for _, name := range Nodes {
		var err error
		if c.peers[name], err = c.route("", name, c.own(name)); err != nil {
			return err
		}
	}
	for _, name := range Nodes {
		path := filepath.Join(c.dir(name), "patroni.yml")
		if err := c.writeNode(name, path); err != nil {
			return err
		}
		c.parts[name] = &part{name: name, dir: c.opts.Dir, data: c.Data(name), log: c.log, mark: path, command: func() *exec.Cmd {
			cmd := exec.Command("patroni", path)
			c.as.Prepare(cmd)
			return cmd
		}}
	}
	return nil
}

// route is Options.Route.
func (c *Cluster) route(from, to, addr string) (string, error) {
	if c.opts.Route == nil {
		return addr, nil
	}
	return c.opts.Route(from, to, addr)
}

// etcd is the command of a member.
func (c *Cluster) etcd(name string) *exec.Cmd {
	var all []string
	for _, member := range Members {
		all = append(all, member+"=http://"+c.own(member+"-peer"))
	}
	client, peer := "http://"+c.own(name), "http://"+c.own(name+"-peer")
	cmd := exec.Command("etcd", "--name", name, "--data-dir", c.dir(name),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", strings.Join(all, ","), "--initial-cluster-token", scope, "--initial-cluster-state", "new",
		// A laptop that is busy makes members late, not lost.
		"--enable-v2", "--heartbeat-interval", "250", "--election-timeout", "2500",
		"--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1h",
		"--logger", "zap", "--log-outputs", "stderr")
	c.as.Prepare(cmd)
	return cmd
}

type object = map[string]any

// dynamic is the configuration that all nodes share, in etcd.
func (c *Cluster) dynamic(wait int) object {
	settings := pgserver.Replicated()
	if c.opts.Disposable {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	maps.Copy(settings, c.opts.Settings)
	for _, name := range []string{"listen_addresses", "cluster_name"} { // Patroni sets them
		delete(settings, name)
	}
	lag := 1 << 20 // Patroni's default
	if c.opts.Asynchronous {
		lag = maxAsynchronousLag
	}
	return object{
		"ttl": ttl, "loop_wait": wait, "retry_timeout": retryTimeout,
		"maximum_lag_on_failover": lag,
		// A primary whose postmaster has died is replaced, and not waited for while it recovers.
		"master_start_timeout": 0, "primary_start_timeout": 0,
		// Not strict: a new primary has no standby before the third node has gone back to where
		// they parted, which takes 20 s on a busy machine. It does not wait for it, and no other node is
		// promoted before.
		"synchronous_mode": !c.opts.Asynchronous, "synchronous_mode_strict": false, "synchronous_node_count": 1,
		"postgresql": object{
			// A primary of before, which has what no other has, goes back to where they parted.
			"use_pg_rewind": true, "remove_data_directory_on_rewind_failure": true, "remove_data_directory_on_diverged_timelines": true,
			"use_slots": true, "parameters": settings,
		},
	}
}

// writeNode writes the configuration of a node's Patroni: JSON, which is YAML.
func (c *Cluster) writeNode(name, path string) error {
	var etcds []string
	for _, member := range Members {
		addr, err := c.route(name, member, c.own(member))
		if err != nil {
			return err
		}
		etcds = append(etcds, addr)
	}
	own := map[string]string{}
	if c.opts.NodeSettings != nil {
		var err error
		if own, err = c.opts.NodeSettings(c.dir(name)); err != nil {
			return err
		}
	}
	role := func(name string) object { return object{"username": name, "password": c.state.Passwords[name]} }
	hba := []string{
		"host all all 127.0.0.1/32 scram-sha-256", //nolint:dupword // databases and users
		"host replication " + replicator + " 127.0.0.1/32 scram-sha-256",
	}
	b, err := json.MarshalIndent(object{
		"scope": scope, "name": name,
		"restapi": object{
			"listen": c.own(name + "-api"), "connect_address": c.own(name + "-api"),
			"authentication": object{"username": scope, "password": c.state.Passwords["api"]},
		},
		// Version 2 of etcd's API, by which a primary renews its key only if it has it still (prevValue).
		// With version 3 Patroni 3.0 writes it anew, and a primary that was frozen for longer than
		// ttl takes it from the next one, with what that has acknowledged.
		// With use_proxies the members are asked at these addresses, not at those that they advertise.
		"etcd": object{"hosts": etcds, "use_proxies": true},
		"bootstrap": object{
			"dcs":    c.dynamic(bootstrapWait),
			"initdb": []any{object{"encoding": "UTF8"}, object{"locale": "C"}, object{"auth-host": "scram-sha-256"}, object{"auth-local": "scram-sha-256"}, "data-checksums"},
		},
		"postgresql": object{
			"listen": c.own(name), "connect_address": c.peers[name],
			"data_dir": c.Data(name), "bin_dir": c.programs, "pgpass": filepath.Join(c.dir(name), "pgpass"),
			"authentication": object{"superuser": role(superuser), "replication": role(replicator)},
			"pg_hba":         hba, "parameters": own,
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return c.as.Own(path)
}
