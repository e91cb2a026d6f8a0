// Package kafka is the driver of Apache Kafka.
//
// Each source has a topic, souk-<source>, in which an event's key is its subject: the hash of
// the key that all clients of Kafka share names the partition. A group has a consumer group
// of Kafka's for each source, and each of its processes handles the events of a partition one
// after the other, and commits an offset after each. So the events of a subject are handled
// in order, whichever process gets them, also when one is delivered again or a process
// dies. What other events of the partition wait for is the price; Partitions bounds it.
//
// Dead letters are in the topic souk-dead-letters.<group>, those that are replayed pass through
// souk-replays.<group>.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/internal/driver"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// Partitions is how many a topic of a source gets. A topic that got more of them
	// later would lose the order of subjects that changed theirs.
	Partitions = 8

	// requestTimeout bounds one request to the broker, beyond the time that the request
	// itself asks for.
	requestTimeout = 5 * time.Second
	// buffered and bufferedBytes bound what waits for the broker's acknowledgement: a
	// publisher that gave up leaves its events there until they are sent or fail.
	buffered      = 8 * driver.InFlight
	bufferedBytes = 64 << 20
	// linger is how long the first event of a batch waits for others.
	linger = time.Millisecond
	// headroom is for headers.
	headroom = 16 << 10
)

// Broker is a connection to a cluster of Kafka.
type Broker struct {
	cfg     events.Config
	options []kgo.Opt // of every client
	client  *kgo.Client
	admin   *kadm.Client
	inst    *driver.Instruments

	subscriptions *driver.Subscriptions
	// abandoned ends when Close no longer waits for handlers.
	abandoned context.Context
	abandon   context.CancelFunc

	mu       sync.Mutex
	topics   map[string]bool // that were there or that this process made
	producer *kgo.Client
}

// Open returns a connection, which is made when it is needed and made again for good: the
// broker may be away. It fails on a configuration that cannot be right.
func Open(cfg events.Config, tel *telemetry.Telemetry) (*Broker, error) {
	inst, err := driver.NewInstruments(tel, "kafka")
	if err != nil {
		return nil, err
	}
	options, err := connection(cfg, inst)
	if err != nil {
		return nil, err
	}
	options = append(options, kgo.ClientID("souk-"+tel.Service))
	b := &Broker{cfg: cfg, options: options, inst: inst, subscriptions: driver.NewSubscriptions("kafka"), topics: map[string]bool{}}
	if b.client, err = b.connect(); err != nil {
		return nil, err
	}
	if b.producer, err = b.produces(); err != nil {
		return nil, err
	}
	b.admin = kadm.NewClient(b.client)
	b.abandoned, b.abandon = context.WithCancel(context.Background())
	return b, nil
}

// produces returns a client that publishes. It is idempotent, which is the default.
func (b *Broker) produces() (*kgo.Client, error) {
	return b.connect(
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(linger),
		kgo.MaxBufferedRecords(buffered), kgo.MaxBufferedBytes(bufferedBytes),
		// A publisher that gives up repeats the event, and consumers drop what they know. So
		// nothing is won by keeping an event whose acknowledgement did not come.
		kgo.AllowIdempotentProduceCancellation(),
	)
}

// renew takes another client in place of one that holds to a topic that is gone. Having
// the client forget the topic would have it number the topic's records anew, under the same
// producer's id: where the topic is there after all, the broker takes them for repeats,
// acknowledges them, and drops them.
func (b *Broker) renew(old *kgo.Client) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.producer != old || b.subscriptions.Closed() {
		return nil
	}
	fresh, err := b.produces()
	if err != nil {
		return err
	}
	b.producer = fresh
	go old.Close() // what waits in it fails, and is repeated
	return nil
}

