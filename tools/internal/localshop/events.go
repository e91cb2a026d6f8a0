package localshop

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"

	"github.com/sethvargo/go-envconfig"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// EmbeddedEvents is the value of Options.Events for a broker of the shop's own.
const EmbeddedEvents = "embedded"

// brokerUser is the one user of the shop's own broker.
const brokerUser = "souk"

// broker is the shop's NATS, inside of this process or in one of its own.
type broker struct {
	addr   string
	inside *natsserver.Server // without Options.Processes
	proc   *process.Supervisor
	stop   context.CancelFunc
	done   chan struct{}
}

// brokerConfig is how the shop's broker runs, from variables SOUK_NATS_....
type brokerConfig struct {
	Dir      string        `env:"DIR, required"`
	Address  string        `env:"ADDRESS, required"`
	Password config.Secret `env:"PASSWORD, required"`
}

func (c brokerConfig) start(ctx context.Context, log *slog.Logger) (*natsserver.Server, error) {
	return natsserver.Start(ctx, natsserver.Config{Dir: c.Dir, Address: c.Address, User: brokerUser, Password: c.Password, Log: log})
}

// startBroker starts NATS with its data in the folder, as its own user's password says.
func (s *Shop) startBroker(ctx context.Context) (err error) {
	cfg := brokerConfig{Dir: s.BrokerDir(), Address: "127.0.0.1:0", Password: config.Secret(s.secrets.Events)}
	if !s.opts.Processes {
		inside, err := cfg.start(ctx, s.log)
		if err != nil {
			return err
		}
		s.broker = &broker{addr: inside.Address(), inside: inside}
		return nil
	}
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	cfg.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	b := &broker{addr: cfg.Address, stop: stop, done: make(chan struct{})}
	b.proc = process.NewSupervisor(process.Config{
		Name: topology.NATS, Log: s.log, Pause: s.opts.RestartPause, OnStart: func(int) { s.refreshState() },
		Command: func() (process.Command, error) { return s.brokerCommand(cfg) },
	})
	go func() { defer close(b.done); b.proc.Run(ctx) }()
	s.broker = b
	return nil
}

// BrokerDir is where the data of the shop's own broker is.
func (s *Shop) BrokerDir() string { return cmp.Or(s.opts.BrokerDir, s.folder.join(topology.NATS)) }

func (s *Shop) brokerCommand(cfg brokerConfig) (c process.Command, err error) {
	argv := slices.Clone(s.opts.Exec)
	if len(argv) == 0 {
		self, err := executable()
		if err != nil {
			return c, err
		}
		argv = []string{self, "service"}
	}
	log, err := os.OpenFile(s.LogPath(topology.NATS), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return c, err
	}
	c.Inherited = append(c.Inherited, log)
	c.Cmd = exec.Command(argv[0], append(argv[1:], topology.NATS)...)
	c.Cmd.Stdout, c.Cmd.Stderr = log, log
	prefix := natsPart().Prefix()
	c.Cmd.Env = append(os.Environ(), prefix+"DIR="+cfg.Dir, prefix+"ADDRESS="+cfg.Address, prefix+"PASSWORD="+cfg.Password.Reveal())
	return c, nil
}

func natsPart() topology.Part {
	p, _ := topology.Find(topology.NATS)
	return p
}

// runBroker is the broker's process.
func runBroker(ctx context.Context) error {
	var cfg brokerConfig
	if err := config.LoadFrom(ctx, envconfig.OsLookuper(), natsPart().Prefix(), &cfg); err != nil {
		return fmt.Errorf("%s is started by `souk up --processes`: %w", topology.NATS, err)
	}
	server, err := cfg.start(ctx, slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	if err != nil {
		return err
	}
	return server.Wait(ctx)
}

func (b *broker) close() {
	if b.inside != nil {
		b.inside.Stop()
		return
	}
	b.stop()
	<-b.done
}

// ask returns nil when the broker greets who connects.
func (b *broker) ask(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", b.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	greeting := make([]byte, len("INFO"))
	if _, err := conn.Read(greeting); err != nil {
		return err
	}
	if string(greeting) != "INFO" {
		return fmt.Errorf("greeted with %q", greeting)
	}
	return nil
}

// EventsURL is where the shop's events are, with the password; "" without a broker.
func (s *Shop) EventsURL() string {
	if s.broker == nil {
		return s.opts.Events
	}
	return s.eventsURL(s.broker.addr)
}

func (s *Shop) eventsURL(addr string) string {
	u := url.URL{Scheme: "nats", Host: addr, User: url.UserPassword(brokerUser, s.secrets.Events)}
	return u.String()
}

// checkEvents refuses Options.Events that name no broker.
func checkEvents(text string) error {
	if text == "" || text == EmbeddedEvents {
		return nil
	}
	return events.Config{URL: config.Secret(text)}.Validate()
}

// supervisor is what keeps the broker running; nil when it is not, or inside of this process.
func (b *broker) supervisor() *process.Supervisor {
	if b == nil {
		return nil
	}
	return b.proc
}
