package postgres_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
	"github.com/souk-shop/souk/services/notification/internal/outbound"
	"github.com/souk-shop/souk/services/notification/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var testGuard = webhook.Guard{HTTP: true, Ports: []uint16{0}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// patience is for a machine that is busy with other things. Nothing takes so long.
const patience = 5 * time.Minute

const paid, placed = "souk.order.v1.OrderPaid", "souk.order.v1.OrderPlaced"

// shop is the outgoing webhooks of a service, on a database of their own.
type shop struct {
	*app.Endpoints
	t     testing.TB
	store *postgres.Webhooks
	own   *pgxpool.Pool // the service's
	pool  *pgxpool.Pool // a superuser's
	mu    sync.Mutex
	off   []webhook.Endpoint // that the service has disabled

	statements *statements // of the service
}

func newShop(t testing.TB) *shop {
	t.Helper()
	d := pgtest.Service(t, postgres.Migrate)
	s := &shop{t: t, statements: &statements{}}
	d.Config.MaxConns, d.Config.Tracer = 16, s.statements
	pool, err := pg.Open(t.Context(), d.Config, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	sealer, err := postgres.NewSealer(strings.Repeat("k", postgres.MinKey))
	if err != nil {
		t.Fatal(err)
	}
	s.store, s.own, s.pool = postgres.NewWebhooks(pool, sealer, mail.Queued), pool, d.Superuser(t)
	s.Endpoints = app.NewEndpoints(app.Config{Store: s.store, Guard: testGuard, Types: []string{paid, placed}, Now: time.Now, NewID: id})
	return s
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

// Disabled implements app.Notices.
func (s *shop) Disabled(_ context.Context, e webhook.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = append(s.off, e)
}

// dispatch sends until the function that it returns is called, which returns what Run does.
func (s *shop) dispatch(change ...func(*app.DispatcherConfig)) (stop func() error) {
	sender := outbound.New(outbound.Config{Guard: testGuard, Timeout: patience, Connections: 8, Now: time.Now, Tracer: telemetry.Discard().Tracer()})
	cfg := app.DispatcherConfig{
		Outbox: s.store, Sender: sender, Notices: s, Workers: 16, PerEndpoint: 4, OnTrial: 8, PerHost: 8, Timeout: patience, Keep: time.Hour,
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Crash: crash.Never, Tried: func(context.Context, *webhook.Delivery, webhook.Attempt, webhook.Outcome) {},
	}
	for _, c := range change {
		c(&cfg)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- app.NewDispatcher(cfg).Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	s.t.Cleanup(func() { _ = stop(); _ = sender.Close() })
	return stop
}

// register registers an endpoint.
func (s *shop) register(url string, change ...func(*app.New)) (webhook.Endpoint, webhook.Secret) {
	s.t.Helper()
	n := app.New{URL: url, Types: []string{"*"}}
	for _, c := range change {
		c(&n)
	}
	e, secret, err := s.Create(s.t.Context(), id(), n)
	if err != nil {
		s.t.Fatal(err)
	}
	return e, secret
}

func ordered(n *app.New) { n.Ordered = true }

// take has an event told.
func (s *shop) take(subject string, version int64, eventType string, at time.Time) webhook.Message {
	s.t.Helper()
	m := webhook.Message{
		ID: webhook.MessageID("order", subject, version), Source: "order", Subject: subject, Version: version, Type: eventType, At: at,
		Body: fmt.Appendf(nil, `{"subject":%q,"version":%d}`, subject, version),
	}
	if err := pg.InTx(s.t.Context(), s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		takers, err := s.store.Takers(ctx, tx)
		return cmp.Or(err, s.store.Deliver(ctx, tx, []webhook.Addressed{{Message: m, To: webhook.Told(takers, m.Type, m.At)}}))
	}); err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *shop) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatal(err)
	}
}

// due has all that waits tried at once.
func (s *shop) due() {
	s.t.Helper()
	s.exec("UPDATE webhook_deliveries SET due_at = now(), claimed_until = NULL WHERE state = 'pending'")
	s.exec("UPDATE webhook_endpoints SET paused_until = 'epoch'")
}

