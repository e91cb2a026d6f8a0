package notification

import (
	"context"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/nats"
	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	app "github.com/souk-shop/souk/services/notification/internal/app/mail"
	"github.com/souk-shop/souk/services/notification/internal/postgres"
	"github.com/souk-shop/souk/services/notification/internal/smtp"
	"github.com/souk-shop/souk/services/notification/smtptest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// orders is an order service with its log of events.
type orders struct {
	orderv1.UnimplementedOrderServiceServer
	eventv1.UnimplementedEventServiceServer

	mu     sync.Mutex
	orders map[string]*orderv1.Order
	log    map[string][]*eventv1.Event
}

func (o *orders) GetOrder(_ context.Context, req *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order := o.orders[req.GetOrderId()]
	if order == nil || req.GetViewer().GetService().GetName() != "notification" {
		return nil, fmt.Errorf("no order %s for %v", req.GetOrderId(), req.GetViewer())
	}
	return &orderv1.GetOrderResponse{Order: proto.CloneOf(order)}, nil
}

func (o *orders) ListEvents(_ context.Context, req *eventv1.ListEventsRequest) (*eventv1.ListEventsResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &eventv1.ListEventsResponse{Events: slices.Clone(o.log[req.GetSubject()][req.GetAfterVersion():])}, nil
}

// shop is the notification service with what surrounds it.
type shop struct {
	t      *testing.T
	orders *orders
	target string
	broker events.Broker
	url    string
	db     pgtest.Database
	pool   *pgxpool.Pool
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, orders: &orders{orders: map[string]*orderv1.Order{}, log: map[string][]*eventv1.Event{}}}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	orderv1.RegisterOrderServiceServer(server, s.orders)
	eventv1.RegisterEventServiceServer(server, s.orders)
	go server.Serve(lis)
	t.Cleanup(server.Stop)
	s.target = lis.Addr().String()
	inside, err := natsserver.Start(t.Context(), natsserver.Config{Dir: t.TempDir(), Address: "127.0.0.1:0", User: "souk", Password: "souk"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inside.Stop)
	s.url = "nats://souk:souk@" + inside.Address()
	if s.broker, err = nats.Open(events.Config{URL: config.Secret(s.url)}, telemetry.Discard()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.broker.Close(context.WithoutCancel(t.Context())) })
	s.db = pgtest.Service(t, postgres.Migrate)
	if s.pool, err = pgxpool.New(t.Context(), s.db.DSN); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.pool.Close)
	return s
}

