package localshop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/tools/internal/patroni"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// HAPostgres as Options.Postgres is three PostgreSQL under Patroni.
const HAPostgres = "ha"

// haName is the folder of its data.
const haName = "ha"

// cluster is PostgreSQL under Patroni: one cluster has the databases of all services.
type cluster struct {
	*patroni.Cluster
	passwords map[string]string // by role
}

// checkPostgres refuses what Options.Postgres does not know.
func checkPostgres(kind string) error {
	if kind == "" || kind == HAPostgres {
		return nil
	}
	return fmt.Errorf("postgres %q: it is %q or, for one server, empty", kind, HAPostgres)
}

// checkKind refuses a folder whose data is of the other kind of PostgreSQL: a shop that starts
// beside its data would seem to have lost it.
func (f *folder) checkKind(kind string) error {
	other, is := f.join(haName), "three PostgreSQL (--postgres ha)"
	if kind == HAPostgres {
		other, is = f.join("postgres"), "one PostgreSQL"
	}
	if _, err := os.Stat(other); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return fmt.Errorf("the data in %s is that of %s: start the shop so, or choose another folder, or empty it (--fresh)", f.path, is)
}

// startCluster starts the cluster, with the databases of all services.
func (s *Shop) startCluster(ctx context.Context) (_ *cluster, err error) {
	c := &cluster{passwords: s.secrets.Postgres}
	c.Cluster, err = patroni.Start(ctx, patroni.Options{
		Dir: s.folder.join(haName), Settings: settings, Log: s.log, Disposable: s.opts.Disposable, Asynchronous: s.opts.Asynchronous, Route: s.opts.Route,
		NodeSettings: s.backups.settings,
	})
	if err != nil {
		return nil, err
	}
	primary, err := c.Primary(ctx)
	if err != nil {
		return c, err
	}
	dsn := func(database string) string { return c.NodeDSN(primary, database) }
	if err := ensureDatabases(ctx, dsn, topology.Databases(), c.passwords); err != nil {
		return c, err
	}
	if err := readTimelines(ctx, dsn("postgres")); err != nil {
		return c, err
	}
	// A standby that does not know a database yet refuses, and no further server is asked then.
	return c, c.AwaitReplay(ctx)
}

// readTimelines lets the services see which timeline a standby follows: without, they are told at
// its next restart point, and the primary answers all after a failover until then.
func readTimelines(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, name := range topology.Databases() {
		if _, err := conn.Exec(ctx, "GRANT pg_read_all_stats TO "+pgx.Identifier{topology.RuntimeRole(name)}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

// dsn is the connection string of a database for a role, on the servers at addrs.
func (c *cluster) dsn(database, role, addrs string, standby bool) string {
	attributes := "read-write"
	if standby {
		attributes = "standby"
	}
	return patroni.DSN(strings.Split(addrs, ","), database, role, c.passwords[role], attributes)
}

// addrs is where the nodes listen, and how Route leads to them from a part where it is not nil.
func (c *cluster) addrs(from string, route func(from, to, addr string) (string, error)) (string, error) {
	var out []string
	for _, node := range patroni.Nodes {
		addr := c.Addr(node)
		if route != nil {
			var err error
			if addr, err = route(from, node, addr); err != nil {
				return "", fmt.Errorf("route from %s to %s: %w", from, node, err)
			}
		}
		out = append(out, addr)
	}
	return strings.Join(out, ","), nil
}

// DSNs has the connection string of each service's database, for the role that owns it.
func (c *cluster) DSNs() map[string]string {
	addrs, err := c.addrs("", nil)
	if err != nil {
		panic(err) // there is no route that could fail
	}
	out := map[string]string{}
	for _, name := range topology.Databases() {
		out[name] = c.dsn(name, name, addrs, false)
	}
	return out
}

// ready asks whether the cluster answers: its primary, or a standby.
func (c *cluster) ready(ctx context.Context, standby bool) error {
	name := topology.Databases()[0]
	addrs, err := c.addrs("", nil)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, c.dsn(name, name, addrs, standby))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// pids are the process ids of the cluster's programs.
func (c *cluster) pids() map[string]int {
	out := map[string]int{}
	for _, node := range patroni.Nodes {
		if pids, err := pgserver.Processes(c.Data(node)); err == nil && len(pids) > 0 {
			out[node] = pids[0]
		}
		out["patroni of "+node] = c.PID(node)
	}
	for _, member := range patroni.Members {
		out[member] = c.PID(member)
	}
	return out
}

// Cluster is PostgreSQL under Patroni; nil unless Options.Postgres asks for it.
func (s *Shop) Cluster() *patroni.Cluster {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.Cluster
}
