package payment_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v85/webhook"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
	"github.com/souk-shop/souk/services/payment"
)

const webhookSecret = "whsec_test"

// reported is an event about a payment, signed now.
func reported(id, kind, paymentID string) *paymentv1.HandleWebhookRequest {
	return signed(fmt.Sprintf(`{"id":%q,"object":"event","type":%q,"data":{"object":{"id":%q,"object":"payment_intent"}}}`, id, kind, paymentID))
}

// about is an event about pi_1, the payment of an order.
func about(order, id string) *paymentv1.HandleWebhookRequest {
	return signed(fmt.Sprintf(`{"id":%q,"object":"event","type":"payment_intent.succeeded",
		"data":{"object":{"id":"pi_1","object":"payment_intent","metadata":{"order_id":%q}}}}`, id, order))
}

func signed(body string) *paymentv1.HandleWebhookRequest {
	now := time.Now()
	return &paymentv1.HandleWebhookRequest{
		Viewer:    access.Service("gateway"),
		Payload:   []byte(body),
		Signature: "t=" + strconv.FormatInt(now.Unix(), 10) + ",v1=" + hex.EncodeToString(webhook.ComputeSignature(now, []byte(body), webhookSecret)),
	}
}

func withSecret(cfg *payment.Config) { cfg.WebhookSecret = webhookSecret }

func database(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	return db
}