// connection returns where and how to connect.
func connection(cfg events.Config, inst *driver.Instruments) ([]kgo.Opt, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	endpoint, err := cfg.Endpoint()
	if err != nil {
		return nil, err
	}
	if endpoint.Scheme != "kafka" {
		return nil, fmt.Errorf("kafka: the URL's scheme is %s", endpoint.Scheme)
	}
	backoff := retry.Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second}
	options := []kgo.Opt{
		kgo.SeedBrokers(endpoint.Hosts...), kgo.DialTimeout(2 * time.Second), kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.RetryBackoffFn(func(failures int) time.Duration { return backoff.Delay(max(1, failures)) }),
		// A topic that was made just now is known soon.
		kgo.MetadataMinAge(250 * time.Millisecond), kgo.MetadataMaxAge(time.Minute),
		kgo.WithLogger(logger{inst.Log}),
	}
	tlsConfig, err := cfg.TLSConfig()
	if err != nil {
		return nil, err
	}
	if tlsConfig != nil {
		options = append(options, kgo.DialTLSConfig(tlsConfig))
	}
	if endpoint.User != "" {
		auth := scram.Auth{User: endpoint.User, Pass: endpoint.Password.Reveal()}
		options = append(options, kgo.SASL(auth.AsSha512Mechanism()))
	}
	return options, nil
}

// connect returns a client of its own.
func (b *Broker) connect(options ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(b.options[:len(b.options):len(b.options)], options...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return client, nil
}

// Check implements events.Broker.
func (b *Broker) Check(ctx context.Context) error {
	if _, err := b.admin.BrokerMetadata(ctx); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

// Close implements events.Broker. It waits for the subscriptions.
func (b *Broker) Close(ctx context.Context) error {
	done := b.subscriptions.Close()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		b.abandon()
		<-done
	}
	b.abandon()
	b.mu.Lock()
	producer := b.producer
	b.mu.Unlock()
	producer.Close()
	b.client.Close()
	return err
}

// Publish implements events.Publisher.
func (b *Broker) Publish(ctx context.Context, evs ...events.Event) error {
	return driver.InOrder(ctx, evs, b.publish)
}

func (b *Broker) publish(ctx context.Context, e events.Event) error {
	return b.inst.Publish(ctx, e, func(ctx context.Context) error {
		r := &kgo.Record{Key: []byte(e.Subject), Value: e.Data}
		for _, h := range e.Headers(events.KafkaPrefix) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
		}
		return b.produce(ctx, b.source(e.Source), r)
	})
}

// produce returns once the record is on all replicas in sync, or with an error once ctx ends.
func (b *Broker) produce(ctx context.Context, t topic, r *kgo.Record) error {
	if err := b.ensure(ctx, t); err != nil {
		return err
	}
	r.Topic = t.name
	if r.Value == nil {
		r.Value = []byte{} // null is another thing to Kafka
	}
	return b.send(ctx, r)
}

// send publishes a record to a topic that is there.
func (b *Broker) send(ctx context.Context, r *kgo.Record) error {
	b.mu.Lock()
	producer := b.producer
	b.mu.Unlock()
	done := make(chan error, 1)
	producer.Produce(ctx, r, func(_ *kgo.Record, err error) { done <- err })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if isUnknownTopic(err) {
		b.forget(r.Topic) // the next attempt makes it again
		return errors.Join(err, b.renew(producer))
	}
	return err
}

func isUnknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}

// Reset implements events.Broker. The topic stays, and so do its offsets: a group that had
// handled everything goes on with what comes next.
func (b *Broker) Reset(ctx context.Context, source string) error {
	t := b.source(source)
	b.forget(t.name)
	if _, err := b.topicID(ctx, t.name); isUnknownTopic(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("topic %s: %w", t.name, err)
	}
	ends, err := b.offsets(ctx, t.name, b.admin.ListEndOffsets)
	if err != nil {
		return err
	}
	return b.deleteBefore(ctx, ends.Offsets())
}