// start runs the service, with a mail server unless it is nil, and returns what stops it.
func (s *shop) start(server *smtptest.Server, change func(*Config)) (stop func()) {
	s.t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	to := chassisrpc.ClientConfig{Target: s.target}
	cfg := Config{
		Config: service.Config{
			Server: chassisrpc.ServerConfig{Listener: lis}, Identity: identity.Config{TLSOff: true}, Postgres: s.db.Config,
			Telemetry: telemetry.Config{LogFormat: "json", LogOutput: io.Discard},
		},
		Events: events.Config{URL: config.Secret(s.url)}, Catalog: to, Order: to, Payment: to, ShopURL: "https://shop.test",
	}
	if server != nil {
		cfg.MailFrom = "Souk <orders@shop.test>"
		cfg.SMTP = smtp.Config{
			Host: server.Host, Port: server.Port, TLS: smtp.StartTLS, CAFile: server.CAFile, ServerName: smtptest.Name,
			User: smtptest.User, Password: smtptest.Password,
		}
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("Run: %v", err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

func gbp(n int64) *moneyv1.Money { return &moneyv1.Money{Currency: "GBP", MinorUnits: n} }

// place makes an order of £18.65.
func (s *shop) place(email string) *orderv1.Order {
	o := &orderv1.Order{
		Id: uuid.Must(uuid.NewV7()).String(), CustomerId: uuid.NewString(), Email: email, Total: gbp(1865), PlacedAt: timestamppb.Now(),
		Lines: []*orderv1.OrderLine{
			{Sku: "LAMP", Name: "Lamp <small> & \"warm\"", Quantity: 2, UnitPrice: gbp(295), Total: gbp(590)},
			{Sku: "CAKE", Name: "Cake stand", Quantity: 1, UnitPrice: gbp(1275), Total: gbp(1275)},
		},
		ShippingAddress: &orderv1.Address{Name: "Ada Lovelace", Line1: "12 St James's Square", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
	o.Number = "S-" + o.GetId()[len(o.GetId())-8:]
	s.orders.mu.Lock()
	defer s.orders.mu.Unlock()
	s.orders.orders[o.GetId()] = o
	return o
}

// happen writes the next event of an order to the log, and publishes it.
func (s *shop) happen(o *orderv1.Order, at time.Time, facts ...proto.Message) {
	s.t.Helper()
	for _, fact := range facts {
		s.publish(s.write(o, at, fact))
	}
}

// write is happen without the broker.
func (s *shop) write(o *orderv1.Order, at time.Time, fact proto.Message) events.Event {
	s.t.Helper()
	data, err := proto.Marshal(fact)
	if err != nil {
		s.t.Fatal(err)
	}
	s.orders.mu.Lock()
	defer s.orders.mu.Unlock()
	subject := events.Subject("order", o.GetId())
	e := events.Event{
		Source: "order", Subject: subject, Version: int64(len(s.orders.log[subject]) + 1), Type: string(fact.ProtoReflect().Descriptor().FullName()),
		Time: at, Data: data,
	}
	s.orders.log[subject] = append(s.orders.log[subject], &eventv1.Event{
		Source: e.Source, Subject: e.Subject, Version: e.Version, Type: e.Type, Time: timestamppb.New(at), Data: data,
	})
	return e
}

func (s *shop) publish(e events.Event) {
	s.t.Helper()
	if err := s.broker.Publish(s.t.Context(), e); err != nil {
		s.t.Fatal(err)
	}
}

func paid(o *orderv1.Order) proto.Message {
	return &orderv1.OrderPaid{OrderId: o.GetId(), Number: o.GetNumber(), CustomerId: o.GetCustomerId(), Total: o.GetTotal()}
}

// settled waits until as many mails are in a state, and returns their reasons.
func (s *shop) settled(state string, n int) (reasons []string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for {
		rows, err := s.pool.Query(ctx, "SELECT reason FROM mails WHERE state = $1 ORDER BY id", state)
		if err != nil {
			s.t.Fatalf("%d mails are %s, want %d: %v", len(reasons), state, n, err)
		}
		if reasons, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			s.t.Fatal(err)
		}
		if len(reasons) == n {
			return reasons
		}
		if err := retry.Sleep(ctx, 20*time.Millisecond); err != nil {
			s.t.Fatalf("%d mails are %s, want %d", len(reasons), state, n)
		}
	}
}

// TestMails: what happens to an order is told by one mail each, over TLS, with the money
// right; events that no buyer has to know of, and those from before the service, by none.
func TestMails(t *testing.T) {
	t.Parallel()
	s, server := newShop(t), smtptest.Start(t, smtptest.Config{})
	s.start(server, nil)
	o, cancelled, past := s.place("ada@example.com"), s.place("bob@example.com"), s.place("old@example.com")
	now := time.Now()
	s.happen(past, now.Add(-time.Hour), &orderv1.OrderPlaced{OrderId: past.GetId()}, paid(past))
	s.happen(o, now, &orderv1.OrderPlaced{OrderId: o.GetId()}, &orderv1.OrderReserved{}, &orderv1.OrderAuthorized{}, &orderv1.OrderConfirmed{}, paid(o))
	s.orders.mu.Lock()
	refund := &orderv1.OrderRefund{Id: uuid.NewString(), Amount: gbp(295), Lines: []*orderv1.RefundLine{{Sku: "LAMP", Quantity: 1}}}
	o.Refunds = append(o.Refunds, refund)
	s.orders.mu.Unlock()
	s.happen(o, now, &orderv1.OrderRefundRequested{}, &orderv1.OrderRefunded{
		OrderId: o.GetId(), Number: o.GetNumber(), CustomerId: o.GetCustomerId(), RefundId: refund.GetId(), Amount: gbp(295), Refunded: gbp(295),
	})
	s.happen(o, now, &orderv1.OrderRefunded{OrderId: o.GetId(), Number: o.GetNumber(), CustomerId: o.GetCustomerId(), RefundId: uuid.NewString(), Amount: gbp(1570), Refunded: gbp(1865)})
	s.happen(cancelled, now, &orderv1.OrderPlaced{OrderId: cancelled.GetId()}, &orderv1.OrderCancelled{
		OrderId: cancelled.GetId(), Number: cancelled.GetNumber(), CustomerId: cancelled.GetCustomerId(), Total: cancelled.GetTotal(),
		Reason: orderv1.CancelReason_CANCEL_REASON_PAYMENT_DECLINED,
	})
	mails := server.Wait(t, 4)
	s.settled("sent", 4)
	got := map[string]string{}
	for _, m := range mails {
		parsed, err := netmail.ReadMessage(strings.NewReader(m.Text))
		if err != nil {
			t.Fatal(err)
		}
		got[parsed.Header.Get("Message-Id")] = m.To
		if !m.TLS || m.From != "orders@shop.test" {
			t.Errorf("%+v", m)
		}
	}
	for version, to := range map[string]string{o.GetId() + ".5": "ada@example.com", o.GetId() + ".7": "ada@example.com", o.GetId() + ".8": "ada@example.com", cancelled.GetId() + ".2": "bob@example.com"} {
		id := "<order." + version + "@shop.test>"
		if got[id] != to {
			t.Errorf("%s went to %q, want %q", id, got[id], to)
		}
	}
	if len(server.Mails()) != 4 {
		t.Errorf("%d mails: %v", len(server.Mails()), got)
	}
}

// TestAGapIsFilled: an event that the broker lost is asked for, and told.
func TestAGapIsFilled(t *testing.T) {
	t.Parallel()
	s, server := newShop(t), smtptest.Start(t, smtptest.Config{})
	s.start(server, nil)
	o := s.place("ada@example.com")
	s.happen(o, time.Now(), &orderv1.OrderPlaced{OrderId: o.GetId()})
	s.write(o, time.Now(), paid(o)) // lost
	s.happen(o, time.Now(), &orderv1.OrderAmended{OrderId: o.GetId()})
	server.Wait(t, 1)
	s.settled("sent", 1)
}

// TestDeath: a process that dies at each point of a mail, and the one after it. Only where the
// server has accepted the mail and that is not written, the mail comes twice, and it is the
// same.
func TestDeath(t *testing.T) {
	t.Parallel()
	for point, want := range map[crash.Point]int{app.MailSending: 1, app.MailAccepted: 2, app.MailSettled: 1} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			s, server := newShop(t), smtptest.Start(t, smtptest.Config{})
			var once sync.Once
			s.start(server, func(cfg *Config) {
				cfg.hook = func(p crash.Point) (err error) {
					if p == point {
						once.Do(func() { err = crash.ErrCrashed })
					}
					return err
				}
			})
			o := s.place("ada@example.com")
			s.happen(o, time.Now(), paid(o))
			mails := server.Wait(t, want)
			s.settled("sent", 1)
			if n := len(server.Mails()); n != want {
				t.Errorf("%d mails, want %d", n, want)
			}
			if want == 2 && headers(t, mails[0]) != headers(t, mails[1]) {
				t.Errorf("two mails:\n%s\n%s", headers(t, mails[0]), headers(t, mails[1]))
			}
		})
	}
}

func headers(t *testing.T, m smtptest.Mail) string {
	t.Helper()
	parsed, err := netmail.ReadMessage(strings.NewReader(m.Text))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(parsed.Header.Get("Message-Id"), parsed.Header.Get("Date"), parsed.Header.Get("Subject"), m.To)
}

// TestNotTaken: a server that says later gets the mail again, one that vanishes with the mail,
// too, and one that says never does not.
func TestNotTaken(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tries := map[string]int{}
	server := smtptest.Start(t, smtptest.Config{React: func(_ int, to string) smtptest.Reaction {
		mu.Lock()
		defer mu.Unlock()
		tries[to]++
		switch who, _, _ := strings.Cut(to, "@"); {
		case who == "later" && tries[to] == 1:
			return smtptest.Reaction{Rcpt: smtptest.Reply(450, "greylisted")}
		case who == "vanish" && tries[to] == 1:
			return smtptest.Reaction{Vanish: true}
		case who == "never":
			return smtptest.Reaction{Rcpt: smtptest.Reply(550, "no "+to+" here")}
		}
		return smtptest.Reaction{}
	}})
	s := newShop(t)
	s.start(server, nil)
	for _, who := range []string{"later", "vanish", "never"} {
		o := s.place(who + "@example.com")
		s.happen(o, time.Now(), paid(o))
	}
	s.settled("sent", 2)
	reasons := s.settled("failed", 1)
	if !strings.Contains(reasons[0], "550") || strings.Contains(reasons[0], "never@") {
		t.Errorf("reason %q", reasons[0])
	}
	mu.Lock()
	defer mu.Unlock()
	if tries["later@example.com"] != 2 || tries["vanish@example.com"] != 2 || tries["never@example.com"] != 1 || len(server.Mails()) != 3 {
		t.Errorf("tries %v, %d mails", tries, len(server.Mails()))
	}
}

// TestWithheld: who was erased gets no mail, and what is old is not told.
func TestWithheld(t *testing.T) {
	t.Parallel()
	s, server := newShop(t), smtptest.Start(t, smtptest.Config{})
	erased, late := s.place(""), s.place("late@example.com")
	erased.ErasedAt = timestamppb.Now()
	s.happen(erased, time.Now(), paid(erased))
	s.happen(late, time.Now(), paid(late))
	stop := s.start(server, func(cfg *Config) { cfg.SMTP.Port = 1 }) // it is away
	s.settled("withheld", 1)
	s.settled("queued", 1)
	stop()
	if _, err := s.pool.Exec(t.Context(), "UPDATE mails SET happened_at = now() - interval '3 days' WHERE state = 'queued'"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), "UPDATE river_job SET scheduled_at = now() WHERE kind = 'send_mail'"); err != nil {
		t.Fatal(err)
	}
	s.start(server, nil)
	if reasons := s.settled("failed", 1); !strings.Contains(reasons[0], "72h") {
		t.Errorf("reason %q", reasons[0])
	}
	if reasons := s.settled("withheld", 1); reasons[0] != "erased" || len(server.Mails()) != 0 {
		t.Errorf("reason %q, %d mails", reasons[0], len(server.Mails()))
	}
}