// scan reads one value of a database.
func scan[T any](t *testing.T, db *pgx.Conn, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// TestAnEventIsAppliedOnce reports one event twenty times at once: one is kept,
// the provider is asked once, and the ledger has nothing of what it only says.
func TestAnEventIsAppliedOnce(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var attempt atomic.Value
	order := id()
	on := pgtest.Service(t, nil)
	s := startWith(t, on, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			asked.Add(1)
		} else {
			attempt.Store(r.FormValue("metadata[attempt_id]"))
		}
		_, _ = fmt.Fprintf(w, `{"id":"pi_1","object":"payment_intent","amount":1250,"amount_capturable":1250,"currency":"gbp",
			"status":"requires_capture","metadata":{"order_id":%q,"attempt_id":%q}}`, order, attempt.Load())
	}, withSecret).ready(t)
	if _, err := s.Authorize(t.Context(), authorize(order)); err != nil {
		t.Fatal(err)
	}
	event := reported("evt_1", "payment_intent.succeeded", "pi_1") // it is not
	var wg sync.WaitGroup
	var first atomic.Int64
	for range 20 {
		wg.Go(func() {
			resp, err := s.HandleWebhook(t.Context(), event)
			if err != nil || resp.GetEventId() != "evt_1" {
				t.Errorf("%v, %v", resp, err)
			}
			if !resp.GetDuplicate() {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	db := database(t, on.DSN)
	until(t, "the event is settled", func() bool {
		return scan[string](t, db, "SELECT state FROM webhook_events WHERE id = 'evt_1'") != "pending"
	})
	until(t, "its job is done", func() bool {
		return scan[int](t, db, "SELECT count(*) FROM river_job WHERE kind = 'apply_webhook_event' AND state <> 'completed'") == 0
	})
	jobs := scan[int](t, db, "SELECT count(*) FROM river_job WHERE kind = 'apply_webhook_event'")
	if first.Load() != 1 || jobs != 1 || asked.Load() != 1 {
		t.Errorf("kept %d times with %d jobs, the provider was asked %d times", first.Load(), jobs, asked.Load())
	}
	if n := scan[int](t, db, "SELECT count(*) FROM ledger_entries"); n != 0 {
		t.Errorf("%d entries", n)
	}
	if state := s.state(t, order); state != paymentv1.AttemptState_ATTEMPT_STATE_AUTHORIZED {
		t.Errorf("state %v", state)
	}
}

// TestWebhookRefusals keeps nothing of what is not the provider's.
func TestWebhookRefusals(t *testing.T) {
	t.Parallel()
	on := pgtest.Service(t, nil)
	s := startWith(t, on, holds, withSecret).ready(t)
	refused := func(s *service, reason string, code codes.Code, req *paymentv1.HandleWebhookRequest) {
		t.Helper()
		if _, err := s.HandleWebhook(t.Context(), req); rpc.Info(err).GetReason() != reason || status.Code(err) != code {
			t.Errorf("got %v, want %s", err, reason)
		}
	}
	forged := reported("evt_1", "payment_intent.succeeded", "pi_1")
	forged.Payload = bytes.Replace(forged.GetPayload(), []byte("pi_1"), []byte("pi_2"), 1)
	refused(s, "WEBHOOK_NOT_SIGNED", codes.InvalidArgument, forged)
	refused(s, "WEBHOOK_NOT_SIGNED", codes.InvalidArgument, &paymentv1.HandleWebhookRequest{Viewer: access.Service("gateway")})
	refused(s, "WEBHOOK_MALFORMED", codes.InvalidArgument, reported("evt 1", "payment_intent.succeeded", "pi_1"))
	refused(s, "INVALID", codes.InvalidArgument, &paymentv1.HandleWebhookRequest{Viewer: access.Service("gateway"), Payload: make([]byte, 256<<10+1)})
	if resp, err := s.HandleWebhook(t.Context(), reported("evt_2", "payout.paid", "")); err != nil || resp.GetDuplicate() {
		t.Errorf("an event about no payment: %v, %v", resp, err)
	}
	db := database(t, on.DSN)
	events := scan[[]string](t, db, "SELECT array_agg(id || ' ' || state) FROM webhook_events")
	jobs := scan[int](t, db, "SELECT count(*) FROM river_job WHERE kind = 'apply_webhook_event'")
	if len(events) != 1 || events[0] != "evt_2 ignored" || jobs != 0 {
		t.Errorf("events %q, %d jobs", events, jobs)
	}

	off := start(t, pgtest.Service(t, nil), holds).ready(t)
	refused(off, "WEBHOOKS_OFF", codes.FailedPrecondition, reported("evt_1", "payment_intent.succeeded", "pi_1"))
	if _, err := off.Authorize(t.Context(), authorize(id())); err != nil {
		t.Errorf("authorize without a secret of webhooks: %v", err)
	}
}

// TestADeadLetter cannot be applied: it is tried so often, left for an operator,
// logged and counted once.
func TestADeadLetter(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := l.Addr().String()
	l.Close()
	var log telemetrytest.Log
	on := pgtest.Service(t, nil)
	s := startWith(t, on, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"resource_missing\",\"message\":\"No such \\u0000 payment\"}}")
	}, func(cfg *payment.Config) {
		cfg.WebhookSecret, cfg.WebhookAttempts = webhookSecret, 3
		cfg.Admin.Listen, cfg.Telemetry.LogOutput = admin, &log
	}).ready(t)
	if _, err := s.HandleWebhook(t.Context(), reported("evt_1", "payment_intent.succeeded", "pi_gone")); err != nil {
		t.Fatal(err)
	}
	db := database(t, on.DSN)
	until(t, "the event is dead", func() bool {
		return scan[string](t, db, "SELECT state FROM webhook_events") == "dead"
	})
	until(t, "its job is done", func() bool {
		return scan[string](t, db, "SELECT state::text FROM river_job WHERE kind = 'apply_webhook_event'") == "completed"
	})
	if n := asked.Load(); n != 3 {
		t.Errorf("the provider was asked %d times", n)
	}
	if cause := scan[string](t, db, "SELECT last_error FROM webhook_events"); !strings.Contains(cause, "404") {
		t.Errorf("last error %q", cause)
	}
	if n := strings.Count(log.String(), "webhook event is a dead letter"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for outcome, n := range map[string]string{"dead": "1", "retried": "2"} {
		found := false
		for line := range strings.Lines(string(metrics)) {
			found = found || strings.HasPrefix(line, "souk_payment_webhook_events") && strings.Contains(line, `outcome="`+outcome+`"`) &&
				strings.HasSuffix(strings.TrimSpace(line), " "+n)
		}
		if !found {
			t.Errorf("no count of %s events:\n%s", outcome, metrics)
		}
	}
}

// TestEventsAreKeptForThirtyDays starts on a database with events of both sides
// of that age.
func TestEventsAreKeptForThirtyDays(t *testing.T) {
	t.Parallel()
	on := pgtest.Service(t, nil)
	first := start(t, on, holds).ready(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	db := database(t, on.DSN)
	if _, err := db.Exec(t.Context(), `
		INSERT INTO webhook_events (id, type, payment_id, state, received_at) VALUES
			('evt_old', 'payment_intent.succeeded', 'pi_1', 'applied', now() - interval '30 days 1 minute'),
			('evt_young', 'payment_intent.succeeded', 'pi_2', 'applied', now() - interval '29 days 23 hours');
		DELETE FROM river_job`); err != nil {
		t.Fatal(err)
	}
	start(t, on, holds).ready(t)
	var left []string
	until(t, "the old one is forgotten", func() bool {
		left = scan[[]string](t, db, "SELECT array_agg(id) FROM webhook_events")
		return len(left) < 2
	})
	if len(left) != 1 || left[0] != "evt_young" {
		t.Errorf("left are %v", left)
	}
}

// TestADeadLetterIsTriedAgain by the statement of docs/webhooks.md.
func TestADeadLetterIsTriedAgain(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, statement, _ := strings.Cut(string(doc), "```sql\nWITH again")
	statement, _, found := strings.Cut("WITH again"+statement, "```")
	if !found {
		t.Fatal("the statement is not there")
	}
	on := pgtest.Service(t, nil)
	startWith(t, on, holds, withSecret).ready(t)
	db := database(t, on.DSN)
	if _, err := db.Exec(t.Context(), "INSERT INTO webhook_events (id, type, payment_id, state, attempts) VALUES ('evt_...', 'a.b', 'pi_1', 'dead', 200)"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	until(t, "it is settled", func() bool {
		return scan[string](t, db, "SELECT state FROM webhook_events") == "ignored"
	})
}

// TestManyEventsAreAppliedSoon: those of a hundred orders a second do not pile
// up, and none asks the provider what the shop knows.
func TestManyEventsAreAppliedSoon(t *testing.T) {
	t.Parallel()
	const n = 400
	var asked atomic.Int64
	on := pgtest.Service(t, nil)
	s := startWith(t, on, func(http.ResponseWriter, *http.Request) { asked.Add(1) }, withSecret).ready(t)
	db := database(t, on.DSN)
	order := id()
	if _, err := db.Exec(t.Context(), `
		INSERT INTO attempts (order_id, id, state, amount, currency, payment_method, order_number, provider_id, captured)
		VALUES ($1, gen_random_uuid(), 'captured', 1250, 'GBP', 'pm_card_visa', 'S-1', 'pi_1', 1250)`, order); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for i := range n / 8 {
				if _, err := s.HandleWebhook(t.Context(), about(order, fmt.Sprintf("evt_%d_%d", caller, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	until(t, "all are applied", func() bool {
		return scan[int](t, db, "SELECT count(*) FROM webhook_events WHERE state = 'applied'") == n
	})
	t.Logf("%d events in %v", n, time.Since(began))
	if asked.Load() != 0 {
		t.Errorf("the provider was asked %d times", asked.Load())
	}
}
