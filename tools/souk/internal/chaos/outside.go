package chaos

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/notification/inbox"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

const (
	// notifier is the service that tells others: mailServer and endpoint are what proxies call those.
	notifier, mailServer, endpoint = "notification", "mail-server", "webhook-endpoint"
	// toldSource is whose events others are told.
	toldSource = "order"
	// mailWorkers is how many mails the service sends at once: so many may have been accepted and
	// not be written when it dies.
	mailWorkers = 4
	// smtpTimeout and hookTimeout are shorter than in production, so that what a death interrupted
	// is taken up again within tellLimit.
	smtpTimeout, hookTimeout = 2 * time.Second, 5 * time.Second
	// tellLimit is how long after all else is at rest it may take until consumers have taken all
	// events and others are told all. No buyer waits for it. Consumers fall behind while they are
	// dead, and go on one event after the other; a mail's job whose process died is due again after
	// 30 s, and River looks for such jobs every 30 s.
	tellLimit = 5 * time.Minute
	// maxHook bounds a webhook, in bytes.
	maxHook = 1 << 20
)

// mailed are the types of events of which a buyer is told by mail, and hooked those that the webhook
// endpoint is told.
var (
	mailed = []string{"souk.order.v1.OrderPaid", "souk.order.v1.OrderCancelled", "souk.order.v1.OrderRefunded"}
	hooked = append([]string{"souk.order.v1.OrderPlaced"}, mailed...)
)

// outside are those whom the shop tells: a mail server and a webhook endpoint. Both are in this
// process, beside the shop: what they took survives whatever dies there.
type outside struct {
	mails  *inbox.Server
	server *http.Server
	hooks  string // the endpoint's address
	url    string // by which the shop knows the endpoint
	ended  chan struct{}

	mu     sync.Mutex
	secret []byte // of the endpoint
	heard  []heard
}

// heard is one call of the webhook endpoint.
type heard struct {
	id     string // webhook-id
	signed bool   // by the endpoint's secret
	body   []byte
}

func newOutside(ctx context.Context) (*outside, error) {
	mails, err := inbox.Listen(ctx, inbox.Config{Name: "mail.test"})
	if err != nil {
		return nil, err
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, mails.Close())
	}
	o := &outside{mails: mails, hooks: lis.Addr().String(), ended: make(chan struct{})}
	o.server = &http.Server{Handler: http.HandlerFunc(o.hear), ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(o.ended)
		_ = o.server.Serve(lis) // until close
	}()
	return o, nil
}

func (o *outside) close() error {
	err := o.server.Close()
	<-o.ended
	return errors.Join(err, o.mails.Close())
}

// lead returns the notification service's variables that lead to them, through proxies.
func (o *outside) lead(proxies *Proxies) ([]string, error) {
	mails, err := proxies.Route(notifier, mailServer, net.JoinHostPort(o.mails.Host, strconv.Itoa(o.mails.Port)))
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(mails)
	if err != nil {
		return nil, err
	}
	hooks, err := proxies.Route(notifier, endpoint, o.hooks)
	if err != nil {
		return nil, err
	}
	o.url = "http://" + hooks + "/hooks"
	prefix := "SOUK_" + strings.ToUpper(notifier) + "_"
	return []string{
		prefix + "SMTP_HOST=" + host, prefix + "SMTP_PORT=" + port, prefix + "SMTP_TLS=off",
		prefix + "SMTP_TIMEOUT=" + smtpTimeout.String(), prefix + "MAIL_FROM=Souk <orders@shop.test>", prefix + "WORKERS=" + strconv.Itoa(mailWorkers),
		prefix + "WEBHOOK_HTTP=true", prefix + "WEBHOOK_PORTS=0", prefix + "WEBHOOK_NETWORKS=127.0.0.0/8", prefix + "WEBHOOK_TIMEOUT=" + hookTimeout.String(),
	}, nil
}

// register has the operator register the webhook endpoint.
func (o *outside) register(ctx context.Context, owner *shopclient.Client) error {
	_, secret, err := owner.RegisterWebhook(ctx, uuid.NewString(), shopclient.NewWebhookEndpoint{
		URL: o.url, EventTypes: hooked, Ordered: true,
	})
	if err != nil {
		return fmt.Errorf("register a webhook endpoint: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return fmt.Errorf("the endpoint's secret: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.secret = key
	return nil
}

// hear takes a webhook.
func (o *outside) hear(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard = append(o.heard, heard{id: r.Header.Get("webhook-id"), signed: signed(r.Header, body, o.secret), body: body})
	w.WriteHeader(http.StatusNoContent)
}

// signed verifies the signature of the Standard Webhooks specification. How old it is does not
// matter: there are faults of the service's clock.
func signed(header http.Header, body, secret []byte) bool {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), header.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, signature := range strings.Fields(header.Get("webhook-signature")) {
		if hmac.Equal([]byte(signature), []byte(want)) {
			return len(secret) > 0
		}
	}
	return false
}

// came are the webhooks that came, in their order.
func (o *outside) came() []heard {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]heard(nil), o.heard...)
}

// outstanding counts what is still to be told: events to the shop's consumers, the rest to others.
type outstanding struct{ Events, Mails, Webhooks int64 }

// tell waits until the shop has told its consumers and others all that it has to, at most wait,
// and returns what is left.
func tell(ctx context.Context, e *Environment, wait time.Duration) (left outstanding, err error) {
	telling, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	left = outstanding{Events: -1, Mails: -1, Webhooks: -1} // no answer yet
	for {
		now, err := stillTelling(telling, e)
		switch {
		case err == nil && now == outstanding{}:
			return now, nil
		case err == nil:
			left = now
		}
		if retry.Sleep(telling, 100*time.Millisecond) != nil {
			return left, ctx.Err()
		}
	}
}

func stillTelling(ctx context.Context, e *Environment) (now outstanding, err error) {
	if _, now.Events, err = eventBacklog(ctx, e); err != nil || now.Events > 0 {
		return now, err // what is taken has more to tell
	}
	err = query(ctx, e.Shop.DSN(notifier), `
		SELECT (SELECT count(*) FROM mails WHERE state IN ('queued', 'sending')), (SELECT count(*) FROM webhook_deliveries WHERE state = 'pending')`,
		[]any{&now.Mails, &now.Webhooks}, func() {})
	return now, err
}