// await waits for the deliveries of an endpoint by state.
func (s *shop) await(endpoint string, want map[webhook.State]int) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	var got map[webhook.State]int
	for time.Now().Before(deadline) {
		all, _, err := s.Deliveries(s.t.Context(), endpoint, app.Filter{}, "", 1000)
		if err != nil {
			s.t.Fatal(err)
		}
		got = map[webhook.State]int{}
		for _, d := range all {
			got[d.State]++
		}
		if got[webhook.Pending] == want[webhook.Pending] && got[webhook.Delivered] == want[webhook.Delivered] && got[webhook.Failed] == want[webhook.Failed] {
			return
		}
		s.pause()
	}
	s.t.Fatalf("deliveries: %v, want %v", got, want)
}

// pause waits for the next look at something that another goroutine brings about.
func (s *shop) pause() {
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.t.Context().Done():
	}
}

// inbox is a receiver.
type inbox struct {
	url     string
	mu      sync.Mutex
	answer  func(subject string, version int64) int
	headers []http.Header
	bodies  [][]byte
	now     int
	most    int
}

func newInbox(t *testing.T) *inbox {
	in := &inbox{answer: func(string, int64) int { return http.StatusNoContent }}
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m struct {
		Subject string
		Version int64
	}
	_ = json.Unmarshal(body, &m)
	in.mu.Lock()
	in.headers, in.bodies = append(in.headers, r.Header), append(in.bodies, body)
	in.now++
	in.most = max(in.most, in.now)
	answer := in.answer
	in.mu.Unlock()
	status := answer(m.Subject, m.Version)
	in.mu.Lock()
	in.now--
	in.mu.Unlock()
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_, _ = io.WriteString(w, "sorry")
	}
}

func (in *inbox) answers(fn func(subject string, version int64) int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.answer = fn
}

// got are the messages that came, as "subject:version".
func (in *inbox) got() (out []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, body := range in.bodies {
		var m struct {
			Subject string
			Version int64
		}
		_ = json.Unmarshal(body, &m)
		out = append(out, fmt.Sprintf("%s:%d", m.Subject, m.Version))
	}
	return out
}

