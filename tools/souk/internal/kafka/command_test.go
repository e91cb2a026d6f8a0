package kafka_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/broker"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/souk/internal/kafka"
)

// running is `souk kafka` as its user runs it.
type running struct {
	url       string
	said      string
	interrupt context.CancelFunc
	ended     chan error
}

func start(t *testing.T, dir string) *running {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	r := &running{interrupt: interrupt, ended: make(chan error, 1)}
	out, w := io.Pipe()
	go func() {
		err := kafka.Command(ctx, []string{"--data", dir, "--addr", "127.0.0.1:0"}, w, t.Output())
		w.Close()
		r.ended <- err
	}()
	lines := bufio.NewScanner(out)
	for r.url == "" && lines.Scan() {
		r.said += lines.Text() + "\n"
		r.url, _ = strings.CutPrefix(lines.Text(), "ready ")
		if r.url == lines.Text() {
			r.url = ""
		}
	}
	if r.url == "" {
		interrupt()
		t.Fatalf("not ready: %v\n%s", <-r.ended, r.said)
	}
	go io.Copy(io.Discard, out)
	return r
}

// stop ends it as Ctrl-C does.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.interrupt()
	if err := <-r.ended; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func connect(t *testing.T, url string) events.Broker {
	t.Helper()
	b, err := broker.Open(events.Config{URL: config.Secret(url)}, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The command runs a real broker: its URL is in a file of its user alone while it runs, a
// wrong password is refused, and what was published is there after a stop and another start.
func TestABrokerKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kafka")
	first := start(t, dir)
	file := filepath.Join(dir, "url")
	info, err := os.Stat(file)
	text, readErr := os.ReadFile(file)
	if err := errors.Join(err, readErr); err != nil || strings.TrimSpace(string(text)) != first.url || info.Mode().Perm() != 0o600 {
		t.Errorf("%s has %q, mode %v (%v); it said\n%s", file, text, info.Mode(), err, first.said)
	}
	host := first.url[strings.LastIndex(first.url, "@")+1:]
	if err := kafka.Command(t.Context(), []string{"--data", filepath.Join(t.TempDir(), "other"), "--addr", host}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "--addr") {
		t.Errorf("at an address that is taken: %v", err)
	}

	stranger := connect(t, "kafka://souk:wrong@"+host)
	refused, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := stranger.Check(refused); err == nil {
		t.Error("a wrong password is taken")
	}
	_ = stranger.Close(t.Context())

	told := events.Event{Source: "order", Subject: "order.a", Version: 1, Type: "souk.money.v1.Money", Time: time.Now()}
	to := connect(t, first.url)
	if err := to.Publish(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(t.Context()); err != nil {
		t.Error(err)
	}
	first.stop(t)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a stop %s is there: %v", file, err)
	}

	second := start(t, dir)
	defer second.stop(t)
	from := connect(t, second.url)
	defer from.Close(context.WithoutCancel(t.Context()))
	ctx, enough := context.WithTimeout(t.Context(), time.Minute)
	defer enough()
	var got string
	err = from.Subscribe(ctx, events.Subscription{Group: "reader", Sources: []string{"order"}}, func(_ context.Context, d events.Delivery) error {
		got = d.ID()
		enough()
		return nil
	})
	if err != nil || got != told.ID() {
		t.Errorf("after another start %q is delivered, want %s: %v", got, told.ID(), err)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "password"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	for want, args := range map[string][]string{
		"takes no arguments": {"now"}, "--addr": {"--addr", "nowhere", "--data", t.TempDir()}, "in use": {"--addr", lis.Addr().String(), "--data", t.TempDir()},
		"is empty": {"--addr", "127.0.0.1:0", "--data", dir},
	} {
		if err := kafka.Command(t.Context(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("souk kafka %v: %v, want %q", args, err, want)
		}
	}
}
