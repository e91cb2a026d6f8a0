package kafka_test

import (
	"context"
	"crypto/tls"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/brokertest"
	"github.com/souk-shop/souk/services/chassis/events/kafka"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const user, password = "souk", "correct horse"

// harness is of brokers with TLS and SCRAM whose certificate is of kafka.souk.
func harness(t *testing.T, addresses []string, ca string) brokertest.Harness {
	t.Helper()
	h := brokertest.Harness{Config: events.Config{
		URL: config.Secret("kafka+tls://" + strings.Join(addresses, ",")), User: user, Password: password,
		CAFile: ca, ServerName: "kafka.souk", Replicas: 1, Retention: time.Hour, MaxBytes: 64 << 20,
	}}
	h.Open = func(cfg events.Config, tel *telemetry.Telemetry) (events.Broker, error) { return kafka.Open(cfg, tel) }
	h.Foreign = func(t *testing.T, source string) {
		t.Helper()
		tlsConfig, err := h.Config.TLSConfig()
		if err != nil {
			t.Fatal(err)
		}
		c, err := kgo.NewClient(kgo.SeedBrokers(addresses...), kgo.DialTLSConfig(tlsConfig),
			kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "souk-" + source, Value: []byte("not an event")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// fake starts brokers inside of this process: they speak Kafka's protocol and have its
// groups. What they cannot do is in this function: they cannot be killed, and do not know
// the setting flush.messages.
// TestConformance holds a real broker to all promises.
func fake(t *testing.T) brokertest.Harness {
	t.Helper()
	authority := identitytest.Authority(t)
	files := identitytest.Files(t, identitytest.Issue(t, authority, "kafka"), authority)
	pair, err := tls.LoadX509KeyPair(files.TLSCert, files.TLSKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", user, password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		for i := range req.(*kmsg.CreateTopicsRequest).Topics {
			topic := &req.(*kmsg.CreateTopicsRequest).Topics[i]
			var known []kmsg.CreateTopicsRequestTopicConfig
			for _, setting := range topic.Configs {
				if setting.Name != "flush.messages" {
					known = append(known, setting)
				}
			}
			topic.Configs = known
		}
		return nil, nil, false
	})
	return harness(t, c.ListenAddrs(), files.TLSCA)
}

// TestFake: all promises but those of a restart.
func TestFake(t *testing.T) {
	t.Parallel()
	h := fake(t)
	brokertest.Run(t, h)
}

// TestDeletedTopic: a topic that is deleted is made again by who publishes, and its readers
// go on.
func TestDeletedTopic(t *testing.T) {
	t.Parallel()
	h := fake(t)
	b, err := h.Open(h.Config, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	ready, done := make(chan struct{}, 2), make(chan error, 2)
	ctx, cancel := context.WithCancel(t.Context())
	event := func(version int64) events.Event {
		return events.Event{Source: "order", Subject: "order.a", Version: version, Type: "t", Time: time.Unix(1, 0)}
	}
	if err := b.Publish(t.Context(), event(1)); err != nil { // a reader without a group makes no topic
		t.Fatal(err)
	}
	var last [2]atomic.Int64
	for i, group := range []string{"g", ""} {
		take := func(_ context.Context, d events.Delivery) error { last[i].Store(d.Version); return nil }
		go func() {
			done <- b.Subscribe(ctx, events.Subscription{Group: group, Sources: []string{"order"}, Ready: func() { ready <- struct{}{} }}, take)
		}()
		<-ready
	}
	if err := b.Publish(t.Context(), event(2)); err != nil {
		t.Fatal(err)
	}
	deadline, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for last[0].Load() < 2 || last[1].Load() < 2 {
		if retry.Sleep(deadline, 10*time.Millisecond) != nil {
			t.Fatal("an event does not come")
		}
	}
	if _, err := kafka.Admin(b).DeleteTopic(t.Context(), "souk-order"); err != nil {
		t.Fatal(err)
	}
	// The reader without a group gets what is published once it follows again.
	for v := int64(3); last[0].Load() < 3 || last[1].Load() < 3; v++ {
		_ = b.Publish(deadline, event(v))
		if retry.Sleep(deadline, 50*time.Millisecond) != nil {
			t.Fatalf("the readers are at %d and %d of %d", last[0].Load(), last[1].Load(), v)
		}
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
