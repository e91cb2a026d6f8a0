package run

import (
	"context"
	"errors"
	"log/slog"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Process is what every process has: its telemetry, what it runs and what it closes.
type Process struct {
	Telemetry *telemetry.Telemetry
	Log       *slog.Logger
	// Identity is who the process is to the others.
	Identity *identity.Identity

	group   *Group
	closers []func() error
}

// Config is what every process is configured with.
type Config struct {
	// Name is as in "order".
	Name      string
	Telemetry telemetry.Config
	Admin     admin.Config
	// Identity is where the process's certificate is; nil for a process that neither
	// serves nor calls another one of the shop's.
	Identity *identity.Config
}

// Server is what a process is there for.
type Server struct {
	// Serve serves until its context is done.
	Serve func(context.Context) error
	// Ready fails while the process cannot do its work.
	Ready func(context.Context) error
}

// Add has fn run until its context is done. What is added first is stopped last;
// the server is stopped before all of it. See Group.
func (p *Process) Add(name string, fn func(context.Context) error) { p.group.Add(name, fn) }

// Close has fn called after the process has stopped, the last one first.
func (p *Process) Close(fn func() error) { p.closers = append(p.closers, fn) }

// Serve builds a process and runs it until ctx ends or a part fails. build adds what
// the process is made of and returns its server. The stop is in order: the server, the
// admin listener, what build added, what it has closed, telemetry.
func Serve(ctx context.Context, cfg Config, build func(*Process) (Server, error)) (err error) {
	tel, err := telemetry.Start(ctx, cfg.Name, cfg.Telemetry)
	if err != nil {
		return err
	}
	p := &Process{Telemetry: tel, Log: tel.Log, group: NewGroup(tel.Log)}
	p.Close(func() error { return tel.Stop(ctx) })
	defer func() {
		for i := len(p.closers) - 1; i >= 0; i-- {
			err = errors.Join(err, p.closers[i]())
		}
	}()
	if cfg.Identity != nil {
		if p.Identity, err = identity.Open(cfg.Name, *cfg.Identity, tel); err != nil {
			return err
		}
		p.Add("identity", p.Identity.Run)
	}
	server, err := build(p)
	if err != nil {
		return err
	}
	p.Add("admin", func(ctx context.Context) error { return admin.Serve(ctx, cfg.Admin, tel, server.Ready) })
	p.Add("server", server.Serve)
	return p.group.Run(ctx)
}
