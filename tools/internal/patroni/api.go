//go:build unix

package patroni

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// Roles of members, as Patroni names them.
const (
	leader      = "leader"
	syncStandby = "sync_standby"
	replica     = "replica"
)

// Member is a node as the cluster sees it.
type Member struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	State    string `json:"state"`
	Timeline int    `json:"timeline"`
}

func (m Member) String() string { return fmt.Sprintf("%s %s %s", m.Name, m.Role, m.State) }

// Status is how the nodes see the cluster: a primary that is lost is in it until its key in
// etcd expires.
func (c *Cluster) Status(ctx context.Context) ([]Member, error) {
	var failed error
	for _, node := range Nodes {
		var status struct {
			Members []Member `json:"members"`
		}
		err := c.ask(ctx, http.MethodGet, node, "/cluster", nil, &status)
		if err == nil {
			return status.Members, nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", node, err))
	}
	return nil, failed
}

// configure gives the nodes the configuration of a cluster that runs.
func (c *Cluster) configure(ctx context.Context) error {
	return c.askAny(ctx, http.MethodPatch, "/config", c.dynamic(cmp.Or(c.opts.loopWait, loopWait)))
}

func (c *Cluster) askAny(ctx context.Context, method, path string, body any) error {
	var failed error
	for _, node := range Nodes {
		err := c.ask(ctx, method, node, path, body, nil)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", node, err))
	}
	return failed
}

// ask asks the Patroni of a node.
func (c *Cluster) ask(ctx context.Context, method, node, path string, body, answer any) error {
	var sent io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.own(node+"-api")+path, sent)
	if err != nil {
		return err
	}
	req.SetBasicAuth(scope, c.state.Passwords["api"])
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(b)))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(b, answer)
}

// Primary is the node that the others take for the primary.
func (c *Cluster) Primary(ctx context.Context) (string, error) { return c.withRole(ctx, leader) }

// Standby is the node that has all that is acknowledged, beside the primary; any other one of an
// Asynchronous cluster.
func (c *Cluster) Standby(ctx context.Context) (string, error) {
	if c.opts.Asynchronous {
		return c.withRole(ctx, replica)
	}
	return c.withRole(ctx, syncStandby)
}

func (c *Cluster) withRole(ctx context.Context, role string) (string, error) {
	members, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range members {
		if m.Role == role {
			return m.Name, nil
		}
	}
	return "", fmt.Errorf("no node is %s: %v", role, members)
}

// Switchover makes the synchronous standby the primary, in good order.
func (c *Cluster) Switchover(ctx context.Context) (from, to string, err error) {
	if from, err = c.Primary(ctx); err != nil {
		return "", "", err
	}
	if to, err = c.Standby(ctx); err != nil {
		return "", "", err
	}
	// Patroni answers when the candidate is the primary: longer than other questions take.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	patient := *c
	patient.http = &http.Client{}
	return from, to, patient.ask(ctx, http.MethodPost, from, "/switchover", object{"leader": from, "candidate": to}, nil)
}

// AwaitPrimary returns the node that takes writes, as soon as it is not the one that is named.
func (c *Cluster) AwaitPrimary(ctx context.Context, not string) (node string, err error) {
	others := slices.DeleteFunc(slices.Clone(Nodes), func(name string) bool { return name == not })
	err = retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 20 * time.Millisecond, Max: 50 * time.Millisecond}}, func(ctx context.Context) error {
		var failed error
		for _, name := range others {
			err := c.isPrimary(ctx, name)
			if err == nil {
				node = name
				return nil
			}
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
		}
		return failed
	})
	return node, err
}

func (c *Cluster) isPrimary(ctx context.Context, node string) error {
	var recovers bool
	if err := c.one(ctx, node, "SELECT pg_is_in_recovery()", &recovers); err != nil {
		return err
	}
	if recovers {
		return errors.New("is a standby")
	}
	return nil
}

// AwaitReplay returns when the standbys have replayed what the primary has now.
func (c *Cluster) AwaitReplay(ctx context.Context) error {
	primary, err := c.Primary(ctx)
	if err != nil {
		return err
	}
	var at string
	if err := c.one(ctx, primary, "SELECT pg_current_wal_lsn()::text", &at); err != nil {
		return err
	}
	for _, node := range Nodes {
		if node == primary {
			continue
		}
		err := retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 20 * time.Millisecond, Max: 100 * time.Millisecond}}, func(ctx context.Context) error {
			var replayed bool
			err := c.one(ctx, node, "SELECT coalesce(pg_last_wal_replay_lsn() >= '"+at+"', false)", &replayed)
			if err == nil && !replayed {
				err = errors.New("has not replayed all yet")
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", node, err)
		}
	}
	return nil
}

// one asks a node for one value.
func (c *Cluster) one(ctx context.Context, node, sql string, value any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.NodeDSN(node, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, sql).Scan(value)
}

// Kill ends a node or an etcd at once, with all its processes, and leaves it dead until Revive.
func (c *Cluster) Kill(name string) error { return c.parts[name].kill() }

// Revive starts what Kill has ended.
func (c *Cluster) Revive(name string) { c.parts[name].up() }

// Freeze stops all processes of a node, until Thaw.
func (c *Cluster) Freeze(name string) error { return c.parts[name].signal(syscall.SIGSTOP) }

// Thaw has a node go on that is frozen.
func (c *Cluster) Thaw(name string) error { return c.parts[name].signal(syscall.SIGCONT) }

// PID is the process id of a node's Patroni, or of an etcd; 0 while it has none.
func (c *Cluster) PID(name string) int { return c.parts[name].pid() }

// FreezeSenders stops the processes of a primary that send its log to the standbys: what is
// committed then is on one disk alone. They end with their server.
func (c *Cluster) FreezeSenders(ctx context.Context, node string) (int, error) {
	conn, err := pgx.Connect(ctx, c.NodeDSN(node, "postgres"))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT pid FROM pg_stat_replication")
	if err != nil {
		return 0, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return 0, fmt.Errorf("freeze a sender: %w", err)
		}
	}
	return len(pids), nil
}
