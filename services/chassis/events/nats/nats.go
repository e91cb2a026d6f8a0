// Package nats is the driver of NATS JetStream.
//
// Each source has a stream, souk-<source>, with the subjects
// souk.<source>.<partition>.<kind>.<id>. A subject's partition is a hash of it, and a group
// has a durable pull consumer for each partition that gives its messages to one process at a
// time (a pinned client), many at once. That process has those of a subject handled one after
// the other. It begins none before it has all that was delivered earlier and is not acknowledged:
// so the order holds also when one is delivered again or a process dies.
//
// Dead letters are in the stream souk-dead-letters, those that are replayed pass through
// souk-replays. How far groups are is in souk-positions.
package nats

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/internal/driver"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// Partitions is into how many a source's subjects are divided. A subject that changed
	// its partition would lose its order, so this is for good.
	Partitions = 8

	// dedupe is how long the broker knows the id of an event. It is for repeats after an
	// acknowledgement that was lost; consumers drop the others.
	dedupe = 2 * time.Minute
	// ackWait is after how long without a sign of life from its process an event is
	// delivered again, and a partition given to another process.
	ackWait = 10 * time.Second
	// leaderless is after how long without an answer a partition's consumer is made anew, while its
	// stream answers. Nodes that are well elect a leader within ten seconds.
	leaderless = time.Minute
	// requestTimeout bounds one request to the broker.
	requestTimeout = 5 * time.Second
	// headroom is for headers.
	headroom = 16 << 10

	deadStream, deadPrefix     = "souk-dead-letters", "souk-dead"
	replayStream, replayPrefix = "souk-replays", "souk-replay"
)

// token is what may stand between two dots of a subject.
var token = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Broker is a connection to a server or a cluster of NATS.
type Broker struct {
	cfg     events.Config
	conn    *nats.Conn
	js      jetstream.JetStream
	inst    *driver.Instruments
	ackWait time.Duration // tests shorten it
	// leaderless is after how long a consumer that does not answer is made anew; tests shorten it.
	leaderless time.Duration

	subscriptions *driver.Subscriptions

	mu      sync.Mutex
	streams map[string]streamKnown // that were there or that this process made
	// singlyUntil is until when no batch is published.
	singlyUntil time.Time
}

// streamKnown is what is known of a stream.
type streamKnown struct {
	batches bool // it takes them
}

// Open returns a connection, which is made in the background and made again for good: the
// broker may be away. It fails on a configuration that cannot be right.
func Open(cfg events.Config, tel *telemetry.Telemetry) (*Broker, error) {
	inst, err := driver.NewInstruments(tel, "nats")
	if err != nil {
		return nil, err
	}
	options, servers, err := connection(cfg, inst)
	if err != nil {
		return nil, err
	}
	options = append(options, nats.Name("souk-"+tel.Service))
	conn, err := nats.Connect(strings.Join(servers, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(requestTimeout))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("nats: %w", err)
	}
	return &Broker{
		cfg: cfg, conn: conn, js: js, inst: inst, ackWait: ackWait, leaderless: leaderless, subscriptions: driver.NewSubscriptions("nats"), streams: map[string]streamKnown{},
	}, nil
}

// connection returns how and where to connect.
func connection(cfg events.Config, inst *driver.Instruments) ([]nats.Option, []string, error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	endpoint, err := cfg.Endpoint()
	if err != nil {
		return nil, nil, err
	}
	if endpoint.Scheme != "nats" {
		return nil, nil, fmt.Errorf("nats: the URL's scheme is %s", endpoint.Scheme)
	}
	servers := make([]string, len(endpoint.Hosts))
	for i, host := range endpoint.Hosts {
		servers[i] = "nats://" + host
		if endpoint.TLS {
			servers[i] = "tls://" + host
		}
	}
	backoff := retry.Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second}
	options := []nats.Option{
		nats.Timeout(2 * time.Second), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(func(attempts int) time.Duration { return backoff.Delay(attempts + 1) }),
		// What is published while there is no connection fails, rather than to be sent
		// later than what its publisher repeated by then.
		nats.ReconnectBufSize(-1),
		// A password that is changed at the broker first does not end the connection for good.
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2), // a silent broker is left after 15 s
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				inst.Log.Warn("connection to the broker is lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { inst.Log.Info("connected to the broker again", "server", c.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			args := []any{"error", err}
			if sub != nil {
				args = append(args, "subject", sub.Subject)
			}
			inst.Log.Warn("broker", args...)
		}),
	}
	switch {
	case cfg.NKeyFile != "":
		nkey, err := nats.NkeyOptionFromSeed(cfg.NKeyFile)
		if err != nil {
			return nil, nil, fmt.Errorf("nats: NKey in %s: %w", cfg.NKeyFile, err)
		}
		options = append(options, nkey)
	case endpoint.User != "":
		options = append(options, nats.UserInfo(endpoint.User, endpoint.Password.Reveal()))
		// Answers and events come to an inbox that the broker can keep other users from.
		if token.MatchString(endpoint.User) {
			options = append(options, nats.CustomInboxPrefix("_INBOX."+endpoint.User))
		}
	}
	tlsConfig, err := cfg.TLSConfig()
	if err != nil {
		return nil, nil, err
	}
	if tlsConfig != nil {
		options = append(options, nats.Secure(tlsConfig))
	}
	return options, servers, nil
}

