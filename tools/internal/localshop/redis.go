package localshop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/tools/internal/redisgroup"
)

// redisMemory bounds what Redis keeps; what was not asked for longest goes.
const redisMemory = "64mb"

// Kinds of Redis, for Options.Redis.
const (
	// OneRedis is a server.
	OneRedis = "server"
	// SentinelRedis is a server with two replicas, watched by three Sentinels.
	SentinelRedis = string(redisgroup.Sentinel)
	// ClusterRedis is three servers with a replica each.
	ClusterRedis = string(redisgroup.Cluster)
)

// redis is the shop's cache: servers of its own that keep nothing on disk.
type redis struct {
	addr  string
	group *redisgroup.Group    // set when there are several
	inner *miniredis.Miniredis // set when there is no redis-server
	proc  *process.Supervisor
	stop  context.CancelFunc
	done  chan struct{}
}

// startRedis starts redis-server or valkey-server from PATH, else a small one
// inside this process. It does not wait until it answers: the shop can do
// without.
func startRedis(f *folder, log *slog.Logger, onStart func(), note func(string)) (*redis, error) {
	binary, err := redisgroup.Find()
	if err != nil {
		inner, err := miniredis.Run()
		if err != nil {
			return nil, err
		}
		note("no redis-server or valkey-server on PATH: a small one inside this process, at " + inner.Addr())
		return &redis{addr: inner.Addr(), inner: inner}, nil
	}
	dir := f.join("redis")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := endLeftover(filepath.Join(dir, "pid")); err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &redis{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), stop: stop, done: make(chan struct{})}
	command := func() (process.Command, error) {
		return process.Command{Cmd: exec.Command(binary,
			"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--protected-mode", "yes",
			"--save", "", "--appendonly", "no", "--maxmemory", redisMemory, "--maxmemory-policy", "allkeys-lru",
			"--dir", dir, "--pidfile", filepath.Join(dir, "pid"), "--logfile", f.join("logs", "redis.log"),
			"--loglevel", "warning", "--daemonize", "no",
		)}, nil
	}
	started := func(pid int) {
		// Redis itself writes its pid only as a daemon.
		if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
			log.Warn("process id of redis not written", "error", err)
		}
		onStart()
	}
	r.proc = process.NewSupervisor(process.Config{Name: "redis", Log: log, Command: command, OnStart: started})
	go func() {
		defer close(r.done)
		r.proc.Run(ctx)
	}()
	return r, nil
}

// startRedisGroup starts several Redis and waits until they know of each other.
func startRedisGroup(ctx context.Context, f *folder, log *slog.Logger, onStart func(), kind redisgroup.Kind) (*redis, error) {
	g, err := redisgroup.Start(ctx, redisgroup.Config{Dir: f.join("redis"), Kind: kind, Memory: redisMemory, Log: log, OnStart: onStart})
	if err != nil {
		return nil, err
	}
	return &redis{group: g}, nil
}

// RedisGroup is what there is with SentinelRedis or ClusterRedis; nil otherwise.
func (s *Shop) RedisGroup() *redisgroup.Group {
	if s.redis == nil {
		return nil
	}
	return s.redis.group
}

// endLeftover ends the Redis of a shop that was killed, where the system did
// not.
func endLeftover(pidFile string) error {
	b, err := os.ReadFile(pidFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 2 {
		return os.Remove(pidFile)
	}
	// The process id may be another program's by now.
	name, err := process.Name(pid)
	if err == nil && (strings.HasPrefix(name, "redis-server") || strings.HasPrefix(name, "valkey-server")) {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the redis of an earlier run, process id %d: %w", pid, err)
		}
	}
	return os.Remove(pidFile)
}

// ready waits a moment until Redis takes connections.
func (r *redis) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	err := poll(ctx, 5*time.Millisecond, func(ctx context.Context) error {
		conn, err := d.DialContext(ctx, "tcp", r.addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return fmt.Errorf("redis at %s does not answer: %w", r.addr, err)
	}
	return nil
}

func (r *redis) close() {
	if r.group != nil {
		r.group.Close()
		return
	}
	if r.inner != nil {
		r.inner.Close()
		return
	}
	r.stop()
	<-r.done
}