func (b *Broker) deleteBefore(ctx context.Context, offsets kadm.Offsets) error {
	deleted, err := b.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("empty topics: %w", err)
	}
	return nil
}

// topic is how a topic is made.
type topic struct {
	name       string
	source     string // "" for replays and dead letters
	partitions int32
	settings   map[string]string
}

// source is the topic of a source. The broker notes the time at which it took an event, not
// the event's: an event of last year that is published now is kept as long as any.
func (b *Broker) source(source string) topic {
	return topic{name: "souk-" + source, source: source, partitions: Partitions, settings: map[string]string{
		"cleanup.policy": "delete", "retention.ms": limit(b.cfg.Retention.Milliseconds()), "retention.bytes": limit(b.cfg.MaxBytes),
		// Whole segments are deleted.
		"segment.bytes": strconv.FormatInt(min(1<<30, max(16<<20, b.cfg.MaxBytes/8)), 10),
	}}
}

// deadLetters are those of a group. A letter's key is its place, and a letter that was
// replayed is deleted by a record with its key and no value.
func deadLetters(group string) topic {
	return topic{name: deadPrefix + group, partitions: 1, settings: map[string]string{"cleanup.policy": "compact"}}
}

func replays(group string) topic {
	return topic{name: "souk-replays." + group, partitions: 1, settings: map[string]string{
		"cleanup.policy": "delete", "retention.ms": limit(0), "retention.bytes": limit(0),
	}}
}

// limit is a setting that bounds something, 0 for nothing.
func limit(n int64) string {
	if n == 0 {
		n = -1
	}
	return strconv.FormatInt(n, 10)
}

// ensure makes a topic if there is none of this name; one that its operator made or changed
// stays as it is.
func (b *Broker) ensure(ctx context.Context, t topic) error {
	b.mu.Lock()
	known := b.topics[t.name]
	b.mu.Unlock()
	if known {
		return nil
	}
	_, err := b.topicID(ctx, t.name)
	if isUnknownTopic(err) {
		err = b.create(ctx, t)
	}
	if err != nil {
		return fmt.Errorf("topic %s: %w", t.name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics[t.name] = true
	return nil
}

func (b *Broker) create(ctx context.Context, t topic) error {
	replicas := int16(max(1, min(b.cfg.Replicas, 1<<15-1))) // bounded
	settings := map[string]*string{
		"message.timestamp.type": kadm.StringPtr("LogAppendTime"),
		"max.message.bytes":      kadm.StringPtr(strconv.Itoa(2*events.MaxData + headroom)), // of a batch
		// An acknowledgement is on all replicas but the one that may be away.
		"min.insync.replicas": kadm.StringPtr(strconv.Itoa(max(1, int(replicas)-1))),
	}
	if replicas == 1 {
		// No other replica has it: it is on the disk before it is acknowledged.
		settings["flush.messages"] = kadm.StringPtr("1")
	}
	for name, value := range t.settings {
		settings[name] = kadm.StringPtr(value)
	}
	_, err := b.admin.CreateTopic(ctx, t.partitions, replicas, settings, t.name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) { // another process was faster
		return err
	}
	// The cluster takes a moment to tell.
	return retry.Do(ctx, retry.Policy{Backoff: resume, Attempts: 8, If: isUnknownTopic}, func(ctx context.Context) error {
		_, err := b.topicID(ctx, t.name)
		return err
	})
}

// topicID is what the broker calls a topic; another one of the same name has another.
func (b *Broker) topicID(ctx context.Context, name string) (kadm.TopicID, error) {
	details, err := b.admin.ListTopics(ctx, name)
	if err != nil {
		return kadm.TopicID{}, err
	}
	d, ok := details[name]
	if !ok {
		return kadm.TopicID{}, kerr.UnknownTopicOrPartition
	}
	return d.ID, d.Err
}

// forget has a topic made again, or found, by what is next published to it.
func (b *Broker) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.topics, name)
}