// signed checks a message as the specification says.
func signed(h http.Header, body []byte, secret webhook.Secret) bool {
	mac := hmac.New(sha256.New, secret.Key)
	mac.Write([]byte(h.Get("Webhook-Id") + "." + h.Get("Webhook-Timestamp") + "." + string(body)))
	return slices.Contains(strings.Fields(h.Get("Webhook-Signature")), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func TestEventsAreDelivered(t *testing.T) {
	t.Parallel()
	s, all, some := newShop(t), newInbox(t), newInbox(t)
	a, secret := s.register(all.url)
	b, _ := s.register(some.url, func(n *app.New) { n.Types = []string{paid} })
	now := time.Now()
	m := s.take("order.1", 1, placed, now)
	s.take("order.1", 2, paid, now)
	s.take("order.1", 2, paid, now)                           // again
	s.take("order.0", 9, paid, a.CreatedAt.Add(-time.Second)) // before there was an endpoint
	stop := s.dispatch()
	s.await(a.ID, map[webhook.State]int{webhook.Delivered: 2})
	s.await(b.ID, map[webhook.State]int{webhook.Delivered: 1})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := some.got(); !slices.Equal(got, []string{"order.1:2"}) {
		t.Errorf("told of %v", got)
	}
	for i, h := range all.headers {
		if !signed(h, all.bodies[i], secret) {
			t.Errorf("not signed: %v", h)
		}
	}
	page, more, err := s.Deliveries(t.Context(), a.ID, app.Filter{MessageID: m.ID}, "", 10)
	if err != nil || more || len(page) != 1 {
		t.Fatal(page, more, err)
	}
	d, attempts, err := s.Delivery(t.Context(), a.ID, page[0].ID)
	if err != nil || d.Status != 204 || d.Attempts != 1 || len(attempts) != 1 || attempts[0].Status != 204 || attempts[0].Duration <= 0 {
		t.Errorf("%+v %+v %v", d, attempts, err)
	}
	if _, _, err := s.Delivery(t.Context(), b.ID, d.ID); !errors.Is(err, webhook.ErrDeliveryNotFound) {
		t.Error("a delivery of another endpoint", err)
	}
}

func TestFailuresAreTriedAgainAndReplayed(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	in.answers(func(string, int64) int { return 500 })
	e, _ := s.register(in.url)
	s.take("order.1", 1, paid, time.Now())
	stop := s.dispatch()
	for n := range webhook.Schedule {
		for len(in.got()) <= n {
			s.pause()
		}
		for d := n; d <= n; {
			page, _, err := s.Deliveries(t.Context(), e.ID, app.Filter{}, "", 10)
			if err != nil {
				t.Fatal(err)
			}
			if page[0].Attempts <= n {
				s.pause()
				continue
			}
			if wait := time.Until(page[0].DueAt); wait < webhook.Schedule[n]-2*time.Second || wait > webhook.Schedule[n]*6/5 {
				t.Errorf("after attempt %d it waits %v", n+1, wait)
			}
			d++
		}
		s.due()
	}
	s.await(e.ID, map[webhook.State]int{webhook.Failed: 1})
	page, _, err := s.Deliveries(t.Context(), e.ID, app.Filter{States: []webhook.State{webhook.Failed}}, "", 10)
	if err != nil || len(page) != 1 {
		t.Fatal(err)
	}
	_, attempts, err := s.Delivery(t.Context(), e.ID, page[0].ID)
	if err != nil || len(attempts) != len(webhook.Schedule)+1 || attempts[3].Response != "sorry" || attempts[3].Error != "answered 500" {
		t.Errorf("%+v %v", attempts, err)
	}
	for _, h := range in.headers {
		if h.Get("Webhook-Id") != page[0].Message.ID {
			t.Error("sent under another id")
		}
	}
	in.answers(func(string, int64) int { return 200 })
	operation := id()
	for range 2 { // the second is a repeat
		if n, err := s.ReplayFailed(t.Context(), operation, e.ID, e.CreatedAt); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	s.due()
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 1})
	before := len(in.got())
	if _, err := s.Replay(t.Context(), id(), e.ID, page[0].ID); err != nil {
		t.Fatal(err)
	}
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 1})
	for len(in.got()) == before {
		s.pause()
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// The head of a subject holds its followers; other subjects go on.
func TestOrder(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	in.answers(func(subject string, version int64) int {
		if subject == "order.a" && version == 2 {
			return 500
		}
		return 200
	})
	e, _ := s.register(in.url, ordered)
	for v := range int64(4) {
		for _, subject := range []string{"order.a", "order.b", "order.c"} {
			s.take(subject, v+1, paid, time.Now())
		}
	}
	stop := s.dispatch()
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 9, webhook.Pending: 3})
	in.answers(func(string, int64) int { return 200 })
	s.due()
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 12})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	for _, m := range in.got() {
		subject, version, _ := strings.Cut(m, ":")
		if v := int64(version[0] - '0'); v != last[subject] && v != last[subject]+1 {
			t.Errorf("%s after %d", m, last[subject])
		} else {
			last[subject] = v
		}
	}
}

// An endpoint that hangs delays no other. Where one endpoint may take all places, which is
// the control, it does.
func TestADeadEndpointDelaysNoOther(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		perEndpoint int
		delayed     bool
	}{"bounded": {2, false}, "control": {4, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dead, live := newShop(t), newInbox(t), newInbox(t)
			release := make(chan struct{})
			dead.answers(func(string, int64) int { <-release; return 500 })
			a, _ := s.register(dead.url, func(n *app.New) { n.Types = []string{placed} })
			b, _ := s.register(live.url, func(n *app.New) { n.Types = []string{paid} })
			s.exec("UPDATE webhook_endpoints SET reached = true")
			for n := range int64(50) {
				s.take("order.dead", n+1, placed, time.Now())
			}
			stop := s.dispatch(func(c *app.DispatcherConfig) { c.Workers, c.PerEndpoint, c.PerHost = 4, tc.perEndpoint, 4 })
			for len(dead.got()) < tc.perEndpoint {
				s.pause()
			}
			for n := range int64(50) {
				s.take("order.live", n+1, paid, time.Now())
			}
			if tc.delayed {
				for range 50 { // five looks
					s.pause()
				}
				if n := len(live.got()); n != 0 {
					t.Errorf("%d messages came, although no place was free", n)
				}
			} else {
				s.await(b.ID, map[webhook.State]int{webhook.Delivered: 50})
			}
			close(release)
			s.await(b.ID, map[webhook.State]int{webhook.Delivered: 50})
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if dead.most > tc.perEndpoint {
				t.Errorf("%d calls at once", dead.most)
			}
			if e, err := s.Get(t.Context(), a.ID); err != nil || !e.Enabled || e.FailingSince.IsZero() {
				t.Errorf("%+v %v", e, err)
			}
		})
	}
}

