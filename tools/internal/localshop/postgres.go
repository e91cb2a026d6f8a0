package localshop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// settings suit a shop with a few busy services on a small machine. Every commit
// is on disk before it is acknowledged.
var settings = map[string]string{
	"fsync":              "on",
	"synchronous_commit": "on",
	"shared_buffers":     "128MB",
	"wal_buffers":        "16MB",
	"max_wal_size":       "2GB",
	"max_connections":    "100",
	// An order changes its rows a few times within a second: dead versions are
	// better removed early.
	"autovacuum_naptime": "20s",
}

// Postgres is the database server of a data folder. While it is not stopped it
// is started again, on the same port, whatever ends it.
type Postgres struct {
	opts      pgserver.Options
	passwords map[string]string // by role
	databases []string
	log       *slog.Logger
	port      int
	folder    *folder // only of StartPostgres

	mu       sync.Mutex
	server   *pgserver.Server
	stopping bool
	stop     context.CancelFunc // of watch
	watched  chan struct{}      // closed when watch has ended

	// onRestart is called after each start but the first; may be nil.
	onRestart func()
}

// StartPostgres starts the database server of a data folder alone, without the
// shop. It refuses while a shop runs on it.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	f, err := openFolder(dir, false)
	if err != nil {
		return nil, err
	}
	p, err := f.startPostgres(ctx)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	p.folder = f
	return p, nil
}

func (f *folder) startPostgres(ctx context.Context) (*Postgres, error) {
	if err := f.checkWhole(); err != nil {
		return nil, err
	}
	cells, err := f.cells()
	if err != nil {
		return nil, err
	}
	databases := topology.DatabasesOf(topology.InCells(topology.Processes(), cells))
	sec, err := f.secrets(databases)
	if err != nil {
		return nil, err
	}
	if err := f.checkKind(""); err != nil {
		return nil, err
	}
	opts := pgserver.Options{Dir: f.join("postgres")}
	kept, err := f.readBackups()
	if err != nil {
		return nil, err
	}
	if opts.Settings, err = kept.settings(opts.Dir); err != nil {
		return nil, err
	}
	return startPostgres(ctx, &Postgres{passwords: sec.Postgres, databases: databases, log: slog.New(slog.DiscardHandler)}, opts)
}

// startPostgres starts the server of p, which has its passwords, log and onRestart, with
// the settings of a shop and those of opts.
func startPostgres(ctx context.Context, p *Postgres, opts pgserver.Options) (*Postgres, error) {
	more := opts.Settings
	opts.Settings, opts.Log = maps.Clone(settings), p.log
	if opts.Disposable {
		opts.Settings = map[string]string{"max_connections": "100"}
	}
	maps.Copy(opts.Settings, more)
	server, err := pgserver.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	p.opts, p.port, p.server, p.watched = opts, server.Port(), server, make(chan struct{})
	if opts.Primary == nil { // a standby has what its primary has
		if err := ensureDatabases(ctx, server.SuperuserDSN, p.databases, p.passwords); err != nil {
			return nil, errors.Join(err, server.Stop(ctx))
		}
	}
	watching, stop := context.WithCancel(context.Background())
	p.stop = stop
	go p.watch(watching) //nolint:gosec // until the server is stopped, which is not when its start ends
	return p, nil
}

// ensureDatabases makes databases and their roles, which have these passwords, on a server
// that the superuser reaches by what dsn returns for a database.
func ensureDatabases(ctx context.Context, dsn func(database string) string, databases []string, passwords map[string]string) error {
	var defaults pg.Config
	if err := config.SetDefaults(&defaults); err != nil {
		return err
	}
	limits := pg.RoleSettings(defaults)
	role := func(name string) pgserver.Role { return pgserver.Role{Name: name, Password: passwords[name]} }
	g, making := errgroup.WithContext(ctx)
	for _, name := range databases {
		g.Go(func() error {
			return pgserver.EnsureDatabase(making, dsn, pgserver.Database{
				Name: name, Owner: role(name), Runtime: role(topology.RuntimeRole(name)), Settings: limits,
			})
		})
	}
	g.Go(func() error { return private(making, dsn("postgres")) })
	if err := g.Wait(); err != nil {
		return err
	}
	return letMove(ctx, dsn("postgres"), databases)
}