// Check implements events.Broker.
func (b *Broker) Check(ctx context.Context) error {
	if _, err := b.js.AccountInfo(ctx); err != nil {
		if last := b.conn.LastError(); last != nil && !b.conn.IsConnected() {
			return fmt.Errorf("nats: %w", errors.Join(last, err))
		}
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}

// Close implements events.Broker. It waits for the subscriptions.
func (b *Broker) Close(ctx context.Context) error {
	var err error
	select {
	case <-b.subscriptions.Close():
		if b.conn.IsConnected() {
			err = b.conn.FlushWithContext(flushable(ctx)) // acknowledgements
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	b.conn.Close()
	return err
}

// flushable gives a context the deadline that the client asks for.
func flushable(ctx context.Context) context.Context {
	if _, ok := ctx.Deadline(); ok {
		return ctx
	}
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	context.AfterFunc(bounded, cancel)
	return bounded
}

// Publish implements events.Publisher.
func (b *Broker) Publish(ctx context.Context, evs ...events.Event) error {
	if done, err := b.publishTogether(ctx, evs); done {
		return err
	}
	return driver.InOrder(ctx, evs, b.publish)
}

func (b *Broker) publish(ctx context.Context, e events.Event) error {
	return b.inst.Publish(ctx, e, func(ctx context.Context) error {
		if err := b.ensure(ctx, b.source(e.Source)); err != nil {
			return err
		}
		_, err := b.js.PublishMsg(ctx, message(e), jetstream.WithMsgID(e.ID()), jetstream.WithExpectStream(streamName(e.Source)))
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			b.forget(streamName(e.Source)) // the next attempt makes it again
		}
		return err
	})
}

func message(e events.Event) *nats.Msg {
	msg := &nats.Msg{Subject: subject(e), Data: e.Data, Header: nats.Header{}}
	for _, h := range e.Headers(events.NATSPrefix) {
		msg.Header[h.Name] = []string{h.Value}
	}
	return msg
}

// Reset implements events.Broker. A stream that is made anew forgets the ids that it has
// seen; one that is emptied would not take them again.
func (b *Broker) Reset(ctx context.Context, source string) error {
	name := streamName(source)
	b.forget(name)
	stream, err := b.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	if err := b.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("delete stream %s: %w", name, err)
	}
	cfg := stream.CachedInfo().Config
	cfg.AllowAtomicPublish = true // one that an earlier version made has no batches
	_, err = b.js.CreateStream(ctx, cfg)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // a relay was faster
		return fmt.Errorf("make stream %s again: %w", name, err)
	}
	return nil
}

func streamName(source string) string { return "souk-" + source }

func subject(e events.Event) string {
	return fmt.Sprintf("souk.%s.%d.%s", e.Source, partition(e.Subject), e.Subject)
}

func partition(subject string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(subject))
	return h.Sum32() % Partitions
}

// source is the stream of a source.
func (b *Broker) source(source string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: streamName(source), Subjects: []string{"souk." + source + ".>"},
		Description: "What happened at " + source + ".",
		MaxAge:      b.cfg.Retention, MaxBytes: b.cfg.MaxBytes, Duplicates: duplicates(b.cfg.Retention),
	}
}

// duplicates is how long ids are known, which is not longer than events are kept.
func duplicates(retention time.Duration) time.Duration {
	if retention == 0 {
		return dedupe
	}
	return min(dedupe, retention)
}

// dead and replays are the streams of dead letters. They are not bounded: an operator decides
// what becomes of a letter.
func dead() jetstream.StreamConfig {
	return jetstream.StreamConfig{Name: deadStream, Subjects: []string{deadPrefix + ".>"}, Description: "Events that a consumer could not handle."}
}

func replays() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: replayStream, Subjects: []string{replayPrefix + ".>"}, Description: "Dead letters on their way back to their consumer.",
		Retention: jetstream.WorkQueuePolicy, Duplicates: dedupe,
	}
}

// ensure makes a stream if there is none of this name; one that its operator made or
// changed stays as it is.
func (b *Broker) ensure(ctx context.Context, cfg jetstream.StreamConfig) error {
	b.mu.Lock()
	_, known := b.streams[cfg.Name]
	b.mu.Unlock()
	if known {
		return nil
	}
	_, err := b.open(ctx, cfg)
	return err
}

// open returns a stream as it is now, and makes it like ensure, whatever is known of it.
func (b *Broker) open(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := b.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		cfg.Storage, cfg.Discard, cfg.AllowDirect = jetstream.FileStorage, jetstream.DiscardOld, true
		cfg.Replicas, cfg.MaxMsgSize, cfg.AllowAtomicPublish = max(1, b.cfg.Replicas), events.MaxData+headroom, true
		stream, err = b.js.CreateStream(ctx, cfg)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process was faster
			stream, err = b.js.Stream(ctx, cfg.Name)
		}
	}
	if err != nil {
		b.forget(cfg.Name)
		return nil, fmt.Errorf("stream %s: %w", cfg.Name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams[cfg.Name] = streamKnown{batches: stream.CachedInfo().Config.AllowAtomicPublish}
	return stream, nil
}

func (b *Broker) forget(stream string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.streams, stream)
}