// TestEndpointsThatHang: endpoints that hang, together or on one host, leave places to one that
// answers. Where they may take all, which is the control, it gets nothing.
func TestEndpointsThatHang(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		endpoints, hosts int
		reached          bool
		change           func(*app.DispatcherConfig)
		calls            int // that hang at once
		delayed          bool
	}{
		"new ones":             {endpoints: 10, hosts: 10, calls: 8},
		"new ones, control":    {endpoints: 16, hosts: 16, change: func(c *app.DispatcherConfig) { c.OnTrial = 16 }, calls: 16, delayed: true},
		"one host":             {endpoints: 4, hosts: 1, reached: true, calls: 8},
		"one host, control":    {endpoints: 4, hosts: 1, reached: true, change: func(c *app.DispatcherConfig) { c.PerHost = 16 }, calls: 16, delayed: true},
		"a new one, by itself": {endpoints: 1, hosts: 1, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, live, release := newShop(t), newInbox(t), make(chan struct{})
			var dead []*inbox
			for n := range tc.endpoints {
				if n < tc.hosts {
					in := newInbox(t)
					in.answers(func(string, int64) int { <-release; return 500 })
					dead = append(dead, in)
				}
				s.register(dead[n%tc.hosts].url, func(n *app.New) { n.Types = []string{placed} })
			}
			s.exec("UPDATE webhook_endpoints SET reached = $1", tc.reached)
			b, _ := s.register(live.url, func(n *app.New) { n.Types = []string{paid} })
			s.exec("UPDATE webhook_endpoints SET reached = true WHERE id = $1", b.ID)
			for n := range int64(10) {
				s.take("order.dead", n+1, placed, time.Now())
			}
			hanging := func() (n int) {
				for _, in := range dead {
					n += len(in.got())
				}
				return n
			}
			stop := s.dispatch(func(c *app.DispatcherConfig) {
				if tc.change != nil {
					tc.change(c)
				}
			})
			for hanging() < tc.calls {
				s.pause()
			}
			for n := range int64(50) {
				s.take("order.live", n+1, paid, time.Now())
			}
			if tc.delayed {
				for range 50 { // five looks
					s.pause()
				}
				if n := len(live.got()); n != 0 {
					t.Errorf("%d messages came, although no place was free", n)
				}
			} else {
				s.await(b.ID, map[webhook.State]int{webhook.Delivered: 50})
			}
			if n := hanging(); n != tc.calls {
				t.Errorf("%d calls hang at once, want %d", n, tc.calls)
			}
			close(release)
			s.await(b.ID, map[webhook.State]int{webhook.Delivered: 50})
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestOnTrial: an endpoint is on trial until a message has reached it, and again when it gets
// another URL or is enabled again; a change of its description is none.
func TestOnTrial(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	e, _ := s.register(in.url)
	s.take("order.1", 1, paid, time.Now())
	s.dispatch()
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 1})
	yes, no, other, text := true, false, in.url+"/other", "ERP"
	for _, step := range []struct {
		change app.Change
		want   bool
	}{{app.Change{Description: &text}, true}, {app.Change{URL: &other}, false}} {
		if e, err := s.Update(t.Context(), id(), e.ID, nil, step.change); err != nil || e.Reached != step.want {
			t.Errorf("%+v: reached %t, %v", step.change, e.Reached, err)
		}
	}
	s.exec("UPDATE webhook_endpoints SET reached = true")
	for _, enabled := range []*bool{&no, &yes} {
		if e, err := s.Update(t.Context(), id(), e.ID, nil, app.Change{Enabled: enabled}); err != nil || e.Reached {
			t.Errorf("enabled %t: reached %t, %v", *enabled, e.Reached, err)
		}
	}
}

