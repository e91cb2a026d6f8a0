package events_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
)

func event() events.Event {
	return events.Event{
		Source: "order", Subject: "order.0199c0de-0000-7000-8000-000000000001", Version: 3, Type: "souk.order.v1.OrderPaid",
		Time:        time.Date(2026, 11, 28, 17, 45, 0, 123456789, time.UTC),
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Data: []byte{1, 2, 3},
	}
}

// TestSubject: any string is an id, and only Subject's own spelling of it is one.
func TestSubject(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"LAMP-1", "LAMP.1", "a*b", ">", "two words", "=", "=2E", "ÄÖ😀", "\x00\n\r\t", "\xff\xfe", "0199c0de-0000-7000-8000-000000000001", "%2e",
		strings.Repeat("é", 150),
	} {
		s := events.Subject("stock", id)
		for _, c := range s {
			if c <= ' ' || c > '~' || strings.ContainsRune(`*>:"%\`, c) {
				t.Errorf("%q: %q has %q", id, s, c)
			}
		}
		if strings.Count(s, ".") != 1 {
			t.Errorf("%q: %q is not of two words", id, s)
		}
		if kind, back, err := events.SplitSubject(s); err != nil || kind != "stock" || back != id {
			t.Errorf("%q: %q is %q of %q, %v", id, s, back, kind, err)
		}
	}
	for _, s := range []string{
		"", "order", "order.", ".x", "a.b.c", "stock.a b", "stock.=2", "stock.=", "stock.=2e", "stock.=41", "stock.=GG", "stock.=+1", "stock.*", "stock.é", "st*.x",
		"stock." + strings.Repeat("x", 1024),
	} {
		if _, _, err := events.SplitSubject(s); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%.40q: %v", s, err)
		}
	}
}

func FuzzSubject(f *testing.F) {
	f.Add("LAMP.1")
	f.Fuzz(func(t *testing.T, id string) {
		if id == "" || len(id) > 300 {
			return
		}
		if _, back, err := events.SplitSubject(events.Subject("stock", id)); err != nil || back != id {
			t.Errorf("%q became %q, %v", id, back, err)
		}
	})
}

func headers(e events.Event, prefix string) map[string]string {
	m := map[string]string{}
	for _, h := range e.Headers(prefix) {
		m[h.Name] = h.Value
	}
	return m
}

// TestHeaders: an event survives CloudEvents' headers.
func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{events.NATSPrefix, events.KafkaPrefix} {
		e := event()
		h := headers(e, prefix)
		for name, value := range map[string]string{
			"content-type": "application/protobuf", "traceparent": e.Traceparent, prefix + "specversion": "1.0",
			prefix + "id": e.Subject + ":3", prefix + "source": "order", prefix + "subject": e.Subject,
			prefix + "type": "souk.order.v1.OrderPaid", prefix + "time": "2026-11-28T17:45:00.123456789Z",
		} {
			if h[name] != value {
				t.Errorf("%s is %q, not %q", name, h[name], value)
			}
		}
		back, err := events.FromHeaders(prefix, func(name string) string { return h[name] }, e.Data)
		if err != nil || fmt.Sprintf("%+v", back) != fmt.Sprintf("%+v", e) {
			t.Errorf("%+v became %+v, %v", e, back, err)
		}
		for name, value := range map[string]string{
			prefix + "specversion": "0.3", prefix + "id": "order.x:3", prefix + "source": "a.b", prefix + "subject": "order.x", prefix + "type": "", prefix + "time": "today",
			"content-type": "application/json",
		} {
			broken := headers(e, prefix)
			broken[name] = value
			if _, err := events.FromHeaders(prefix, func(n string) string { return broken[n] }, e.Data); !errors.Is(err, events.ErrInvalid) {
				t.Errorf("%s %q: %v", name, value, err)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := event().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*events.Event){
		"source": func(e *events.Event) { e.Source = "a b" }, "no source": func(e *events.Event) { e.Source = "" },
		"subject": func(e *events.Event) { e.Subject = "order" }, "version": func(e *events.Event) { e.Version = 0 },
		"type": func(e *events.Event) { e.Type = "a/b" }, "time": func(e *events.Event) { e.Time = time.Time{} },
		"traceparent": func(e *events.Event) { e.Traceparent = "a\nb" },
	} {
		e := event()
		change(&e)
		if err := e.Validate(); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e := event()
	if e.Data = make([]byte, events.MaxData); e.Validate() != nil {
		t.Errorf("%d bytes: %v", len(e.Data), e.Validate())
	}
	if e.Data = make([]byte, events.MaxData+1); !errors.Is(e.Validate(), events.ErrTooLarge) {
		t.Errorf("%d bytes: %v", len(e.Data), e.Validate())
	}
}

func TestPoison(t *testing.T) {
	t.Parallel()
	cause := errors.New("no such product")
	err := fmt.Errorf("handle: %w", events.Poison(cause))
	if !events.IsPoison(err) || !errors.Is(err, cause) || events.IsPoison(cause) || events.IsPoison(nil) {
		t.Errorf("%v is not told from %v", err, cause)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cfg  events.Config
		want events.Endpoint
		fail string
	}{
		{cfg: events.Config{URL: "nats://h"}, want: events.Endpoint{Scheme: "nats", Hosts: []string{"h:4222"}}},
		{cfg: events.Config{URL: "nats+tls://u:p%40s@h:1,[::1]:2"}, want: events.Endpoint{Scheme: "nats", TLS: true, Hosts: []string{"h:1", "[::1]:2"}, User: "u", Password: "p@s"}},
		{cfg: events.Config{URL: "kafka://a,b:9/", User: "u", Password: "p"}, want: events.Endpoint{Scheme: "kafka", Hosts: []string{"a:9092", "b:9"}, User: "u", Password: "p"}},
		{cfg: events.Config{URL: "amqp://h"}, fail: "begin it with"},
		{cfg: events.Config{URL: "h:4222"}, fail: "begin it with"},
		{cfg: events.Config{URL: "nats://"}, fail: "host:port"},
		{cfg: events.Config{URL: "nats://h,,b"}, fail: "host:port"},
		{cfg: events.Config{URL: "nats://u:sec%ret@h"}, fail: "escaped"},
		{cfg: events.Config{URL: "kafka://h", NKeyFile: "f"}, fail: "NATS alone"},
		{cfg: events.Config{URL: "nats://u:p@h", NKeyFile: "f"}, fail: "not both"},
		{cfg: events.Config{URL: "nats+tls://h", CertFile: "f"}, fail: "go together"},
		{cfg: events.Config{URL: "nats://h", CAFile: "f"}, fail: "nats+tls://"},
		{cfg: events.Config{URL: "nats://h", Retention: -1}, fail: "negative"},
	} {
		err := test.cfg.Validate()
		if test.fail != "" {
			if err == nil || !strings.Contains(err.Error(), test.fail) || strings.Contains(err.Error(), "sec") {
				t.Errorf("%s: %v, want %q", test.cfg.URL.Reveal(), err, test.fail)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.cfg.URL.Reveal(), err)
		}
		if got, _ := test.cfg.Endpoint(); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", test.want) || got.Password != test.want.Password {
			t.Errorf("%s: %#v, want %#v", test.cfg.URL.Reveal(), got, test.want)
		}
	}
	var cfg events.Config
	if err := config.SetDefaults(&cfg); err != nil || cfg.Replicas != 1 || cfg.Validate() != nil {
		t.Errorf("the default is %+v, %v, %v", cfg, err, cfg.Validate())
	}
}

func TestSubscription(t *testing.T) {
	t.Parallel()
	s, err := events.Subscription{Group: "notification", Sources: []string{"order"}}.Complete()
	if err != nil || s.MaxDeliveries != 20 || s.RetryMin != 100*time.Millisecond || s.RetryMax != time.Minute || s.HandleTimeout != 30*time.Second {
		t.Errorf("%+v, %v", s, err)
	}
	for _, s := range []events.Subscription{
		{Group: "a.b", Sources: []string{"order"}},
		{Group: "a"},
		{Group: "a", Sources: []string{"o>"}},
		{Group: "a", Sources: []string{"order"}, MaxDeliveries: -1},
		{Group: "a", Sources: []string{"order"}, RetryMin: time.Hour},
	} {
		if _, err := s.Complete(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
