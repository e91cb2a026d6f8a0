package localshop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/sethvargo/go-envconfig"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// A service process finds its listener, made by its parent, the end of a pipe that
// closes with its parent, and its listener for operators at these file descriptors.
const (
	listenerFD = 3
	lifelineFD = 4
	adminFD    = 5 // of a part that has one
)

// supervise makes the supervisor of a service's process.
func (s *Shop) supervise(part topology.Part) *process.Supervisor {
	life := 0
	p := process.NewSupervisor(process.Config{
		Name: part.Name, Log: s.log, Pause: s.opts.RestartPause,
		Command: func() (process.Command, error) {
			life++
			return s.serviceCommand(part, life)
		},
		OnStart: func(pid int) {
			s.log.Info("process started", "process", part.Name, "pid", pid)
			s.refreshState()
		},
	})
	s.mu.Lock()
	s.processes[part.Name] = p
	s.mu.Unlock()
	return p
}

func (s *Shop) serviceCommand(part topology.Part, life int) (c process.Command, err error) {
	defer func() {
		if err != nil {
			for _, f := range c.Inherited {
				f.Close()
			}
		}
	}()
	argv := slices.Clone(s.opts.Exec)
	if len(argv) == 0 {
		self, err := executable()
		if err != nil {
			return c, err
		}
		argv = []string{self, "service"}
	}
	argv = append(argv, part.Identity())
	log, err := os.OpenFile(s.LogPath(part.Name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return c, err
	}
	c.Inherited = append(c.Inherited, log)
	listener, err := s.listeners[part.Name].(*net.TCPListener).File()
	if err != nil {
		return c, err
	}
	c.Inherited = append(c.Inherited, listener)
	lifeline, hold, err := os.Pipe()
	if err != nil {
		return c, err
	}
	c.Inherited, c.Held = append(c.Inherited, lifeline), []io.Closer{hold}
	c.Cmd = exec.Command(argv[0], argv[1:]...)
	c.Cmd.Stdout, c.Cmd.Stderr = log, log
	c.Cmd.Env = append(os.Environ(), s.environ(part, life)...)
	c.Cmd.ExtraFiles = []*os.File{listener, lifeline}
	if lis, ok := s.admin[part.Name].(*net.TCPListener); ok {
		admin, err := lis.File()
		if err != nil {
			return c, err
		}
		c.Inherited, c.Cmd.ExtraFiles = append(c.Inherited, admin), append(c.Cmd.ExtraFiles, admin)
	}
	return c, nil
}

// executable is this program, also when its file was replaced or removed since
// it started (`go run` and a new build do that).
func executable() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	const running = "/proc/self/exe"
	now, err := os.Stat(running)
	if errors.Is(err, fs.ErrNotExist) {
		return self, nil // a system without /proc
	}
	if err != nil {
		return "", err
	}
	if file, err := os.Stat(self); err == nil && os.SameFile(file, now) {
		return self, nil
	}
	return running, nil
}

// RunService is a service's process: it serves on the listener that it was
// given until ctx is done, SIGTERM comes or its parent is gone. All else is in the
// environment.
func RunService(ctx context.Context, name string) error {
	if name == topology.NATS {
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
		defer stop()
		return runBroker(ctx)
	}
	part, ok := topology.Find(name)
	if !ok || !slices.Contains(topology.Names(topology.Processes()), name) {
		return fmt.Errorf("no service %q", name)
	}
	lis, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		return fmt.Errorf("%s is started by `souk up --processes`: %w", name, err)
	}
	syscall.CloseOnExec(listenerFD)
	proc := topology.Process{Env: envconfig.OsLookuper(), Listener: lis}
	if part.HasAdmin() {
		if proc.Admin, err = net.FileListener(os.NewFile(adminFD, "admin")); err != nil {
			return fmt.Errorf("%s is started by `souk up --processes`: %w", name, err)
		}
		syscall.CloseOnExec(adminFD)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	go func() {
		// Nothing is written to it: it ends when the parent does.
		_, _ = io.Copy(io.Discard, os.NewFile(lifelineFD, "lifeline"))
		os.Exit(1)
	}()
	return part.Run(ctx, proc)
}

// environ are the variables of a service's next life.
func (s *Shop) environ(part topology.Part, life int) []string {
	vars := s.environment()
	out := make([]string, 0, len(vars))
	for k, v := range vars { // no service knows another's secrets
		switch known := s.known(k); {
		case strings.HasPrefix(k, part.Prefix()):
			out = append(out, known+"="+v)
		case known == k && strings.HasPrefix(k, part.ServicePrefix()): // of all cells of the service
			out = append(out, k+"="+v)
		}
	}
	out = append(out, s.exporter(part)...)
	if s.opts.Env != nil {
		out = append(out, s.opts.Env(part.Name, life)...)
	}
	return out
}

// lookuper finds a service's variables inside this process.
func (s *Shop) lookuper(part topology.Part) envconfig.Lookuper {
	own := map[string]string{}
	for _, kv := range s.environ(part, 1) {
		k, v, _ := strings.Cut(kv, "=")
		own[k] = v
	}
	return envconfig.MultiLookuper(envconfig.MapLookuper(own), envconfig.OsLookuper())
}