// letMove lets the owners of cells' databases copy rows as they are, past triggers and foreign keys:
// those of buckets that move.
func letMove(ctx context.Context, dsn string, databases []string) error {
	var owners []string
	for _, name := range databases {
		if !slices.Contains(topology.Databases(), name) {
			owners = append(owners, pgx.Identifier{name}.Sanitize())
		}
	}
	if len(owners) == 0 {
		return nil
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "GRANT SET ON PARAMETER session_replication_role TO "+strings.Join(owners, ", "))
	return errors.Join(err, conn.Close(ctx))
}

// private keeps the roles out of the databases that every role may connect to by
// default.
func private(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
	return errors.Join(err, conn.Close(ctx))
}

// watch starts the server again when it has ended by itself.
func (p *Postgres) watch(watching context.Context) {
	defer close(p.watched)
	for {
		p.mu.Lock()
		server := p.server
		p.mu.Unlock()
		<-server.Done()
		p.mu.Lock()
		if p.stopping {
			p.mu.Unlock()
			return
		}
		if p.server != server { // it was restarted
			p.mu.Unlock()
			continue
		}
		p.log.ErrorContext(watching, "postgres has ended, starting it again")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_ = server.Stop(ctx) // it has ended: this gives its lock back
		err := p.startAgain(ctx)
		p.mu.Unlock()
		cancel()
		if err == nil {
			p.restarted()
			continue
		}
		p.log.ErrorContext(watching, "postgres did not start again", "error", err)
		_ = retry.Sleep(watching, time.Second) // the next round sees that it ended
	}
}

// startAgain starts the server on the port it had, under the lock.
func (p *Postgres) startAgain(ctx context.Context) error {
	opts := p.opts
	opts.Port = p.port
	next, err := pgserver.Start(ctx, opts)
	if err == nil {
		p.server = next
	}
	return err
}

func (p *Postgres) restarted() {
	if p.onRestart != nil {
		p.onRestart()
	}
}

// restart shuts the server down in good order, which ends its connections, and
// starts it again. A start that fails is tried again in the background.
func (p *Postgres) restart(ctx context.Context) error {
	p.mu.Lock()
	if p.stopping {
		p.mu.Unlock()
		return errors.New("postgres is stopping")
	}
	err := p.server.Stop(ctx)
	if err == nil {
		err = p.startAgain(ctx)
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("restart postgres: %w", err)
	}
	p.restarted()
	return nil
}

// replay has a standby replay its primary's log, or stop to.
func (p *Postgres) replay(ctx context.Context, goesOn bool) error {
	p.mu.Lock()
	dsn := p.server.SuperuserDSN("postgres")
	p.mu.Unlock()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	call := "SELECT pg_wal_replay_pause()"
	if goesOn {
		call = "SELECT pg_wal_replay_resume()"
	}
	_, err = conn.Exec(ctx, call)
	return errors.Join(err, conn.Close(ctx))
}

// signal sends a signal to the server.
func (p *Postgres) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server.Signal(sig)
}

// DSNs has the connection string of each service's database, for the role that owns it.
func (p *Postgres) DSNs() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]string{}
	for _, name := range p.databases {
		out[name] = p.server.DSN(name, name, p.passwords[name])
	}
	return out
}

// addr is where the server listens.
func (p *Postgres) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// PID is the server's process id.
func (p *Postgres) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server.Pid()
}

// Stop shuts the server down.
func (p *Postgres) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopping = true
	p.stop()
	err := p.server.Stop(ctx)
	p.mu.Unlock()
	<-p.watched
	if err != nil {
		err = fmt.Errorf("stop postgres: %w", err)
	}
	if p.folder != nil {
		err = errors.Join(err, p.folder.close())
	}
	return err
}