// Two processes send each message once, and together keep to an endpoint's bound.
func TestProcessesShareTheWork(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	e, _ := s.register(in.url)
	for n := range int64(200) {
		s.take(fmt.Sprintf("order.%d", n), 1, paid, time.Now())
	}
	stops := []func() error{s.dispatch(), s.dispatch(), s.dispatch()}
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 200})
	for _, stop := range stops {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	got := in.got()
	slices.Sort(got)
	if len(got) != 200 || len(slices.Compact(got)) != 200 || in.most > 4 {
		t.Errorf("%d messages, %d at once", len(got), in.most)
	}
}

// A process that dies after an endpoint has answered sends the message again, under its id;
// one that dies before it calls sends it for the first time.
func TestACrash(t *testing.T) {
	t.Parallel()
	for point, want := range map[crash.Point]int{app.WebhookAnswered: 2, app.WebhookClaimed: 1} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			s, in := newShop(t), newInbox(t)
			e, _ := s.register(in.url)
			m := s.take("order.1", 1, paid, time.Now())
			died := make(chan struct{})
			stop := s.dispatch(func(c *app.DispatcherConfig) {
				c.Crash = func(p crash.Point) error {
					if p == point {
						close(died)
						return crash.ErrCrashed
					}
					return nil
				}
			})
			<-died
			if err := stop(); !errors.Is(err, crash.ErrCrashed) {
				t.Fatal(err)
			}
			s.await(e.ID, map[webhook.State]int{webhook.Pending: 1})
			s.due() // the claim ends
			s.dispatch()
			s.await(e.ID, map[webhook.State]int{webhook.Delivered: 1})
			if got := in.got(); len(got) != want {
				t.Errorf("sent %d times", len(got))
			}
			for _, h := range in.headers {
				if h.Get("Webhook-Id") != m.ID {
					t.Errorf("%s, not %s", h.Get("Webhook-Id"), m.ID)
				}
			}
		})
	}
}

func TestEndpointsAreDisabled(t *testing.T) {
	t.Parallel()
	s, gone, failing := newShop(t), newInbox(t), newInbox(t)
	gone.answers(func(string, int64) int { return 410 })
	failing.answers(func(string, int64) int { return 500 })
	a, _ := s.register(gone.url)
	b, _ := s.register(failing.url)
	s.exec("UPDATE webhook_endpoints SET failures = 9, failing_since = now() - interval '3 days' WHERE id = $1", b.ID)
	s.take("order.1", 1, paid, time.Now())
	s.dispatch()
	s.await(a.ID, map[webhook.State]int{webhook.Failed: 1})
	for _, want := range []struct {
		id     string
		reason webhook.Reason
	}{{a.ID, webhook.Gone}, {b.ID, webhook.Failing}} {
		for {
			e, err := s.Get(t.Context(), want.id)
			if err != nil {
				t.Fatal(err)
			}
			if !e.Enabled {
				if e.DisabledReason != want.reason || e.Version != 2 {
					t.Errorf("%+v", e)
				}
				break
			}
			s.pause()
		}
	}
	// Each is told to the operators by one mail, with a job.
	rows, err := s.pool.Query(t.Context(), `
		SELECT m.subject || '.' || m.version || ' ' || (m.endpoint ->> 'last_error') || ' ' || count(j.id) FROM mails m
		LEFT JOIN river_job j ON j.kind = 'send_mail' AND j.args ->> 'mail_id' = m.id::text GROUP BY m.id`)
	if err != nil {
		t.Fatal(err)
	}
	mails, err := pgx.CollectRows(rows, pgx.RowTo[string])
	slices.Sort(mails)
	want := []string{"webhook-endpoint." + a.ID + ".2 answered 410 1", "webhook-endpoint." + b.ID + ".2 answered 500 1"}
	if slices.Sort(want); err != nil || !slices.Equal(mails, want) {
		t.Errorf("mails %q, want %q, %v", mails, want, err)
	}
	// The version before reads these columns of every mail, as never NULL.
	var before struct{ order, number, customer, currency string }
	if err := s.pool.QueryRow(t.Context(), "SELECT order_id, order_number, customer_id, currency FROM mails LIMIT 1").Scan(
		&before.order, &before.number, &before.customer, &before.currency); err != nil {
		t.Error(err)
	}
	s.take("order.1", 2, paid, time.Now()) // told to neither
	s.await(b.ID, map[webhook.State]int{webhook.Pending: 1})
	if _, err := s.Test(t.Context(), id(), a.ID); !errors.Is(err, webhook.ErrDisabled) {
		t.Error(err)
	}
	if _, err := s.ReplayFailed(t.Context(), id(), a.ID, time.Time{}); !errors.Is(err, webhook.ErrDisabled) {
		t.Error(err)
	}
	// Enabled again, it begins anew.
	failing.answers(func(string, int64) int { return 200 })
	yes := true
	e, err := s.Update(t.Context(), id(), b.ID, nil, app.Change{Enabled: &yes})
	if err != nil || !e.Enabled || e.Failures != 0 || !e.FailingSince.IsZero() || e.DisabledReason != "" {
		t.Errorf("%+v %v", e, err)
	}
	s.due()
	s.await(b.ID, map[webhook.State]int{webhook.Delivered: 1})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.off) != 2 {
		t.Errorf("told of %+v", s.off)
	}
}

