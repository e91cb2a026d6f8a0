package pg

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
)

// servers are those of a pool's DSN: one, or several of which one is to be used. It has the pool
// leave a server that was replaced: whenever a connection is lost it looks which server is
// the one now, and has all connections to another closed, because each of them would cost a caller
// its patience.
type servers struct {
	log     *slog.Logger
	one     bool // that one is to be used, and not any
	pool    atomic.Pointer[pgxpool.Pool]
	looking atomic.Bool
	before  func(context.Context, *pgx.ConnConfig) error // BeforeConnect of the configuration; nil for none
	doubts  *Doubts                                      // nil of a pool that does not write

	mu sync.Mutex
	// first is the server that the next connection is tried with, as an index, and tried since when
	// without an answer, zero after one; last is the one that was connected to, "" before.
	first int
	tried time.Time
	last  string
	names map[string]string // hosts of the DSN by their IP addresses
}

// lookTimeout bounds a look at all servers.
const lookTimeout = 10 * time.Second

// follow has a pool of this configuration follow the servers of its DSN: leave all others for the
// one to be used, if it is one. Its open makes the pool.
func follow(pc *pgxpool.Config, cfg Config, log *slog.Logger, one bool) *servers {
	// Where any server will do (target_session_attrs is not set: several PgBouncers) none is the one.
	s := &servers{log: log, one: one && pc.ConnConfig.ValidateConnect != nil, before: pc.BeforeConnect, names: map[string]string{}}
	pc.ConnConfig.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(&confirming{from: r, found: func() { s.doubts.add("", nil) }}, w)
	}
	if len(hostsOf(pc.ConnConfig)) < 2 {
		return s
	}
	pc.PingTimeout = cfg.ConnectTimeout // of a connection that was idle: its server may have been replaced
	lookup := pc.ConnConfig.LookupFunc
	pc.ConnConfig.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		found, err := lookup(ctx, host)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, ip := range found {
			s.names[ip] = host
		}
		return found, err
	}
	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error { return s.prepare(ctx, cc, false) }
	pc.BeforeClose = func(conn *pgx.Conn) {
		if s.one && conn.IsClosed() && s.looking.CompareAndSwap(false, true) {
			go s.look(pc.ConnConfig.Copy())
		}
	}
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		s.connected(ctx, conn)
		return nil
	}
	return s
}

// open makes the pool.
func (s *servers) open(ctx context.Context, pc *pgxpool.Config) (*pgxpool.Pool, error) {
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	s.pool.Store(pool)
	return pool, err
}

// address is that of one of the servers.
func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// hostsOf returns the ways to connect of a configuration, by server: there may be one with TLS and
// one without.
func hostsOf(cc *pgx.ConnConfig) (hosts [][]*pgconn.FallbackConfig) {
	index := map[string]int{}
	add := func(way *pgconn.FallbackConfig) {
		at := address(way.Host, way.Port)
		i, ok := index[at]
		if !ok {
			i = len(hosts)
			index[at], hosts = i, append(hosts, nil)
		}
		hosts[i] = append(hosts[i], way)
	}
	add(&pgconn.FallbackConfig{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig})
	for _, way := range cc.Fallbacks {
		add(way)
	}
	return hosts
}

// silentFor is after which time without an answer of a server the next connection begins with
// another one.
const silentFor = 100 * time.Millisecond

// order has a connection try first the server that the last one was opened to, or the one after
// it if that one does not answer; a connection to look around begins with another.
func (s *servers) order(cc *pgx.ConnConfig, around bool) {
	hosts := hostsOf(cc)
	s.mu.Lock()
	switch now := time.Now(); {
	case s.tried.IsZero():
		s.tried = now
	case now.Sub(s.tried) > silentFor:
		s.first, s.tried = s.first+1, now
	}
	first := s.first
	s.mu.Unlock()
	if around {
		first++
	}
	var ways []*pgconn.FallbackConfig
	for i := range hosts {
		ways = append(ways, hosts[(first+i)%len(hosts)]...)
	}
	cc.Host, cc.Port, cc.TLSConfig, cc.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, ways[1:]
}

// prepare has a connection read the DSN's files and try the servers in order.
func (s *servers) prepare(ctx context.Context, cc *pgx.ConnConfig, around bool) error {
	if s.before != nil {
		if err := s.before(ctx, cc); err != nil {
			return err
		}
	}
	s.order(cc, around)
	return nil
}

// connect opens a connection that is not the pool's.
func (s *servers) connect(ctx context.Context, cc *pgx.ConnConfig, around bool) (*pgx.Conn, error) {
	if err := s.prepare(ctx, cc, around); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err == nil {
		s.connected(ctx, conn)
	}
	return conn, err
}

// connected notes which server was connected to.
func (s *servers) connected(ctx context.Context, conn *pgx.Conn) {
	to := conn.PgConn().Conn().RemoteAddr().String()
	pool := s.pool.Load()
	s.mu.Lock()
	last := s.last
	s.last, s.tried = to, time.Time{}
	if host, port, err := net.SplitHostPort(to); err == nil && pool != nil {
		if name, ok := s.names[host]; ok {
			host = name
		}
		for i, ways := range hostsOf(pool.Config().ConnConfig) {
			if way := ways[0]; way.Host == host && strconv.Itoa(int(way.Port)) == port {
				s.first = i
			}
		}
	}
	s.mu.Unlock()
	if s.one && pool != nil && last != "" && last != to {
		s.log.WarnContext(ctx, "another PostgreSQL answers: leaving the one before", "server", to, "before", last)
		pool.Reset()
	}
}

// look connects once, to see which server is the one.
func (s *servers) look(cc *pgx.ConnConfig) {
	defer s.looking.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	conn, err := s.connect(ctx, cc, true) // the server whose connection was lost may hang
	if err != nil {
		return // there is no primary now: the next connection that is lost has it looked for again
	}
	_ = conn.Close(ctx)
}