// disableEndpoint has a webhook endpoint that nothing has reached for three days, and an event for
// it: it has no secret to sign with, and so fails once more.
func (s *shop) disableEndpoint(id string) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), `
		INSERT INTO webhook_endpoints (id, url, description, event_types, ordered, failures, failing_since, created_at)
		VALUES ($1, 'https://hooks.example/secret-path', 'ERP', '{*}', false, 40, now() - interval '3 days', now() - interval '9 days')`, id); err != nil {
		s.t.Fatal(err)
	}
	o := s.place("ada@example.com")
	s.happen(o, time.Now(), &orderv1.OrderPlaced{OrderId: o.GetId()})
}

// TestOperatorsAreTold: that an endpoint was disabled is one mail to the operators, also where the
// server takes it at the second attempt only; with no address for them it is kept.
func TestOperatorsAreTold(t *testing.T) {
	t.Parallel()
	webhooks := func(cfg *Config) {
		if err := config.Complete(&cfg.Webhooks); err != nil {
			t.Fatal(err)
		}
		cfg.Webhooks.Key = config.Secret(strings.Repeat("k", 32))
	}
	t.Run("an address", func(t *testing.T) {
		t.Parallel()
		s, server := newShop(t), smtptest.Start(t, smtptest.Config{React: func(n int, _ string) (r smtptest.Reaction) {
			if n == 1 {
				r.Rcpt = smtptest.Reply(450, "greylisted")
			}
			return r
		}})
		s.start(server, func(cfg *Config) { webhooks(cfg); cfg.MailOperators = "Operators <ops@shop.test>" })
		id := uuid.NewString()
		s.disableEndpoint(id)
		server.Wait(t, 1)
		s.settled("sent", 1)
		mails := server.Mails()
		parsed, err := netmail.ReadMessage(strings.NewReader(mails[0].Text))
		if err != nil {
			t.Fatal(err)
		}
		h := parsed.Header
		if len(mails) != 1 || mails[0].To != "ops@shop.test" || mails[0].From != "orders@shop.test" || h.Get("Auto-Submitted") != "auto-generated" ||
			h.Get("Subject") != "The webhook endpoint at hooks.example was disabled" || h.Get("Message-Id") != "<webhook-endpoint."+id+".2@shop.test>" {
			t.Errorf("%+v", mails)
		}
		if strings.Contains(mails[0].Text, "secret-path") {
			t.Error("the path of the URL is in the mail")
		}
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		s, server := newShop(t), smtptest.Start(t, smtptest.Config{})
		s.start(server, webhooks)
		s.disableEndpoint(uuid.NewString())
		s.settled("kept", 1)
		if len(server.Mails()) != 0 {
			t.Errorf("%+v", server.Mails())
		}
	})
	t.Run("too old", func(t *testing.T) {
		t.Parallel()
		s, server := newShop(t), smtptest.Start(t, smtptest.Config{})
		s.disableEndpoint(uuid.NewString())
		stop := s.start(server, func(cfg *Config) { webhooks(cfg); cfg.MailOperators, cfg.SMTP.Port = "ops@shop.test", 1 })
		s.settled("queued", 1)
		stop()
		if _, err := s.pool.Exec(t.Context(), "UPDATE mails SET happened_at = now() - interval '4 days', attempts = 0, reason = '', state = 'queued'"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.pool.Exec(t.Context(), "UPDATE river_job SET scheduled_at = now() WHERE kind = 'send_mail'"); err != nil {
			t.Fatal(err)
		}
		s.start(server, func(cfg *Config) { webhooks(cfg); cfg.MailOperators = "ops@shop.test" })
		if reasons := s.settled("withheld", 1); reasons[0] != "too old" || len(server.Mails()) != 0 {
			t.Errorf("reason %q, %d mails", reasons[0], len(server.Mails()))
		}
	})
}

// TestKept: without a server mails are kept, and one that is configured later does not get them.
func TestKept(t *testing.T) {
	t.Parallel()
	s, server := newShop(t), smtptest.Start(t, smtptest.Config{})
	stop := s.start(nil, nil)
	o := s.place("ada@example.com")
	s.happen(o, time.Now(), paid(o))
	s.settled("kept", 1)
	stop()
	s.start(server, nil)
	p := s.place("bob@example.com")
	s.happen(p, time.Now(), paid(p))
	server.Wait(t, 1)
	s.settled("sent", 1)
	s.settled("kept", 1)
}

// TestConfig: each mistake is said by its variable.
func TestConfig(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"MAIL_FROM":      func(c *Config) { c.SMTP.Host, c.MailFrom = "mail.test", "Souk <orders@souk.example>" },
		"MAIL_REPLY_TO":  func(c *Config) { c.MailReplyTo = "help" },
		"MAIL_OPERATORS": func(c *Config) { c.MailOperators = "ops" },
		"SHOP_URL":       func(c *Config) { c.ShopURL = "shop.example" },
		"MAIL_MAX_AGE":   func(c *Config) { c.MailMaxAge = time.Second },
		"WORKERS":        func(c *Config) { c.Workers = -1 },
	} {
		cfg := Config{}
		if err := config.Complete(&cfg); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