// TestDisabledWithItsMail: an endpoint whose mail cannot be written is not disabled. It is with
// the next attempt, and there is one mail.
func TestDisabledWithItsMail(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	in.answers(func(string, int64) int { return 410 })
	e, _ := s.register(in.url)
	s.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		PERFORM nextval('refused');
		RAISE EXCEPTION 'no mail'; END $$`)
	s.exec("CREATE SEQUENCE refused")
	s.exec("GRANT USAGE ON SEQUENCE refused TO PUBLIC")
	s.exec("CREATE TRIGGER refuse BEFORE INSERT ON mails FOR EACH ROW EXECUTE FUNCTION refuse()")
	s.take("order.1", 1, paid, time.Now())
	s.dispatch()
	for refused := false; !refused; s.pause() {
		if err := s.pool.QueryRow(t.Context(), "SELECT is_called FROM refused").Scan(&refused); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := s.Get(t.Context(), e.ID); err != nil || !e.Enabled {
		t.Errorf("%+v %v: disabled without a mail", e, err)
	}
	s.exec("DROP TRIGGER refuse ON mails")
	s.await(e.ID, map[webhook.State]int{webhook.Failed: 1})
	var mails int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM mails").Scan(&mails); err != nil || mails != 1 {
		t.Errorf("%d mails, %v", mails, err)
	}
	if e, err := s.Get(t.Context(), e.ID); err != nil || e.Enabled {
		t.Errorf("%+v %v", e, err)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	e, first := s.register(in.url)
	operation := id()
	_, second, err := s.Rotate(t.Context(), operation, e.ID, time.Hour)
	if err != nil || bytes.Equal(first.Key, second.Key) || len(second.Key) != webhook.SecretBytes {
		t.Fatal(err)
	}
	if _, again, err := s.Rotate(t.Context(), operation, e.ID, time.Hour); err != nil || !bytes.Equal(again.Key, second.Key) {
		t.Error("a repeat made another one", err)
	}
	s.take("order.1", 1, paid, time.Now())
	stop := s.dispatch()
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 1})
	if !signed(in.headers[0], in.bodies[0], first) || !signed(in.headers[0], in.bodies[0], second) {
		t.Error("within the overlap both sign")
	}
	if _, _, err := s.Rotate(t.Context(), id(), e.ID, 0); err != nil {
		t.Fatal(err)
	}
	s.take("order.1", 2, paid, time.Now())
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 2})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if h := in.headers[1]; signed(h, in.bodies[1], first) || signed(h, in.bodies[1], second) || len(strings.Fields(h.Get("Webhook-Signature"))) != 1 {
		t.Errorf("without an overlap all before it have ended: %v", h.Get("Webhook-Signature"))
	}
	for range webhook.MaxSecrets + 2 {
		if _, _, err := s.Rotate(t.Context(), id(), e.ID, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	var inUse int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM webhook_secrets WHERE expires_at IS NULL OR expires_at > now()").Scan(&inUse); err != nil || inUse != webhook.MaxSecrets {
		t.Errorf("%d secrets are in use, %v", inUse, err)
	}
	var plain bool
	if err := s.pool.QueryRow(t.Context(), "SELECT bool_or(position($1::bytea IN sealed) > 0) FROM webhook_secrets", first.Key).Scan(&plain); err != nil || plain {
		t.Error("a secret is in the database as it is", err)
	}
	// Moved to another endpoint it does not open: that one's deliveries fail, others do not.
	other, _ := s.register(in.url)
	s.exec("UPDATE webhook_secrets SET sealed = (SELECT sealed FROM webhook_secrets WHERE endpoint_id = $1 LIMIT 1) WHERE endpoint_id = $2", e.ID, other.ID)
	s.take("order.1", 3, paid, time.Now())
	s.dispatch()
	s.await(e.ID, map[webhook.State]int{webhook.Delivered: 3})
	for {
		page, _, err := s.Deliveries(t.Context(), other.ID, app.Filter{}, "", 1)
		if err != nil {
			t.Fatal(err)
		}
		if page[0].Attempts > 0 {
			if !strings.Contains(page[0].Error, "secret cannot be read") {
				t.Error(page[0].Error)
			}
			break
		}
		s.pause()
	}
}

func TestOperationsHappenOnce(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	operation := id()
	e, secret, err := s.Create(t.Context(), operation, app.New{URL: in.url, Types: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	again, same, err := s.Create(t.Context(), operation, app.New{URL: in.url, Types: []string{"*"}})
	if err != nil || again.ID != e.ID || !bytes.Equal(same.Key, secret.Key) {
		t.Errorf("%+v %v", again, err)
	}
	text := "other"
	if _, err := s.Update(t.Context(), id(), e.ID, []int64{7}, app.Change{Description: &text}); !errors.Is(err, webhook.ErrPreconditionFailed) {
		t.Error(err)
	}
	operation = id()
	for range 2 {
		if e, err = s.Update(t.Context(), operation, e.ID, []int64{1}, app.Change{Description: &text}); err != nil || e.Version != 2 || e.Description != text {
			t.Errorf("%+v %v", e, err)
		}
	}
	bad := "http://10.0.0.1/"
	if _, err := s.Update(t.Context(), id(), e.ID, nil, app.Change{URL: &bad}); !errors.Is(err, webhook.ErrInvalid) {
		t.Error(err)
	}
	operation = id()
	first, err := s.Test(t.Context(), operation, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := s.Test(t.Context(), operation, e.ID); err != nil || second.ID != first.ID {
		t.Error(err)
	}
	operation = id()
	for range 2 {
		if err := s.Delete(t.Context(), operation, e.ID, []int64{2}); err != nil {
			t.Error(err)
		}
	}
	if err := s.Delete(t.Context(), id(), e.ID, nil); !errors.Is(err, webhook.ErrEndpointNotFound) {
		t.Error(err)
	}
	for range webhook.MaxEndpoints {
		s.register(in.url)
	}
	if _, _, err := s.Create(t.Context(), id(), app.New{URL: in.url, Types: []string{"*"}}); !errors.Is(err, webhook.ErrTooManyEndpoints) {
		t.Error(err)
	}
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	t.Parallel()
	s, in := newShop(t), newInbox(t)
	e, _ := s.register(in.url)
	s.take("order.1", 1, paid, time.Now())
	s.take("order.2", 1, paid, time.Now())
	s.exec("UPDATE webhook_deliveries SET created_at = now() - interval '2 days' WHERE subject = 'order.1'")
	s.exec("UPDATE webhook_messages SET created_at = now() - interval '2 days'")
	if n, err := s.store.Forget(t.Context(), time.Now().Add(-24*time.Hour), 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	s.await(e.ID, map[webhook.State]int{webhook.Pending: 1})
	var messages int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM webhook_messages").Scan(&messages); err != nil || messages != 1 {
		t.Error(messages, err)
	}
	b, err := s.store.Backlog(t.Context())
	if err != nil || b.Waiting != 1 || b.Held != 0 || b.OldestWaiting.IsZero() {
		t.Errorf("%+v %v", b, err)
	}
}
