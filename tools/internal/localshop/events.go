package localshop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

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
	inside *natsserver.Server // without Options.Processes
	proc   *process.Supervisor
	stop   context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	addr  string
	ready bool // it has answered at addr, which stays
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
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	b := &broker{stop: stop, done: make(chan struct{})}
	b.proc = process.NewSupervisor(process.Config{
		Name: topology.NATS, Log: s.log, Pause: s.opts.RestartPause, OnStart: func(int) { s.refreshState() },
		Command: func() (process.Command, error) {
			addr, err := b.nextAddress()
			if err != nil {
				return process.Command{}, err
			}
			cfg.Address = addr
			return s.brokerCommand(cfg)
		},
	})
	go func() { defer close(b.done); b.proc.Run(ctx) }()
	s.broker = b
	return nil
}

// address is where the broker listens, once it has a process.
func (b *broker) address() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addr
}

// nextAddress is where the broker's next process listens: where the last one did, or at a
// free port until one has answered, because another program may take the port first.
func (b *broker) nextAddress() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ready {
		return b.addr, nil
	}
	port, err := process.FreePort()
	if err != nil {
		return "", err
	}
	b.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return b.addr, nil
}

// awaitStart returns when the broker answers for the first time.
func (b *broker) awaitStart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := poll(ctx, 5*time.Millisecond, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		addr := b.address()
		if err := b.ask(ctx); err != nil {
			return err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.ready = b.addr == addr; !b.ready {
			return errors.New("the broker moved to another port")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the broker does not answer: %w", err)
	}
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
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", b.address())
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
	return s.eventsURL(s.broker.address())
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
